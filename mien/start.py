"""The entry point of ``mien``, ``python -m mien`` and the five root scripts.

Starts the command line, or says in one line why it cannot.

A plain ``python`` outside the environment lacks the packages. Nothing but the standard library is
imported before that is known, and nothing newer than Python 3.8 is written here.
"""

import sys
from pathlib import Path
from typing import Optional

LEAST_PYTHON = (3, 11)


def main(verb: Optional[str] = None) -> None:  # noqa: UP045  read by older Pythons too
    """Run the command line and exit; see ``mien.cli.main``."""
    if sys.version_info < LEAST_PYTHON:
        _refuse("Mien needs Python %d.%d or newer, this is %d.%d" % (*LEAST_PYTHON, *sys.version_info[:2]))  # noqa: UP031
    try:
        from mien.cli import main as run
    except KeyboardInterrupt:  # pressed while the packages are loaded: nothing has begun
        sys.exit(130)
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] == "mien":
            raise
        _refuse("the package " + str(error.name) + " is not installed for " + sys.executable)
    run(verb)


def _refuse(reason: str) -> None:
    clone = Path(__file__).resolve().parent.parent
    python = clone / ".venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    way = (
        "Run it with " + str(python)
        if python.exists()
        else "Set up the environment with: make live, and run it with " + str(python)
    )
    print("error: " + reason + ". " + way, file=sys.stderr)
    sys.exit(4)
