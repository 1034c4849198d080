"""Which groups may be published, so that no difference of published groups is a few people.

Groups must be nested or disjoint. Then every sum and difference of published groups is made of
*rests*: a published group without the published groups inside it. So it is enough that every
rest has nobody in it, or at least k people (complementary suppression; Cox 1980,
doi:10.1080/01621459.1980.10477481).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mien.errors import UsageError

People = frozenset[str]


def check_nested(groups: Mapping[str, People]) -> None:
    """Return where all groups are nested or disjoint.

    Raises:
        UsageError: two overlap in another way; by differences they would give away whoever is in both.
    """
    names = sorted(groups)
    for at, name in enumerate(names):
        for other in names[at + 1 :]:
            shared = groups[name] & groups[other]
            if shared and shared not in (groups[name], groups[other]):
                raise UsageError(
                    f"the groups {name!r} and {other!r} share {len(shared)} people, and neither is part of the other. "
                    "Groups must be nested (a class in a school) or apart: publish one of them"
                )


def publishable(present: Mapping[str, People], k: int) -> frozenset[str]:
    """Return the names of the groups that may be published together.

    Args:
        present: who counts in each group; nested or disjoint.
        k: the least number of people in a group, and in every difference of groups.

    >>> class_a = frozenset("abcdefghijkl")
    >>> sorted(publishable({"school": class_a | {"m"}, "class A": class_a}, k=10))
    ['school']
    """
    shown = {name for name, people in present.items() if len(people) >= k}
    while True:
        rests = _rests(shown, present)
        small = [name for name in shown if 0 < len(rests[name]) < k]
        if not small:
            return frozenset(shown)
        # the rest of a group is too small: what is nearest inside it and smallest is left out, and becomes part of the rest
        name = min(small, key=lambda each: (len(present[each]), each))
        inside = [other for other in _inside(name, shown, present) if rests[other]]
        shown.remove(min(inside, key=lambda each: (len(present[each]), each)))


def _rests(shown: set[str], present: Mapping[str, People]) -> dict[str, People]:
    """Return each shown group without the shown groups inside it; of equal groups the last by name has no rest."""
    return {name: present[name].difference(*(present[other] for other in _inside(name, shown, present))) for name in shown}


def _inside(name: str, shown: set[str], present: Mapping[str, People]) -> Sequence[str]:
    """Return the shown groups inside ``name``; of two equal groups the one later in the alphabet is inside the other."""
    return [
        other
        for other in sorted(shown)
        if other != name and (present[other] < present[name] or (present[other] == present[name] and other > name))
    ]
