"""Names that options had before: still understood, with a note, wherever the command has the option under its new name."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import Final

_NEW_NAMES: Final = {
    **dict.fromkeys(("--folder", "--root"), "--sessions"),
    "--since": "--from",
    "--until": "--to",
    "--start": "--model",
    "--again": "--overwrite",
    "--smoothing": "--smoothing-s",
    "--patience": "--patience-s",
    "--duration": "--duration-s",
    "--cooldown": "--cooldown-h",
    "--bin": "--bin-s",
    "--retention": "--retention-days",
}


def with_new_names(arguments: Sequence[str], known: Collection[str]) -> list[str]:
    """Return arguments with old names of options replaced; each is noted on standard error.

    Args:
        arguments: of one command.
        known: the names of the command's options.
    """
    replaced = []
    for argument in arguments:
        name, sign, value = argument.partition("=")
        new = _NEW_NAMES.get(name)
        if new is not None and name not in known and new in known:
            print(f"{name} is now called {new}", file=sys.stderr)
            argument = new + sign + value
        replaced.append(argument)
    return replaced
