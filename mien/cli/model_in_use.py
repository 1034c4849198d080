"""Which model a command uses where none is named, and how good it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

WARN_BELOW: Final = 0.6
"""Accuracy on PublicTest, of the first head, below which a warning is printed."""


def chosen_model(model: str | None) -> str:
    """Return the model to use: the one asked for, otherwise the newest in ``models/``, otherwise the packaged one."""
    from mien.vision.bundles import default_bundle

    return model or default_bundle()


def default_line() -> str:
    """Return a sentence on the model that is used where none is named, and why."""
    from mien.vision.bundles import DEFAULT_BUNDLE, MODELS, accuracies, newest_own_bundle

    own = newest_own_bundle()
    users = "By default, live, analyze, explain and evaluate use"
    if own is None:
        return f"{users} {DEFAULT_BUNDLE}, because {MODELS} has no finished model"
    said = _in_words(accuracies(own)) or "its accuracy is not known"
    return f"{users} {own}, the newest model in {MODELS} ({said})"


def print_model(model: str) -> None:
    """Print on standard error which model is used, and how good its card says it is; call it when the model has been opened."""
    from mien.vision.bundles import CHECKPOINT_ENDINGS, bundle_path

    if Path(model).suffix.lower() not in CHECKPOINT_ENDINGS:
        print(*model_lines(model, bundle_path(model)), sep="\n", file=sys.stderr)


def model_lines(model: str, bundle: Path) -> list[str]:
    """Return a sentence on a model, and a warning if it is a poor one.

    The sentence has its name and its accuracy, and for a user's own model how to use the packaged one instead.

    Args:
        model: as a user names it.
        bundle: its file.
    """
    from mien.vision.bundles import DEFAULT_BUNDLE, accuracies, bundle_names

    found = accuracies(bundle)
    line = f"model {model}: {_in_words(found) or 'its accuracy is not known'}"
    if model not in bundle_names():
        line += f". For the packaged model: --model {DEFAULT_BUNDLE}"
    lines = [line]
    if found and next(iter(found.values())) < WARN_BELOW:
        lines.append(
            f"warning: this model is right less than {WARN_BELOW:.0%} of the time. Train it for longer, or use {DEFAULT_BUNDLE}"
        )
    return lines


def _in_words(found: dict[str, float]) -> str:
    """Return accuracies on PublicTest by truth as text, "" without any."""
    from mien.evaluation.truths import TRUTHS

    said = ", ".join(f"{TRUTHS[truth]} {accuracy:.1%}" for truth, accuracy in found.items())
    return said and f"{said} on PublicTest"
