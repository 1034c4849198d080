"""Is the model as good for everybody? Numbers by group, where somebody knows the groups.

FER2013 has no demographic labels, and guessing them from faces would be the very thing this
project does not do. Whoever holds labels that people gave about themselves brings a CSV.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien import metrics
from mien.data.names import short_name
from mien.data.tables import read_rows
from mien.errors import DataError
from mien.evaluation.significance import difference_interval, proportions_differ

SMALLEST: Final = 30
"""A group with fewer images gets no numbers: they would say more about chance, or about a person, than about the group."""
WHAT_IT_CANNOT_TELL: Final = (
    "FER2013 has no labels of age, sex, skin colour or origin, so nothing here says whether the model is equally good for all "
    "people. Guessing such labels from faces would add errors of its own; ask people instead and pass --groups."
)
_NAMED: Final = 5


def read_groups(path: Path, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the group of each image, empty where the file says none.

    Args:
        path: a CSV with the columns ``image`` and ``group``.
        names: the images' names; the last three parts of a name are enough in the file.

    Raises:
        DataError: no such file, no such columns, no rows, an image that is not there, or one that is named twice.
    """
    rows = read_rows(path, "the groups")
    if not rows:
        raise DataError(f"the groups {path} are empty; expected lines of image,group")
    if not {"image", "group"} <= set(rows[0]):
        raise DataError(f"the groups {path} have the columns {list(rows[0])[:6]}; expected image,group")
    place = {short_name(name): i for i, name in enumerate(names)}
    place |= {name: i for i, name in enumerate(names)}
    found = [""] * len(names)
    unknown = []
    for line, row in enumerate(rows, start=2):
        image, group = (row["image"] or "").strip(), (row["group"] or "").strip()
        at = place.get(image, place.get(short_name(image)))
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
    """Return numbers by group, each held against all other images that have a group.

    Args:
        groups: of each of N images, empty for none.
        labels: (N,) truths.
        predicted: (N,) answers.
        classes: number of classes.

    Returns:
        by name: ``n``; and where that is at least 30, ``accuracy``, ``accuracy_ci``, ``macro_f1``,
        ``gap`` (accuracy less that of all others), ``gap_ci`` and ``p`` (corrected after Holm);
        else ``refused``, the reason in words.
    """
    names = np.array(groups)
    correct = labels == predicted
    known = names != ""
    found: dict[str, Any] = {}
    for name in sorted(set(groups) - {""}):
        here = names == name
        n, others = int(here.sum()), known & ~here
        if n < SMALLEST:
            found[name] = {"n": n, "refused": f"{n} images; from {SMALLEST} on a number says something"}
            continue
        hits = int(correct[here].sum())
        found[name] = {
            "n": n,
            "accuracy": hits / n,
            "accuracy_ci": list(metrics.wilson_interval(hits, n)),
            "macro_f1": metrics.macro_f1(metrics.confusion_matrix(labels[here], predicted[here], classes)),
        }
        if int(others.sum()) >= SMALLEST:
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
