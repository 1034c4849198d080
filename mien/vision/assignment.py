"""Linear sum assignment, used to match detections to tracks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def assign(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Return min(R, C) pairs (row, column) with minimum total cost, sorted by row.

    Shortest augmenting paths with potentials (the Hungarian method; Jonker and Volgenant
    1987). The result equals that of SciPy's ``linear_sum_assignment``, without SciPy's 35 MB.

    Args:
        cost: (R, C) finite costs.

    >>> assign(np.array([[1.0, 2.0], [0.0, 5.0]]))
    [(0, 1), (1, 0)]
    """
    if cost.size == 0:
        return []
    if cost.shape[0] > cost.shape[1]:
        return sorted((row, column) for column, row in assign(cost.T))
    rows, columns = cost.shape
    row_potential, column_potential = np.zeros(rows), np.zeros(columns)
    row_of = np.full(columns, -1)
    for row in range(rows):
        # grow a tree of alternating paths from this row until it reaches a free column
        least = np.full(columns, np.inf)
        before = np.full(columns, -1)
        done = np.zeros(columns, np.bool_)
        at, came_from = row, -1
        while True:
            reduced = cost[at] - row_potential[at] - column_potential
            better = ~done & (reduced < least)
            least[better], before[better] = reduced[better], came_from
            nearest = int(np.where(done, np.inf, least).argmin())
            step = least[nearest]
            row_potential[row] += step
            for column in np.flatnonzero(done):
                row_potential[row_of[column]] += step
            column_potential[done] -= step
            least[~done] -= step
            done[nearest] = True
            if row_of[nearest] < 0:
                break
            at, came_from = int(row_of[nearest]), nearest
        while nearest >= 0:  # augment along the path
            previous = int(before[nearest])
            row_of[nearest] = row_of[previous] if previous >= 0 else row
            nearest = previous
    return sorted((int(row), column) for column, row in enumerate(row_of) if row >= 0)
