"""Groups of exact and near duplicates, within and across splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.audit.near import PROOF_THRESHOLD, SEARCH_THRESHOLD, NearPairs
from mien.data.dataset import SPLITS, FaceDataset
from mien.errors import missing_extra


@dataclass(frozen=True, slots=True)
class Copies:
    """Groups of duplicate images.

    Attributes:
        exact: (N,) int64, group ids by equal pixels; an id is the index of the group's first image.
        photo: (N,) int64, group ids by photograph: the transitive closure of exact and
            near duplicates.
        pairs: the near-duplicate pairs, between the first images of exact groups.
    """

    exact: NDArray[np.int64]
    photo: NDArray[np.int64]
    pairs: NearPairs


def join_copies(exact: NDArray[np.int64], pairs: NearPairs) -> Copies:
    """Return the groups from (N,) exact group ids and near-duplicate pairs.

    Raises:
        DeviceError: scipy is not installed.
    """
    try:
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components
    except ImportError as error:
        raise missing_extra("scipy", "audit", "Finding duplicates") from error
    n = len(exact)
    rows, columns = np.concatenate([pairs.first, np.arange(n)]), np.concatenate([pairs.second, exact])
    links = coo_array((np.ones(len(rows), np.bool_), (rows, columns)), shape=(n, n))
    component = connected_components(links, directed=False)[1]
    first = np.full(int(component.max(initial=-1)) + 1, n, np.int64)
    np.minimum.at(first, component, np.arange(n))
    return Copies(exact, first[component], pairs)


def photos_among(copies: Copies, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (N,) int64 photograph ids computed from the ``chosen`` images alone; (N,) bool, other images link no groups."""
    present = np.zeros(len(chosen), np.bool_)
    present[copies.exact[chosen]] = True
    pairs = copies.pairs
    both = present[pairs.first] & present[pairs.second]
    return join_copies(
        copies.exact, NearPairs(pairs.first[both], pairs.second[both], pairs.score[both], pairs.mirrored[both])
    ).photo


def group_sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (N,) int64: the size of each image's group."""
    return np.bincount(groups, minlength=len(groups))[groups]


def in_earlier_split(groups: NDArray[np.int64], splits: NDArray[np.int64], earlier: int) -> NDArray[np.bool_]:
    """Return (N,) bool: whether the image's group has a member in split ``earlier``, which precedes the image's own."""
    present = np.zeros(len(groups), np.bool_)
    present[groups[splits == earlier]] = True
    return present[groups] & (splits > earlier)


def leaked(groups: NDArray[np.int64], splits: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return (N,) bool: whether the image's group has a member in an earlier split; testing on it measures memorisation."""
    found = np.zeros(len(groups), np.bool_)
    for earlier in range(len(SPLITS) - 1):
        found |= in_earlier_split(groups, splits, earlier)
    return found


def summarise(groups: NDArray[np.int64], dataset: FaceDataset) -> dict[str, Any]:
    """Return counts of groups, images in them, redundant images, conflicting labels, and copies across splits.

    ``cross_split`` counts the images of the later split that also occur in the earlier one.
    """
    members = group_sizes(groups) > 1
    ids = np.unique(groups[members])
    by_group = np.argsort(groups, kind="stable")
    by_group = by_group[members[by_group]]
    starts = np.flatnonzero(np.diff(groups[by_group], prepend=-1))
    labels = dataset.labels[by_group]
    conflicting = (
        np.minimum.reduceat(labels, starts) != np.maximum.reduceat(labels, starts) if len(starts) else np.zeros(0, np.bool_)
    )
    return {
        "groups": len(ids),
        "images": int(members.sum()),
        "redundant": int(members.sum()) - len(ids),
        "conflicting_label_groups": int(conflicting.sum()),
        "largest_group": int(group_sizes(groups).max(initial=0)),
        "cross_split": {
            f"{SPLITS[earlier]}>{SPLITS[later]}": int(
                (in_earlier_split(groups, dataset.splits, earlier) & (dataset.splits == later)).sum()
            )
            for earlier in range(len(SPLITS))
            for later in range(earlier + 1, len(SPLITS))
        },
    }


def summarise_near(copies: Copies, dataset: FaceDataset) -> dict[str, Any]:
    """Return the counts for near duplicates; groups include exact copies."""
    pairs = copies.pairs
    in_pairs = np.zeros(len(dataset), np.bool_)
    touched = np.unique(np.concatenate([pairs.first, pairs.second]))
    in_pairs[np.isin(copies.exact, touched)] = True
    return {
        "method": {
            "search": f"band-passed 12x12 correlation above {SEARCH_THRESHOLD}, mirror images too",
            "proof": f"high-passed 48x48 correlation of at least {PROOF_THRESHOLD}, best over shifts and scales",
        },
        "pairs": len(pairs),
        "mirrored_pairs": int(pairs.mirrored.sum()),
        "images_with_a_near_copy": int(in_pairs.sum()),
        **summarise(copies.photo, dataset),
        "beyond_exact": {
            "redundant": len(np.unique(copies.exact)) - len(np.unique(copies.photo)),
            "share": (len(np.unique(copies.exact)) - len(np.unique(copies.photo))) / max(1, len(dataset)),
        },
    }
