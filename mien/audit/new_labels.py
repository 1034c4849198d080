"""Checks of newly labelled faces before they join the training data.

Checks the agreement of annotators, labels that the model contradicts with high confidence, class
balance, and copies of the existing data: in Training they add nothing, in a test split they must not be
trained on. The findings are for a person to act on: nothing is dropped here.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.audit import annotators
from mien.audit.annotators import Annotations
from mien.audit.copies import join_copies
from mien.audit.exact import exact_groups
from mien.audit.near import NearPairs, find_near_duplicates
from mien.data.dataset import SPLITS, FaceDataset
from mien.emotions import EMOTIONS
from mien.words import counted

CONFIDENT: Final = 0.8
"""Confidence from which the model's disagreement with a label is reported."""
SHOWN: Final = 100
_POOR, _FAIR = 0.667, 0.8  # thresholds suggested by Krippendorff: no conclusions below the first, tentative ones below the second


def check_new_labels(
    new: FaceDataset,
    probabilities: NDArray[np.float32],
    annotations: Annotations | None = None,
    against: FaceDataset | None = None,
) -> dict[str, Any]:
    """Return the checks of newly labelled faces as a JSON-compatible dict.

    Args:
        new: N labelled faces.
        probabilities: (N, 7) predictions of the model.
        annotations: labels by annotator, None if there was a single one.
        against: the data set the model was trained and tested on.

    Returns:
        ``images``, ``classes``, ``imbalance`` (largest over smallest non-empty class), ``missing`` (empty
        classes), ``agreement``, ``disagreements``, ``copies``, and ``problems`` (a list of sentences).
    """
    counts = new.class_counts()
    occurring = [count for count in counts.values() if count]
    facts: dict[str, Any] = {
        "images": len(new),
        "classes": counts,
        "imbalance": max(occurring) / min(occurring) if occurring else None,
        "missing": [name for name, count in counts.items() if not count],
        "agreement": annotators.summarise(annotations) if annotations is not None else None,
        "disagreements": _disagreements(new, probabilities),
        "copies": _copies(new, against),
    }
    return facts | {"problems": _problems(facts)}


def new_labels_text(facts: dict[str, Any]) -> str:
    """Return the checks of newly labelled faces as text, a line each; ``facts`` are those of ``check_new_labels``."""
    agreement, disagreements, copies = facts["agreement"], facts["disagreements"], facts["copies"]
    lines = [f"images      {facts['images']:,}: " + ", ".join(f"{name} {count:,}" for name, count in facts["classes"].items())]
    if agreement is None:
        lines.append("agreement   not measured: pass each annotator's labels with --annotations")
    elif agreement["krippendorff"] is None:
        lines.append("agreement   unknown")
    else:
        alpha, people = agreement["krippendorff"], agreement["annotators"]
        lines.append(f"agreement   Krippendorff's alpha {alpha:.2f} ({_FAIR:.2f} is good), {people} annotators")
    lines.append(f"model       {_contradictions(disagreements)}")
    copied = f"{copies['repeat_one_another']} of other new faces"
    if copies["stand_in"] is None:
        lines.append(f"copies      {copied}; to find copies of training images, pass --data")
    else:
        lines.append(f"copies      {copied}; " + ", ".join(f"{n} of {split}" for split, n in copies["stand_in"].items()))
    return "\n".join(lines)


def _contradictions(disagreements: dict[str, Any]) -> str:
    verb = "contradicts" if disagreements["disagree"] == 1 else "contradict"
    return f"{disagreements['disagree']:,} of {counted(disagreements['sure'], 'confident prediction')} {verb} the label"


def _disagreements(new: FaceDataset, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Return the labels that the model contradicts with high confidence, most confident first."""
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1)
    confident = confidence >= CONFIDENT
    contradicted = np.flatnonzero(confident & (predicted != new.labels))
    order = contradicted[np.argsort(-confidence[contradicted], kind="stable")]
    return {
        "sure_from": CONFIDENT,
        "sure": int(confident.sum()),
        "disagree": len(contradicted),
        "share": len(contradicted) / max(1, int(confident.sum())),
        "accuracy": float((predicted == new.labels).mean()) if len(new) else None,
        "images": [
            {
                "image": new.names[i],
                "label": EMOTIONS[new.labels[i]],
                "model": EMOTIONS[predicted[i]],
                "confidence": round(float(confidence[i]), 4),
            }
            for i in order[:SHOWN]
        ],
    }


def _copies(new: FaceDataset, against: FaceDataset | None) -> dict[str, Any]:
    """Return the number of copies among the new faces and in each split of the existing data."""
    n = len(new)
    images, labels = new.images, new.labels
    if against is not None:
        images, labels = np.concatenate([images, against.images]), np.concatenate([labels, against.labels])
    exact = exact_groups(images)
    originals = np.unique(exact)
    pairs = find_near_duplicates(images[originals])
    pairs = NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
    photo = join_copies(exact, pairs).photo  # an id is the index of its first image; new images come first
    ours = photo[:n]
    lowest, highest = np.full(len(photo), len(EMOTIONS)), np.full(len(photo), -1)
    np.minimum.at(lowest, photo, labels)
    np.maximum.at(highest, photo, labels)
    in_split: dict[str, NDArray[np.bool_]] = {}
    if against is not None:
        for k, name in enumerate(SPLITS):
            in_split[name] = np.isin(ours, photo[n:][against.splits == k])
    return {
        "repeat_one_another": int((ours != np.arange(n)).sum()),
        "stand_in": {name: int(found.sum()) for name, found in in_split.items()} if against is not None else None,
        "with_another_label": int((lowest != highest)[ours].sum()),
        "images": {
            name: [new.names[i] for i in np.flatnonzero(found)[:SHOWN]] for name, found in in_split.items() if found.any()
        },
    }


def _problems(facts: dict[str, Any]) -> list[str]:
    """Return the findings that need attention, as sentences."""
    found = []
    agreement, disagreements, copies = facts["agreement"], facts["disagreements"], facts["copies"]
    if agreement is not None and agreement["krippendorff"] is not None and agreement["krippendorff"] < _FAIR:
        word = "too low for training" if agreement["krippendorff"] < _POOR else "enough for tentative conclusions only"
        found.append(f"the annotators' agreement is alpha {agreement['krippendorff']:.2f}: {word} (0.80 is good)")
    if agreement is not None and agreement["krippendorff"] is None:
        found.append("agreement is unknown: no two annotators labelled the same images with more than one class")
    if disagreements["disagree"]:
        found.append(f"{_contradictions(disagreements)}: check {'it' if disagreements['disagree'] == 1 else 'them'}")
    if facts["missing"]:
        found.append(f"no face labelled {', '.join(facts['missing'])}")
    if facts["imbalance"] is not None and facts["imbalance"] > 20:
        found.append(f"the largest class has {facts['imbalance']:.0f} times as many faces as the smallest")
    if count := copies["repeat_one_another"]:
        found.append(f"{_are_copies(count)} of other new faces")
    for split, count in (copies["stand_in"] or {}).items():
        if count:
            these = "it" if count == 1 else "they"
            adds = "adds" if count == 1 else "add"
            why = f"{these} {adds} nothing" if split == "Training" else f"{these} must not be used for training"
            found.append(f"{_are_copies(count)} of images in {split}: {why}")
    if count := copies["with_another_label"]:
        found.append(f"{counted(count, 'face')} {'has' if count == 1 else 'have'} a copy with another label")
    return found


def _are_copies(count: int) -> str:
    return "1 face is a copy" if count == 1 else f"{counted(count, 'face')} are copies"
