"""What to do about each image: the only place where findings become decisions.

Training images are kept, down-weighted or dropped. Test images are never touched or
relabelled, only marked: ``leaked`` where the same photograph stands in an earlier split.
Decisions about Training look at Training alone, so nothing of a test set steers them.

The weights are judgements, written down in ``RULES`` for all to see: copies of one
photograph share the weight of one; what is no face at all is dropped; what is doubtful
counts half; what the label model and the crowd both contradict counts a quarter.
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
    "exact copy": "drop: the same pixels stand earlier in Training; one copy stays",
    "copies disagree": "drop all copies, unless more than half of them, or the crowd's clear vote, name one label",
    "not a face": "drop: empty or placeholder image, or no face by detector and crowd alike",
    "no face found": "down-weight to 0.5: the detector alone",
    "not a face by vote": "down-weight to 0.5: the crowd alone",
    "near copy": "down-weight to 1 over the number of the photograph's versions in Training",
    "label doubtful": "down-weight to 0.5: confident learning, at most 0.1 for the label; the crowd has no clear vote",
    "label contradicted": "down-weight to 0.25: confident learning, and the crowd's clear vote differs",
}


def decide(
    dataset: FaceDataset,
    copies: Copies,
    flags: dict[str, NDArray[np.bool_]],
    labels: LabelAudit | None,
    votes: Votes | None,
) -> SplitFile:
    """Return an action, a weight and the reasons for each image.

    Args:
        dataset: the images.
        copies: exact and near duplicates.
        flags: quality faults by name of the check.
        labels: the label model's opinion, None where it was left out.
        votes: the crowd's, None where there are none.
    """
    n = len(dataset)
    training = dataset.training
    weights = np.ones(n, np.float32)
    reasons: list[list[str]] = [[] for _ in range(n)]

    def give(rule: str, who: NDArray[np.bool_], weight: float | NDArray[np.float32], detail: list[str] | None = None) -> None:
        """Apply a rule of ``RULES`` to the training images in ``who``; weights multiply."""
        if rule not in RULES:
            raise KeyError(rule)
        who = who & training
        weights[who] *= weight[who] if isinstance(weight, np.ndarray) else weight
        for i in np.flatnonzero(who):
            reasons[i].append(f"{rule} ({detail[i]})" if detail else rule)

    nothing = np.zeros(n, np.bool_)
    empty = flags["blank"] | flags.get("placeholder", nothing)
    faceless = flags.get("no_face", nothing)
    voted_out = votes.not_a_face if votes is not None else nothing
    give("not a face", empty | (faceless & voted_out), 0.0)
    give("no face found", faceless & ~voted_out & ~empty, 0.5)
    give("not a face by vote", voted_out & ~faceless & ~empty, 0.5)

    first_of = _first_members(copies.exact, training)
    keeper, disagree = _keepers(dataset.labels, copies.exact, training, votes)
    give("copies disagree", disagree & (keeper < 0), 0.0, [dataset.names[i] for i in first_of])
    give("exact copy", (keeper >= 0) & (keeper != np.arange(n)), 0.0, [dataset.names[i] for i in keeper])
    alive = training & (weights > 0)
    photo = photos_among(copies, alive)  # a test image must not link two of Training
    versions = np.bincount(photo[alive], minlength=n)[photo]
    many = alive & (versions > 1)
    give("near copy", many, (1 / np.maximum(versions, 1)).astype(np.float32), [f"{v} versions" for v in versions])

    if labels is not None:
        clear = votes.clear if votes is not None else nothing
        contradicted = labels.issue & clear & (votes.winner != dataset.labels) if votes is not None else nothing
        suggested = [EMOTIONS[k] for k in labels.suggestion]
        give("label doubtful", labels.issue & (labels.suspicion >= DOUBTFUL_SUSPICION) & ~clear, 0.5, suggested)
        give("label contradicted", contradicted, 0.25, suggested)

    again = leaked(copies.exact, dataset.splits)
    nearly = leaked(copies.photo, dataset.splits) & ~again
    for i in np.flatnonzero(again & ~training):
        reasons[i].append("same pixels in an earlier split")
    for i in np.flatnonzero(nearly & ~training):
        reasons[i].append("near copy in an earlier split")
    actions = [
        ("drop" if w == 0 else "keep" if w == 1 else "down-weight") if train else ("leaked" if leak else "clean")
        for w, train, leak in zip(weights, training, again | nearly, strict=True)
    ]
    return SplitFile(tuple(actions), weights, tuple("; ".join(r) for r in reasons))


def _keepers(
    labels: NDArray[np.int64], exact: NDArray[np.int64], training: NDArray[np.bool_], votes: Votes | None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each training image the copy that stays, -1 where none does; and who is in a group that disagrees."""
    keeper = np.arange(len(labels))
    disagree = np.zeros(len(labels), np.bool_)
    inside = np.flatnonzero(training & (group_sizes(exact) > 1))
    for group in np.unique(exact[inside]):
        members = inside[exact[inside] == group]
        given = labels[members]
        stays = members[0]
        if len(members) > 1 and given.min() != given.max():
            disagree[members] = True
            counts = np.bincount(given, minlength=len(EMOTIONS))
            winner = int(counts.argmax())
            if 2 * counts[winner] <= len(members):  # no majority among the copies: ask the crowd
                crowd = votes is not None and bool(votes.clear[members[0]])
                winner = int(votes.winner[members[0]]) if votes is not None and crowd else -1
            agreeing = members[given == winner]
            stays = agreeing[0] if len(agreeing) else -1
        keeper[members] = stays
    return keeper, disagree


def _first_members(groups: NDArray[np.int64], among: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (N,) int64: the first image of each image's group that is in ``among``; itself where none is."""
    first = np.full(len(groups), len(groups), np.int64)
    np.minimum.at(first, groups[among], np.flatnonzero(among))
    return np.where(first[groups] < len(groups), first[groups], np.arange(len(groups)))


def before_and_after(dataset: FaceDataset, decisions: SplitFile) -> dict[str, dict[str, float]]:
    """Return, for each class of Training, images before, images kept, and the sum of their weights; and the test splits."""
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
