"""Are newly labelled faces fit to be learnt from? Four questions before they join the training data.

Do the people agree who labelled them; where does the model disagree and is sure; are the classes
in balance; and does a face stand in the old data already, in Training (then it adds nothing) or
in a test split (then it must not be learnt). Findings are for a person to act on: nothing is
dropped here.
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

SURE: Final = 0.8
"""From this confidence on the model's disagreement with a label is worth a second look."""
SHOWN: Final = 100
_POOR, _FAIR = 0.667, 0.8  # Krippendorff's own marks: below the first draw no conclusions


def check_new_labels(
    new: FaceDataset,
    probabilities: NDArray[np.float32],
    annotations: Annotations | None = None,
    against: FaceDataset | None = None,
) -> dict[str, Any]:
    """Return what is to be known of newly labelled faces, as plain values.

    Args:
        new: the faces with the labels they are to be learnt with.
        probabilities: (N, 7) the model's answers to them.
        annotations: who said what, where more than one person labelled.
        against: the data the model was trained and tested on.

    Returns:
        ``images``, ``classes``, ``imbalance`` (largest over smallest class that occurs), ``missing`` (classes
        without a face), ``agreement``, ``disagreements``, ``copies``, and ``problems``, sentences for a person.
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


def _disagreements(new: FaceDataset, probabilities: NDArray[np.float32]) -> dict[str, Any]:
    """Return where the model is sure of another class, the surest first."""
    predicted = probabilities.argmax(1)
    confidence = probabilities.max(1)
    sure = confidence >= SURE
    doubtful = np.flatnonzero(sure & (predicted != new.labels))
    order = doubtful[np.argsort(-confidence[doubtful], kind="stable")]
    return {
        "sure_from": SURE,
        "sure": int(sure.sum()),
        "disagree": len(doubtful),
        "share": len(doubtful) / max(1, int(sure.sum())),
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
    """Return how many new faces repeat one another, and how many stand in each split of the old data."""
    n = len(new)
    images, labels = new.images, new.labels
    if against is not None:
        images, labels = np.concatenate([images, against.images]), np.concatenate([labels, against.labels])
    exact = exact_groups(images)
    originals = np.unique(exact)
    pairs = find_near_duplicates(images[originals])
    pairs = NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
    photo = join_copies(exact, pairs).photo  # an id is the position of its first image, and new ones come first
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
    """Return the findings that need a person, as sentences."""
    found = []
    agreement, doubts, copies = facts["agreement"], facts["disagreements"], facts["copies"]
    if agreement is not None and agreement["krippendorff"] is not None and agreement["krippendorff"] < _FAIR:
        word = "too little to learn from" if agreement["krippendorff"] < _POOR else "enough for tentative use only"
        found.append(f"the annotators agree to alpha {agreement['krippendorff']:.2f}: {word} (0.80 is good)")
    if agreement is not None and agreement["krippendorff"] is None:
        found.append("no two annotators labelled the same images with more than one class: their agreement is unknown")
    if doubts["disagree"]:
        found.append(f"{doubts['disagree']} of {doubts['sure']} faces that the model is sure of have another label: look at them")
    if facts["missing"]:
        found.append(f"no face of {', '.join(facts['missing'])}")
    if facts["imbalance"] is not None and facts["imbalance"] > 20:
        found.append(f"the largest class has {facts['imbalance']:.0f} times the faces of the smallest")
    if copies["repeat_one_another"]:
        found.append(f"{copies['repeat_one_another']} faces repeat another new one")
    for split, count in (copies["stand_in"] or {}).items():
        if count:
            why = "they add nothing" if split == "Training" else "they must not be learnt"
            found.append(f"{count} faces stand in {split} already: {why}")
    if copies["with_another_label"]:
        found.append(f"{copies['with_another_label']} faces stand somewhere else with another label")
    return found
