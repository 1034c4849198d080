"""``audit.html``: the audit as one page, most severe findings first."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.audit import Audit
from mien.audit.balance import notable
from mien.audit.copies import group_sizes
from mien.audit.findings_text import worst_facts
from mien.audit.quality import Check
from mien.data.dataset import SPLITS
from mien.data.votes import OTHER_ANSWERS
from mien.emotions import COLOURS, EMOTIONS
from mien.pages import heat_rows, histogram, pictures, render

SUSPICIOUS_SHOWN: Final = 100
_ROW: Final = 10
_GROUPS_SHOWN: Final = 8


def page_html(audit: Audit, source: str) -> str:
    """Return the page as self-contained HTML; it contains images from the data set."""
    facts = audit.facts
    return render(
        "audit.html",
        source=source,
        facts=facts,
        splits=", ".join(f"{name} {n:,}" for name, n in facts["splits"].items() if n),
        worst=worst_facts(facts),
        copies=_copies(audit),
        quality=_quality(audit),
        labels=_labels(audit),
        balance=_balance(facts),
        handled=_clean_split(facts),
        colours=COLOURS,
    )


def _copies(audit: Audit) -> dict[str, Any]:
    """Return the template values of the section on copies."""
    facts, copies, dataset = audit.facts, audit.copies, audit.dataset
    exact, near = facts["exact_duplicates"], facts["near_duplicates"]
    rows = [
        (name, exact[key], near[key])
        for name, key in (
            ("groups", "groups"),
            ("images in groups", "images"),
            ("redundant images", "redundant"),
            ("groups with conflicting labels", "conflicting_label_groups"),
            ("largest group", "largest_group"),
        )
    ]
    rows += [
        (
            f"{pair.split('>')[1]} images that also occur in {pair.split('>')[0]}",
            exact["cross_split"][pair],
            near["cross_split"][pair],
        )
        for pair in exact["cross_split"]
    ]
    sizes = group_sizes(copies.photo)
    largest = np.unique(copies.photo[sizes > 1])
    largest = largest[np.argsort(-sizes[largest], kind="stable")][:_GROUPS_SHOWN]
    conflicts = [
        g for g in np.unique(copies.exact[group_sizes(copies.exact) > 1]) if len(set(dataset.labels[copies.exact == g])) > 1
    ][: 2 * _ROW]
    named = [", ".join(sorted({EMOTIONS[k] for k in dataset.labels[copies.exact == g]})) for g in conflicts]
    pairs = copies.pairs
    borderline = np.argsort(pairs.score, kind="stable")[:_ROW]
    mirrored = np.flatnonzero(pairs.mirrored)[:_ROW]
    return {
        "rows": rows,
        "repeated": pictures(
            [_row(dataset.images[np.flatnonzero(copies.photo == g)[:_ROW]]) for g in largest],
            [f"{sizes[g]} versions of one photograph" for g in largest],
        ),
        "conflicts": pictures([dataset.images[g] for g in conflicts], named),
        "borderline": pictures([_pair(audit, k) for k in borderline], [f"{pairs.score[k]:.2f}" for k in borderline]),
        "mirrored": pictures([_pair(audit, k) for k in mirrored], [f"{pairs.score[k]:.2f}" for k in mirrored]),
    }


def _quality(audit: Audit) -> dict[str, Any]:
    """Return the template values of the section on image quality."""
    quality, claims = audit.facts["quality"], audit.facts.get("claims")
    low = quality["low_quality"]
    intro = f"{low['images']:,} images ({low['share']:.1%}) fail at least one check."
    if claims:
        intro += f" Descriptions of FER2013 state {claims['low_quality_share']:.0%}, without a method."
    against = (quality["faces"] or {}).get("against_not_a_face_votes")
    if against:
        intro += (
            f" Of {against['votes']} images that the raters call no face, the checks find {against['found']} "
            f"(recall {against['recall']:.0%}, precision {against['precision']:.0%}); many of the others are faces "
            f"rotated to one side."
        )
    bars = []
    for check in audit.checks:
        flags = audit.flags[check.name]
        bars.append((check.name.replace("_", " "), float(flags.mean()), f"{flags.sum():,} · {flags.mean():.2%}"))
    return {"intro": intro, "bars": bars, "checks": [_check(audit, check) for check in audit.checks]}


def _check(audit: Audit, check: Check) -> dict[str, Any]:
    """Return one check: its distribution, and images far beyond, just beyond and just within the threshold."""
    scores = audit.scores[check.score]
    known = np.flatnonzero(np.isfinite(scores))
    order = known[np.argsort(-scores[known] if check.above else scores[known], kind="stable")]  # worst first
    beyond = int(audit.flags[check.name][order].sum())
    shown = [
        ("worst", order[:beyond][:6]),
        ("just beyond", order[max(0, beyond - 6) : beyond]),
        ("just within", order[beyond : beyond + 6]),
    ]
    return {
        "name": check.name.replace("_", " "),
        "meaning": check.meaning,
        "histogram": histogram(scores, check.threshold, check.above),
        "examples": [(title, pictures(audit.dataset.images[who], [""] * len(who))) for title, who in shown if len(who)],
    }


def _labels(audit: Audit) -> dict[str, Any]:
    """Return the template values of the section on labels; empty if labels were not checked."""
    noise = audit.facts["label_noise"]
    values: dict[str, Any] = {}
    if audit.labels is None and audit.votes is None:
        return values
    values["votes"] = values["model"] = None
    if noise["votes"]:
        votes = noise["votes"]
        values["votes"] = {
            "text": f"{votes['winner_differs_share']:.1%} of the labels differ from the most frequent vote, "
            f"{votes['clear_winner_differs_share']:.1%} where one class has more than half of the votes.",
            "columns": EMOTIONS + OTHER_ANSWERS,
            "rows": heat_rows(EMOTIONS, votes["noise_matrix"]),
        }
    if audit.labels is not None and noise["model"]:
        model = noise["model"]
        text = (
            f"Label model: {model['name']}, out-of-fold accuracy {model['accuracy_out_of_fold']:.1%}; it never predicts "
            "an image that it or a copy of it was fitted on. "
        )
        text += (
            f"Confident learning marks {model['likely_wrong']:,} labels ({model['likely_wrong_share']:.1%}) as likely errors."
            if model["judged"]
            else "On this data it is hardly better than guessing the largest class, so no label is marked or down-weighted."
        )
        agreement = noise["agreement"]
        if agreement and agreement["auc_clear_votes_differ"] is not None:
            text += (
                f" Suspicion predicts where the raters disagree with the label with an area under the ROC curve of "
                f"{agreement['auc_votes_differ']:.3f} "
                f"({agreement['auc_clear_votes_differ']:.3f} where they have a majority; chance is 0.5)."
            )
        chosen = most_suspicious(audit)
        values["model"] = {
            "text": text,
            "judged": model["judged"],
            "columns": EMOTIONS,
            "rows": heat_rows(EMOTIONS, model["noise_matrix"]),
            "suspicious": pictures(audit.dataset.images[chosen], [_caption(audit, int(i)) for i in chosen]),
        }
    return values


def most_suspicious(audit: Audit) -> NDArray[np.int64]:
    """Return the indices of the most suspicious labels, each photograph once and without blank images."""
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
    """Return "label → prediction (vote)"."""
    assert audit.labels is not None
    text = f"{EMOTIONS[audit.dataset.labels[i]]} → {EMOTIONS[audit.labels.suggestion[i]]}"
    if audit.votes is not None and audit.votes.known[i]:
        text += f" ({(EMOTIONS + OTHER_ANSWERS)[audit.votes.winner[i]]})"
    return text


def _balance(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the template values of the section on classes, lighting and pose."""
    train, test = facts["classes"]["train"], facts["classes"]["test"]
    effective = facts["class_weights_effective_number"]
    return {
        "bars": [(name, float(train[name]), f"{train[name]:,}") for name in EMOTIONS],
        "weights": [
            (name, train[name], test[name], f"{facts['class_weights'][name]:.3f}", f"{effective[name]:.3f}") for name in EMOTIONS
        ],
        "measures": ("", *(measure.replace("_", " ") for measure in facts["balance"])),
        "means": [
            (name, *(_mean(facts["balance"], measure, kind, name) for measure in facts["balance"]))
            for kind, names in (("class", EMOTIONS), ("split", SPLITS))
            for name in names
        ],
        "uneven": [(name, measure, f"{effect:+.2f}") for effect, measure, _, name in notable(facts["balance"])[:12]],
    }


def _mean(balance: dict[str, Any], measure: str, kind: str, name: str) -> str:
    """Return a mean as text, a dash if it is unknown."""
    found = balance[measure][kind][name]
    return "–" if found is None else f"{found['mean']:.3g}"


def _clean_split(facts: dict[str, Any]) -> dict[str, Any]:
    """Return the template values of the section on the clean split."""
    clean = facts["clean_split"]
    counts = clean["before_and_after"].items()
    return {
        "training": [(n, v["before"], v["kept"], f"{v['effective']:,.0f}") for n, v in counts if n in EMOTIONS],
        "tests": [(n, v["before"], v["clean"]) for n, v in counts if n in SPLITS],
        "rules": list(clean["rules"].items()),
    }


def _pair(audit: Audit, k: int) -> NDArray[np.uint8]:
    """Return the two images of a near pair side by side, unprocessed."""
    pairs = audit.copies.pairs
    return _row(audit.dataset.images[[pairs.first[k], pairs.second[k]]])


def _row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images side by side."""
    return np.concatenate(list(images), axis=1)
