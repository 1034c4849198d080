"""The evaluation in the terminal: the table people know, then a line a finding."""

from __future__ import annotations

from typing import Any

from mien.evaluation.views import VIEWS


def classification_report(numbers: dict[str, Any]) -> str:
    """Return the table of precision, recall, F1 and support by class, for a terminal."""
    lines = [f"{'':>10} {'precision':>10} {'recall':>10} {'f1-score':>10} {'support':>10}"]
    for name, row in numbers["classes"].items():
        lines.append(f"{name:>10} {row['precision']:10.3f} {row['recall']:10.3f} {row['f1']:10.3f} {row['support']:10d}")
    low, high = numbers["accuracy_ci"]
    lines.append("")
    lines.append(f"{'accuracy':>10} {numbers['accuracy']:10.3f}   95 % interval {low:.3f} to {high:.3f}, n = {numbers['n']}")
    low, high = numbers["macro_f1_ci"]
    lines.append(f"{'macro F1':>10} {numbers['macro_f1']:10.3f}   95 % interval {low:.3f} to {high:.3f}, bootstrap")
    lines.append(
        f"{'ECE':>10} {numbers['ece']:10.3f}   expected calibration error, 15 equal-mass bins; "
        f"chance alone makes {numbers['ece_floor']:.3f} of it"
    )
    return "\n".join(lines)


def evaluation_text(facts: dict[str, Any]) -> str:
    """Return the whole evaluation for a terminal, from the numbers of ``metrics.json``."""
    lines = [f"{facts['model']} on {facts['split']}", "", classification_report(facts)]
    for view, row in facts["views"].items():
        low, high = row["accuracy_ci"]
        lines.append(_line(view, row["accuracy"], f"95 % interval {low:.3f} to {high:.3f}, n = {row['n']}: {VIEWS[view]}"))
    lines.append(_line("mirrored", facts["mirrored"]["accuracy"], "mean over each face and its mirror image"))
    people, selective, suite = facts["agreement"], facts["selective"], facts["robustness"]
    if people:
        hits = f"the raters' favourite is hit by {people['model_accuracy']:.1%}, by a rater {people['rater_accuracy']:.1%}"
        lines.append(_line("people", people["level"], f"0: always the commonest answer, 1: one human rater; {hits}"))
    answered = f"{selective['at_threshold']['coverage']:.0%} of the faces are answered"
    wrong = f"at most {selective['accepted_error']:.0%} of the answers are wrong from this confidence on"
    lines.append(_line("certain", selective["threshold"], f"{wrong}; {answered}"))
    if suite:
        kinds = len(suite["corruptions"])
        lines.append(_line("robust", suite["mean_relative"], f"of its accuracy is left, over {kinds} kinds of corruption"))
    return "\n".join(lines)


def _line(name: str, value: float, words: str) -> str:
    return f"{name:>10} {value:10.3f}   {words}"
