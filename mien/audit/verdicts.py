"""Decisions about each image, from the findings.

Training images are kept, down-weighted or dropped. Test images are never changed or relabelled,
only marked ``leaked`` if the same photograph occurs in an earlier split. Decisions about Training
depend on Training alone.

The weights are documented in ``RULES``: copies of one photograph share the weight of one image;
images without a face are dropped; doubtful images count half; labels that both the label model and
the raters contradict count a quarter.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from mien.audit.copies import Copies, group_sizes, leaked, photos_among
from mien.audit.labels import LabelAudit
from mien.data.dataset import SPLITS, FaceDataset
from mien.data.split_file import SplitFile
from mien.data.votes import Votes
from mien.emotions import EMOTIONS

VERDICTS_VERSION: Final = "1"
DOUBTFUL_SUSPICION: Final = 0.9
RULES: Final[dict[str, str]] = {
    "exact copy": "drop: the same pixels occur earlier in Training; one copy is kept",
    "copies disagree": "drop all copies, unless more than half of them, or a majority of raters, agree on one label",
    "not a face": "drop: empty or placeholder image, or no face by both detector and raters",
    "no face found": "down-weight to 0.5: no face by the detector only",
    "not a face by vote": "down-weight to 0.5: no face by the raters only",
    "near copy": "down-weight to 1/n, for n versions of the photograph in Training",
    "label doubtful": "down-weight to 0.5: confident learning, label probability at most 0.1; no majority of raters",
    "label contradicted": "down-weight to 0.25: confident learning, and a majority of raters disagrees",
}


def decide(
    dataset: FaceDataset,
    copies: Copies,
    flags: dict[str, NDArray[np.bool_]],
    labels: LabelAudit | None,
    votes: Votes | None,
) -> SplitFile:
    """Return an action, a weight and reasons for each image.

    Args:
        dataset: the images.
        copies: exact and near duplicates.
        flags: (N,) bool by check name.
        labels: label-error estimates, None without a label model.
        votes: the raters' votes, None without votes.
    """
    n = len(dataset)
    training = dataset.training
    weights = np.ones(n, np.float32)
    reasons: list[list[str]] = [[] for _ in range(n)]

    def apply_rule(
        rule: str, chosen: NDArray[np.bool_], weight: float | NDArray[np.float32], detail: list[str] | None = None
    ) -> None:
        """Apply a rule of ``RULES`` to the ``chosen`` Training images; weights multiply."""
        if rule not in RULES:
            raise KeyError(rule)
        chosen = chosen & training
        weights[chosen] *= weight[chosen] if isinstance(weight, np.ndarray) else weight
        for i in np.flatnonzero(chosen):
            reasons[i].append(f"{rule} ({detail[i]})" if detail else rule)

    none = np.zeros(n, np.bool_)
    empty = flags["blank"] | flags.get("placeholder", none)
    faceless = flags.get("no_face", none)
    voted_out = votes.not_a_face if votes is not None else none
    apply_rule("not a face", empty | (faceless & voted_out), 0.0)
    apply_rule("no face found", faceless & ~voted_out & ~empty, 0.5)
    apply_rule("not a face by vote", voted_out & ~faceless & ~empty, 0.5)

    first_of = _first_members(copies.exact, training)
    keeper, disagree = _keepers(dataset.labels, copies.exact, training, votes)
    apply_rule("copies disagree", disagree & (keeper < 0), 0.0, [dataset.names[i] for i in first_of])
    apply_rule("exact copy", (keeper >= 0) & (keeper != np.arange(n)), 0.0, [dataset.names[i] for i in keeper])
    kept = training & (weights > 0)
    photo = photos_among(copies, kept)  # a test image must not link two Training images
    versions = np.bincount(photo[kept], minlength=n)[photo]
    many = kept & (versions > 1)
    apply_rule("near copy", many, (1 / np.maximum(versions, 1)).astype(np.float32), [f"{v} versions" for v in versions])

    if labels is not None:
        clear = votes.clear if votes is not None else none
        contradicted = labels.issue & clear & (votes.winner != dataset.labels) if votes is not None else none
        suggested = [EMOTIONS[k] for k in labels.suggestion]
        apply_rule("label doubtful", labels.issue & (labels.suspicion >= DOUBTFUL_SUSPICION) & ~clear, 0.5, suggested)
        apply_rule("label contradicted", contradicted, 0.25, suggested)

    exact_leak = leaked(copies.exact, dataset.splits)
    near_leak = leaked(copies.photo, dataset.splits) & ~exact_leak
    for i in np.flatnonzero(exact_leak & ~training):
        reasons[i].append("same pixels in an earlier split")
    for i in np.flatnonzero(near_leak & ~training):
        reasons[i].append("near copy in an earlier split")
    actions = [
        ("drop" if w == 0 else "keep" if w == 1 else "down-weight") if train else ("leaked" if leak else "clean")
        for w, train, leak in zip(weights, training, exact_leak | near_leak, strict=True)
    ]
    return SplitFile(tuple(actions), weights, tuple("; ".join(r) for r in reasons))


def _keepers(
    labels: NDArray[np.int64], exact: NDArray[np.int64], training: NDArray[np.bool_], votes: Votes | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return (N,) int64 index of the copy kept for each Training image, -1 for none; and (N,) bool, whether labels conflict."""
    keeper = np.arange(len(labels))
    disagree = np.zeros(len(labels), np.bool_)
    inside = np.flatnonzero(training & (group_sizes(exact) > 1))
    for group in np.unique(exact[inside]):
        members = inside[exact[inside] == group]
        given = labels[members]
        kept = members[0]
        if len(members) > 1 and given.min() != given.max():
            disagree[members] = True
            counts = np.bincount(given, minlength=len(EMOTIONS))
            winner = int(counts.argmax())
            if 2 * counts[winner] <= len(members):  # no majority among the copies: use the raters' votes
                clear = votes is not None and bool(votes.clear[members[0]])
                winner = int(votes.winner[members[0]]) if votes is not None and clear else -1
            agreeing = members[given == winner]
            kept = agreeing[0] if len(agreeing) else -1
        keeper[members] = kept
    return keeper, disagree


def _first_members(groups: NDArray[np.int64], among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (N,) int64: the first member of each image's group that is in ``among``, the image itself if there is none."""
    first = np.full(len(groups), len(groups), np.int64)
    np.minimum.at(first, groups[among], np.flatnonzero(among))
    return np.where(first[groups] < len(groups), first[groups], np.arange(len(groups)))


def before_and_after(dataset: FaceDataset, decisions: SplitFile) -> dict[str, dict[str, float]]:
    """Return counts before and after: kept images and their sum of weights by Training class, clean images by test split."""
    training = dataset.training
    found: dict[str, dict[str, float]] = {}
    for k, name in enumerate(EMOTIONS):
        here = training & (dataset.labels == k)
        found[name] = {
            "before": int(here.sum()),
            "kept": int((decisions.weights[here] > 0).sum()),
            "effective": round(float(decisions.weights[here].sum()), 2),
        }
    for code, split in enumerate(SPLITS[1:], start=1):
        test = dataset.splits == code
        found[split] = {"before": int(test.sum()), "clean": int((decisions.clean & test).sum())}
    return found
