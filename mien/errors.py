"""The errors a user can cause, and the exit code each one ends the program with.

A message says what is wrong, which value it was, and what to do. Anything else that is
raised is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib.util import find_spec


class MienError(Exception):
    """Root of every error a user can cause; never raised itself."""

    exit_code = 1


class UsageError(MienError):
    """An option or a setting has a value that cannot be used."""

    exit_code = 2


class RulesError(UsageError):
    """A rules file says something that cannot be, or that must not be said; all of it is named."""


class NotPermittedError(UsageError):
    """The declared deployment does not permit what was asked for."""


class DataError(MienError):
    """Input data is missing, broken or not what it claims to be."""

    exit_code = 3


class BundleError(DataError):
    """A model file is broken, or does not fit this program."""


class DeviceError(MienError):
    """A camera, a screen, a disk or an installed package is not there or refuses."""

    exit_code = 4


def nearest(value: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'demo'?`` for a slip of the pen, "" where nothing known is near.

    >>> nearest("demmo", ["auto", "demo"])
    " Did you mean 'demo'?"
    """
    spellings = {word.lower(): word for word in known}
    close = get_close_matches(value.lower(), spellings, n=1, cutoff=0.6)
    return f" Did you mean {spellings[close[0]]!r}?" if close else ""


def missing_extra(package: str, extra: str, purpose: str) -> DeviceError:
    """Return the error for an optional package that is not installed."""
    return DeviceError(f"{purpose} needs the package {package}. Install it with: pip install 'mien[{extra}]'")


def require(packages: tuple[str, ...], extra: str, purpose: str) -> None:
    """Refuse a long job at its start, not at its end, where a package it needs is missing.

    Raises:
        DeviceError: a package cannot be found; the first one is named.
    """
    for package in packages:
        if find_spec(package) is None:
            raise missing_extra(package, extra, purpose)
