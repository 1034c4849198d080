"""Formatting of times, shares and lists for texts and pages."""

from __future__ import annotations

from collections.abc import Sequence


def length(seconds: float) -> str:
    """Return a duration as text, rounded.

    >>> length(0.5), length(4), length(19.64), length(150), length(3600), length(5025)
    ('0.5 s', '4 s', '20 s', '2 min 30 s', '1 h', '1 h 24 min')
    """
    if seconds < 10:
        return f"{round(seconds, 1):g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


def counted(number: int, noun: str) -> str:
    """Return a number of things as text.

    >>> counted(1, "pair"), counted(1200, "pair")
    ('1 pair', '1,200 pairs')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(share: float) -> str:
    """Return a share, 0 to 1, as a percentage; only 0 is shown as 0%, and only 1 as 100%.

    >>> percent(0.0), percent(0.001), percent(0.5), percent(0.999), percent(1.0)
    ('0%', 'under 1%', '50%', 'over 99%', '100%')
    """
    if 0 < share < 0.005:
        return "under 1%"
    if 0.995 <= share < 1:
        return "over 99%"
    return f"{100 * share:.0f}%"


def exact_percent(share: float, digits: int = 1) -> str:
    """Return a share, 0 to 1, as a percentage with a fixed number of digits.

    >>> exact_percent(0.9106), exact_percent(0.95, 0)
    ('91.1%', '95%')
    """
    return f"{100 * share:.{digits}f}%"


def and_list(items: Sequence[str]) -> str:
    """Return a list as text, joined by commas and "and".

    >>> and_list(["a"]), and_list(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join(part for part in (", ".join(items[:-1]), items[-1]) if part)


def moment(seconds: float) -> str:
    """Return a time since the start as text, with tenths of a second within the first minute.

    >>> moment(0), moment(7.26), moment(75.5), moment(3675)
    ('0.0 s', '7.3 s', '1:15', '1:01:15')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
