"""Findings as text for the terminal, most severe first."""

from __future__ import annotations

from typing import Any, Final

from mien.audit.balance import notable
from mien.words import counted

MAX_LINES: Final = 30
NOT_JUDGED: Final = "not judged: on this data the label model is hardly better than guessing"


def worst_facts(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (number, sentence) for at most three findings, most severe first.

    The order is by the share of affected images; class imbalance, which class weights correct, ranks low.
    """
    tests = sum(facts["splits"][name] for name in ("PublicTest", "PrivateTest"))
    actions, near, noise = facts["clean_split"]["actions"], facts["near_duplicates"], facts["label_noise"]
    candidates: list[tuple[float, str, str]] = []
    if tests and actions["leaked"]:
        share = actions["leaked"] / tests
        candidates.append((share, f"{share:.0%}", f"of the test images ({actions['leaked']:,}) also occur in an earlier split"))
    total = facts["images"]["total"]
    if near["redundant"]:
        share = near["redundant"] / total
        candidates.append(
            (share, f"{share:.0%}", f"of all images ({near['redundant']:,}) repeat the photograph of another image")
        )
    if noise["votes"]:
        share = noise["votes"]["clear_winner_differs_share"]
        candidates.append((share, f"{share:.0%}", "of the labels differ from the majority vote, where there is one"))
    elif noise["model"] and noise["model"]["judged"]:
        share = noise["model"]["likely_wrong_share"]
        right = noise["model"]["accuracy_out_of_fold"]
        weak = f"of the labels are doubtful by confident learning; its label model is right on {right:.0%}"
        candidates.append((share, f"{share:.0%}", weak))
    low = facts["quality"]["low_quality"]
    if low["images"]:
        candidates.append(
            (low["share"], f"{low['share']:.1%}", f"of the images ({low['images']:,}) fail at least one quality check")
        )
    filled = {name: n for name, n in facts["classes"]["train"].items() if n}
    if len(filled) > 1:
        few, many = min(filled, key=lambda k: filled[k]), max(filled, key=lambda k: filled[k])
        ratio = filled[many] / filled[few]
        if ratio >= 2:
            candidates.append((ratio / 1000, f"{ratio:.0f} to 1", f"is the ratio of {many} to {few} in Training"))
    return [(number, text) for _, number, text in sorted(candidates, key=lambda c: -c[0])[:3]]


def findings_text(facts: dict[str, Any]) -> str:
    """Return the findings as plain text of at most ``MAX_LINES`` lines."""
    exact, near = facts["exact_duplicates"], facts["near_duplicates"]
    quality, noise, clean = facts["quality"], facts["label_noise"], facts["clean_split"]
    total, claims = facts["images"]["total"], facts.get("claims", {})
    lines = ["FINDINGS", "=" * 60]
    lines += [f"  {number:>8}  {text}" for number, text in worst_facts(facts)]
    lines += [
        "",
        f"Exact duplicates: {counted(exact['groups'], 'group')} of {exact['images']:,} images, {exact['redundant']:,} redundant, "
        f"{exact['conflicting_label_groups']} with conflicting labels",
    ]
    lines.append(f"  across splits:  {_across(exact['cross_split'])}")
    claim = f" (other descriptions state {100 * claims['near_duplicate_share']:.0f}%)" if claims else ""
    more = near["beyond_exact"]
    lines.append(
        f"Near duplicates:  {counted(near['pairs'], 'pair')}; {counted(more['redundant'], 'more redundant image')}, "
        f"{more['share']:.1%}{claim}"
    )
    lines.append(f"  across splits:  {_across(near['cross_split'])} (including exact copies)")
    claim = f" (other descriptions state {100 * claims['low_quality_share']:.0f}%)" if claims else ""
    low = quality["low_quality"]
    lines.append(f"Low quality:      {counted(low['images'], 'image')}, {low['share']:.1%}{claim}")
    shown = [f"{name} {check['images']:,}" for name, check in quality["checks"].items() if check["images"]]
    for start in range(0, len(shown), 6):
        lines.append("  " + ", ".join(shown[start : start + 6]))
    if quality["faces"] is None:
        lines.append("  face detection was skipped")
    if noise["model"] is not None:
        model = noise["model"]
        errors = f"{model['likely_wrong']:,} likely errors ({model['likely_wrong_share']:.1%}) by confident learning"
        lines.append(f"Labels:           {errors if model['judged'] else NOT_JUDGED}")
        lines.append(f"  model:          {model['name']}, out-of-fold accuracy {model['accuracy_out_of_fold']:.1%}")
    if noise["votes"] is not None:
        votes = noise["votes"]
        lines.append(
            f"Raters:           {votes['winner_differs_share']:.1%} of labels differ from their vote, "
            f"{votes['clear_winner_differs_share']:.1%} where they have a majority; {votes['not_a_face']} not a face"
        )
    if noise["agreement"] is not None and noise["agreement"]["auc_clear_votes_differ"] is not None:
        lines.append(
            f"  suspicion predicts their disagreement: AUC {noise['agreement']['auc_votes_differ']:.3f}, "
            f"{noise['agreement']['auc_clear_votes_differ']:.3f} where they have a majority"
        )
    uneven = [f"{name} {measure} {effect:+.2f}" for effect, measure, _, name in notable(facts["balance"])[:4]]
    lines.append("Imbalance:        " + (", ".join(uneven) + " (Cohen's d)" if uneven else "none in lighting or pose"))
    actions = clean["actions"]
    training = facts["splits"]["Training"]
    lines.append(
        f"Clean split:      Training {training:,} images: keep {actions['keep']:,}, down-weight {actions['down-weight']:,}, "
        f"drop {actions['drop']:,}"
    )
    if total - training:
        lines.append(f"                  test images: clean {actions['clean']:,}, leaked {actions['leaked']:,}")
    return "\n".join(lines[:MAX_LINES])


def _across(counts: dict[str, int]) -> str:
    """Return the counts by pair of splits on one line."""
    return ", ".join(f"{pair.replace('>', ' > ')} {n:,}" for pair, n in counts.items())
