"""``audit.html``: the audit as one page that a person enjoys reading, the three worst facts first."""

from __future__ import annotations

from html import escape
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import page_parts as part
from mien.audit.audit import Audit
from mien.audit.balance import notable
from mien.audit.copies import group_sizes
from mien.audit.findings_text import worst_facts
from mien.audit.quality import Check
from mien.data.dataset import SPLITS
from mien.data.votes import OTHER_ANSWERS
from mien.emotions import COLOURS, EMOTIONS

SUSPICIOUS_SHOWN: Final = 100
_ROW: Final = 10
_GROUPS_SHOWN: Final = 8


def page_html(audit: Audit, source: str) -> str:
    """Return the whole page; it holds pictures from the data set."""
    facts = audit.facts
    sections = (
        ("copies", "Copies", _copies(audit)),
        ("quality", "Quality", _quality(audit)),
        ("labels", "Labels", _labels(audit)),
        ("balance", "Balance", _balance(audit)),
        ("handled", "Handled", _handled(facts)),
    )
    splits = ", ".join(f"{name} {n:,}" for name, n in facts["splits"].items() if n)
    intro = f'<div class="soft">{facts["images"]["total"]:,} images: {splits}</div>' + part.highlights(worst_facts(facts))
    footer = (
        f"<p>{part.KEEP_WITH_DATA}</p>"
        f"<p>Content hash {facts['dataset_hash']} · {facts['seconds']['total']:.0f} seconds · numbers: audit.json</p>"
    )
    return part.page(f"Audit of {source}", f"What is wrong with {source}", intro, sections, footer)


def _copies(audit: Audit) -> str:
    """Return the section on duplicates."""
    facts, copies, dataset = audit.facts, audit.copies, audit.dataset
    exact, near = facts["exact_duplicates"], facts["near_duplicates"]
    rows = [
        (name, exact[key], near[key])
        for name, key in (
            ("groups", "groups"),
            ("images in them", "images"),
            ("redundant images", "redundant"),
            ("groups with conflicting labels", "conflicting_label_groups"),
            ("largest group", "largest_group"),
        )
    ]
    rows += [
        (f"{pair.split('>')[1]} images that stand in {pair.split('>')[0]}", exact["cross_split"][pair], near["cross_split"][pair])
        for pair in exact["cross_split"]
    ]
    sizes = group_sizes(copies.photo)
    largest = np.unique(copies.photo[sizes > 1])
    largest = largest[np.argsort(-sizes[largest], kind="stable")][:_GROUPS_SHOWN]
    groups = "".join(
        part.faces([_row(dataset.images[np.flatnonzero(copies.photo == g)[:_ROW]])], [f"{sizes[g]} versions of one photograph"])
        for g in largest
    )
    conflicts = [
        g for g in np.unique(copies.exact[group_sizes(copies.exact) > 1]) if len(set(dataset.labels[copies.exact == g])) > 1
    ]
    named = [", ".join(sorted({EMOTIONS[k] for k in dataset.labels[copies.exact == g]})) for g in conflicts[: 2 * _ROW]]
    pairs = copies.pairs
    borderline = np.argsort(pairs.score, kind="stable")[:_ROW]
    mirrored = np.flatnonzero(pairs.mirrored)[:_ROW]
    return part.section(
        "copies",
        "Copies",
        part.paragraph(
            "Near duplicates are the same photograph re-encoded, re-lit, shifted, re-scaled, marked or mirrored; "
            "their column counts exact copies as well. A test image that stands in an earlier split measures memory, not skill."
        ),
        part.table(("", "exact", "exact and near"), rows),
        "<h3>The most repeated photographs</h3>" if len(largest) else "",
        groups,
        "<h3>Same pixels, different labels</h3>" if conflicts else "",
        part.faces([dataset.images[g] for g in conflicts[: 2 * _ROW]], named),
        "<h3>Near pairs that only just count</h3>" if len(pairs) else "",
        part.faces([_pair(audit, k) for k in borderline], [f"{pairs.score[k]:.2f}" for k in borderline]),
        "<h3>Mirrored pairs</h3>" if len(mirrored) else "",
        part.faces([_pair(audit, k) for k in mirrored], [f"{pairs.score[k]:.2f}" for k in mirrored]),
    )


def _quality(audit: Audit) -> str:
    """Return the section on picture quality."""
    quality, claims = audit.facts["quality"], audit.facts.get("claims")
    low = quality["low_quality"]
    intro = f"{low['images']:,} images ({low['share']:.1%}) fail one check or more."
    if claims:
        intro += f" Descriptions of FER2013 claim {claims['low_quality_share']:.0%}, without a method."
    against = (quality["faces"] or {}).get("against_not_a_face_votes")
    if against:
        intro += (
            f" Of {against['votes']} images the crowd calls no face, {against['found']} are found "
            f"(recall {against['recall']:.0%}, precision {against['precision']:.0%}): many of the others are faces "
            f"lying on their side."
        )
    counts = [
        (check.name, audit.flags[check.name].mean(), f"{audit.flags[check.name].sum():,} · {audit.flags[check.name].mean():.2%}")
        for check in audit.checks
    ]
    return part.section(
        "quality",
        "Quality",
        part.paragraph(intro),
        part.bars([(name.replace("_", " "), float(share), text) for name, share, text in counts]),
        part.paragraph("Below, each score over all images (heights are square roots), and images around its threshold."),
        '<div class="checks">' + "".join(_check(audit, check) for check in audit.checks) + "</div>",
    )


def _check(audit: Audit, check: Check) -> str:
    """Return one check: its distribution, and images far beyond, just beyond and just inside the threshold."""
    scores = audit.scores[check.score]
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(-scores[known] if check.above else scores[known], kind="stable")]  # worst first
    beyond = int(audit.flags[check.name][order].sum())
    shown = [
        ("worst", order[:beyond][:6]),
        ("just beyond", order[max(0, beyond - 6) : beyond]),
        ("just inside", order[beyond : beyond + 6]),
    ]
    return (
        f"<div><h3>{escape(check.name.replace('_', ' '))}</h3><small>{escape(check.meaning)}</small>"
        + part.histogram(scores, check.threshold, check.above)
        + "".join(
            f"<small>{title}</small>" + part.faces(audit.dataset.images[who], [""] * len(who)) for title, who in shown if len(who)
        )
        + "</div>"
    )


def _labels(audit: Audit) -> str:
    """Return the section on labels."""
    noise = audit.facts["label_noise"]
    if audit.labels is None and audit.votes is None:
        return part.section("labels", "Labels", part.paragraph("Labels were not judged."))
    parts: list[str] = []
    if noise["votes"]:
        votes = noise["votes"]
        parts += [
            "<h3>What ten people saw</h3>",
            part.paragraph(
                f"{votes['winner_differs_share']:.1%} of the labels differ from the answer with most votes, "
                f"{votes['clear_winner_differs_share']:.1%} where one answer has more than half. "
                "Rows: the label given; columns: the crowd's answer, in percent of the row."
            ),
            part.heat_table(EMOTIONS, EMOTIONS + OTHER_ANSWERS, votes["noise_matrix"]),
        ]
    if audit.labels is not None and noise["model"]:
        model = noise["model"]
        text = (
            f"A {model['name']} ({model['accuracy_out_of_fold']:.1%} right) judged every image without having seen it "
            f"or a copy of it; "
            f"confident learning holds {model['likely_wrong']:,} labels ({model['likely_wrong_share']:.1%}) for likely wrong."
        )
        agreement = noise["agreement"]
        if agreement and agreement["auc_clear_votes_differ"] is not None:
            text += (
                f" Its suspicion tells where the crowd disagrees with an area under the curve of "
                f"{agreement['auc_votes_differ']:.3f} "
                f"({agreement['auc_clear_votes_differ']:.3f} where the crowd is clear; 0.5 would be chance)."
            )
        chosen = most_suspicious(audit)
        captions = [_caption(audit, int(i)) for i in chosen]
        parts += [
            "<h3>Confident learning</h3>",
            part.paragraph(text),
            part.paragraph("Labels likely wrong, by the class the model would give, in percent of the row."),
            part.heat_table(EMOTIONS, EMOTIONS, model["noise_matrix"]),
            f"<h3>The {len(chosen)} most suspicious labels</h3>",
            part.paragraph(
                "Given label → the model's, and the crowd's in brackets. Each photograph is shown once; blank images "
                "are left out."
            ),
            part.faces(audit.dataset.images[chosen], captions),
        ]
    return part.section("labels", "Labels", *parts)


def most_suspicious(audit: Audit) -> NDArray[np.int64]:
    """Return the positions of the most suspicious labels, each photograph once, images of no face left out."""
    if audit.labels is None:
        return np.empty(0, np.int64)
    p = audit.labels.probabilities
    margin = p.max(1) - p[np.arange(len(p)), audit.dataset.labels]
    empty = audit.flags["blank"] | audit.flags.get("placeholder", np.zeros(len(p), np.bool_))
    order = np.argsort(-np.where(empty, -1, margin), kind="stable")
    order = order[audit.labels.issue[order] & ~empty[order]]
    _, first = np.unique(audit.copies.photo[order], return_index=True)
    return order[np.sort(first)][:SUSPICIOUS_SHOWN]


def _caption(audit: Audit, i: int) -> str:
    """Return "given → suggested (crowd)"."""
    assert audit.labels is not None
    text = f"{EMOTIONS[audit.dataset.labels[i]]} → {EMOTIONS[audit.labels.suggestion[i]]}"
    if audit.votes is not None and audit.votes.known[i]:
        text += f" ({(EMOTIONS + OTHER_ANSWERS)[audit.votes.winner[i]]})"
    return text


def _balance(audit: Audit) -> str:
    """Return the section on classes, light and pose."""
    facts = audit.facts
    counts = [(name, facts["classes"]["train"][name], f"{facts['classes']['train'][name]:,}") for name in EMOTIONS]
    weights = [
        (name, facts["classes"]["train"][name], facts["classes"]["test"][name], f"{facts['class_weights'][name]:.3f}",
         f"{facts['class_weights_effective_number'][name]:.3f}")
        for name in EMOTIONS
    ]  # fmt: skip
    uneven = [(name, measure, f"{effect:+.2f}") for effect, measure, _, name in notable(facts["balance"])[:12]]
    means = [
        (name, *(_mean(facts["balance"], measure, kind, name) for measure in facts["balance"]))
        for kind, names in (("class", EMOTIONS), ("split", SPLITS))
        for name in names
    ]
    return part.section(
        "balance",
        "Balance",
        part.bars([(name, float(n), text) for name, n, text in counts], COLOURS),
        "<h3>Class weights</h3>",
        part.paragraph(
            "Inverse frequency (King and Zeng 2001), and effective number of samples with beta 0.999 (Cui et al. 2019)."
        ),
        part.table(("class", "Training", "test", "inverse frequency", "effective number"), weights),
        "<h3>Light and pose, means</h3>",
        part.table(("", *(m.replace("_", " ") for m in facts["balance"])), means),
        "<h3>Where classes and splits stand out</h3>",
        part.table(("", "measure", "Cohen's d"), uneven, 2) if uneven else part.paragraph("Nowhere: no effect reaches 0.2."),
    )


def _mean(balance: dict[str, Any], measure: str, kind: str, name: str) -> str:
    """Return a mean as text, a dash where there is none."""
    found = balance[measure][kind][name]
    return "–" if found is None else f"{found['mean']:.3g}"


def _handled(facts: dict[str, Any]) -> str:
    """Return the section on the clean split."""
    clean = facts["clean_split"]
    training = [
        (n, v["before"], v["kept"], f"{v['effective']:,.0f}") for n, v in clean["before_and_after"].items() if n in EMOTIONS
    ]
    tests = [(n, v["before"], v["clean"]) for n, v in clean["before_and_after"].items() if n in SPLITS]
    return part.section(
        "handled",
        "Handled",
        part.paragraph(
            "clean_split.csv says for every image what to do and why; mien train and mien evaluate take it with --split-file. "
            "Decisions about Training look at Training alone. Test images are never relabelled or removed, only marked."
        ),
        part.table(("Training", "before", "kept", "sum of weights"), training),
        part.table(("test split", "before", "clean"), tests),
        "<h3>Rules</h3>",
        part.table(("finding", "what is done"), clean["rules"].items(), 2),
    )


def _pair(audit: Audit, k: int) -> NDArray[np.uint8]:
    """Return the two images of a near pair side by side, as they are."""
    pairs = audit.copies.pairs
    return _row(audit.dataset.images[[pairs.first[k], pairs.second[k]]])


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images side by side."""
    return np.concatenate(list(images), axis=1)
