"""Scores by group, from a CSV of groups.

FER2013 has no demographic labels, and Mien does not infer them from faces. Groups come from labels
that people gave about themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.data.tables import read_rows, short_name
from mien.errors import DataError
from mien.evaluation.significance import difference_interval, proportions_differ

MIN_GROUP_SIZE: Final = 30
"""Smaller groups are not scored: chance, or single persons, would dominate the result."""
NO_GROUPS_NOTE: Final = (
    "FER2013 has no labels of age, sex, skin colour or origin, so fairness across groups was not measured. Labels inferred "
    "from faces would add errors of their own; ask people instead and pass --groups."
)
_NAMED: Final = 5


def read_groups(path: Path, names: tuple[str, ...], all_names: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the group of each image, an empty string without one.

    Args:
        path: CSV with the columns ``image`` and ``group``.
        names: names of the images; in the file, the last three path components of a name are enough.
        all_names: names of all images of the data set; rows about those that are not in ``names`` are ignored.

    Raises:
        DataError: missing file, columns or rows, an unknown image, or an image in two groups.
    """
    rows = read_rows(path, "the groups")
    if not rows:
        raise DataError(f"the groups {path} are empty; expected rows of image,group")
    if not {"image", "group"} <= set(rows[0]):
        raise DataError(f"the groups {path} have the columns {list(rows[0])[:6]}; expected image,group")
    place = {short_name(name): i for i, name in enumerate(names)}
    place |= {name: i for i, name in enumerate(names)}
    elsewhere = {short_name(name) for name in all_names}
    found = [""] * len(names)
    unknown = []
    for line, row in enumerate(rows, start=2):
        image, group = (row["image"] or "").strip(), (row["group"] or "").strip()
        at = place.get(image, place.get(short_name(image)))
        if at is None and short_name(image) in elsewhere:
            continue
        if at is None:
            unknown.append(f"{image!r} (line {line})")
        elif found[at] not in ("", group):
            raise DataError(f"the groups {path}, line {line}: {image!r} is in {found[at]!r} and in {group!r}. Keep one of them")
        else:
            found[at] = group
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise DataError(
            f"the groups {path} name images that are not in this data: {', '.join(unknown[:_NAMED])}{more}. "
            f"Names here look like {names[0]!r}"
        )
    return tuple(found)


def by_group(groups: tuple[str, ...], labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> dict[str, Any]:
    """Return scores by group, each compared with all other images that have a group.

    Args:
        groups: the group of each of N images, empty for none.
        labels: (N,) class indices.
        predicted: (N,) predicted class indices.
        classes: number of classes.

    Returns:
        ``n`` by group; from ``MIN_GROUP_SIZE`` images on, ``accuracy``, ``accuracy_ci``, ``macro_f1``,
        ``gap`` (accuracy minus that of all others), ``gap_ci`` and ``p`` (Holm-corrected);
        otherwise ``refused``, the reason.
    """
    names = np.array(groups)
    correct = labels == predicted
    known = names != ""
    found: dict[str, Any] = {}
    for name in sorted(set(groups) - {""}):
        here = names == name
        n, others = int(here.sum()), known & ~here
        if n < MIN_GROUP_SIZE:
            found[name] = {"n": n, "refused": f"{n} images; scored from {MIN_GROUP_SIZE} on"}
            continue
        hits = int(correct[here].sum())
        found[name] = {
            "n": n,
            "accuracy": hits / n,
            "accuracy_ci": list(metrics.wilson_interval(hits, n)),
            "macro_f1": metrics.macro_f1(metrics.confusion_matrix(labels[here], predicted[here], classes)),
        }
        if int(others.sum()) >= MIN_GROUP_SIZE:
            against = (hits, n, int(correct[others].sum()), int(others.sum()))
            found[name] |= {
                "gap": hits / n - against[2] / against[3],
                "gap_ci": list(difference_interval(*against)),
                "p": proportions_differ(*against),
            }
    tested = [name for name, row in found.items() if "p" in row]
    for name, p in zip(tested, metrics.holm([found[name]["p"] for name in tested]), strict=True):
        found[name]["p"] = p
    return found
