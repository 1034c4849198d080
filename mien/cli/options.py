"""Options that several commands share, so that they have the same name and meaning everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.sessions.layout import SESSIONS

if TYPE_CHECKING:
    from mien.privacy.policy import Policy
    from mien.sessions.archive import Archive

# as text: importing these defaults would load OpenCV and ONNX Runtime for --help
DATA_DEFAULT = Path("data/fer2013")
MODEL_DEFAULT = "mien-s"
SESSIONS_DEFAULT = SESSIONS

Data = Annotated[Path, typer.Option(help="FER2013 (folder, archive or CSV), or class folders.", rich_help_panel="Data")]
Declaration = Annotated[
    Path | None,
    typer.Option(
        "--deployment",
        help="Deployment declaration.",
        show_default="$MIEN_DEPLOYMENT or ./deployment.toml",
        rich_help_panel="Policy",
    ),
]
Person = Annotated[str, typer.Option("--person", help="Participant ID in the consent ledger.", rich_help_panel="Policy")]
OwnModel = Annotated[str | None, typer.Option("--model", help="Name or path.", show_default="newest in models/ or mien-s")]
OwnModelOrCheckpoint = Annotated[
    str | None,
    typer.Option("--model", help="Name or path.", show_default="newest in models/ or mien-s"),
]
Model = Annotated[str, typer.Option("--model", help="Name or path of a bundle.")]
SplitFileOption = Annotated[
    Path | None,
    typer.Option("--split-file", help="clean_split.csv written by mien prepare.", rich_help_panel="Data"),
]
Classes = Annotated[
    Path | None,
    typer.Option("--classes", help="CSV folder,class: the class of each folder; - skips it.", rich_help_panel="Data"),
]
Validation = Annotated[
    float | None,
    typer.Option(
        "--validation", metavar="SHARE", help="Hold out this share of Training.", show_default=False, rich_help_panel="Data"
    ),
]
VotesOption = Annotated[
    Path | None,
    typer.Option("--votes", help="FER+ votes: CSV with a path column, or fer2013new.csv.", rich_help_panel="Data"),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        "--split", help="Training, PublicTest or PrivateTest.", show_default="PublicTest, or all", rich_help_panel="Data"
    ),
]
Labels = Annotated[
    str,
    typer.Option(
        "--labels",
        help="Whose labels: fer2013, own (human labels) or auto (recognised by the images).",
        rich_help_panel="Data",
    ),
]
SmoothingS = Annotated[float, typer.Option("--smoothing-s", help="Time constant of smoothing; 0: off.")]
States = Annotated[str, typer.Option("--states", help="Learning states: off or experimental.", rich_help_panel="Rules")]
Rules = Annotated[
    Path | None,
    typer.Option("--rules", help="Rules file.", show_default="packaged rules", rich_help_panel="Rules"),
]
SessionsFolder = Annotated[Path, typer.Option("--sessions", help="Folder that holds the sessions.")]
ArchiveFolder = Annotated[
    Path,
    typer.Option("--sessions", help="Folder that holds the sessions.", show_default="results/sessions and results/analyses"),
]
Db = Annotated[
    str,
    typer.Option(
        "--db",
        help="SQLite file, or postgresql://USER@HOST/NAME.",
        show_default="$MIEN_DB or your data folder",
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
OpenPage = Annotated[bool, typer.Option("--open", help="Open the report in a browser.")]
JsonLine = Annotated[
    bool,
    typer.Option(
        "--json",
        help="End with a line of JSON in a terminal as well; a pipe always gets it.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
ClassDb = Annotated[
    str,
    typer.Option("--db", help="SQLite file, or postgresql://USER@HOST/NAME.", show_default="$MIEN_CLASS_DB or your data folder"),
]


def wants_states(value: str) -> bool:
    """Return whether learning states are requested.

    Raises:
        UsageError: the value is neither ``off`` nor ``experimental``.
    """
    from mien.errors import UsageError

    if value not in ("off", "experimental"):
        raise UsageError(f"--states is {value!r}; use off or experimental")
    return value == "experimental"


def whose_labels(value: str) -> bool | None:
    """Return whether a data set has FER2013's labels; None means recognise it by the images.

    Raises:
        UsageError: the value is not ``auto``, ``fer2013`` or ``own``.
    """
    from mien.errors import UsageError

    answers = {"auto": None, "fer2013": True, "own": False}
    if value not in answers:
        raise UsageError(f"--labels is {value!r}; use {', '.join(answers)}")
    return answers[value]


@contextmanager
def archive_in(folder: Path, db: str, database_needed: bool = True) -> Iterator[Archive]:
    """Yield the archive of a sessions folder, with database and message queue; the default one has analyses as well.

    No database is created; see ``open_archive``. What was erased before Ctrl-C is printed.
    """
    from mien.messaging.sinks import drop_messages, unsent_messages
    from mien.sessions.archive import open_archive
    from mien.sessions.layout import ANALYSES

    roots = [ANALYSES] if folder == SESSIONS_DEFAULT else []
    try:
        with open_archive(folder, db, roots, drop_messages, unsent_messages, database_needed) as archive:
            yield archive
    except KeyboardInterrupt as stop:
        typer.echo(f"\nstopped; {stop}" if str(stop) else "\nstopped", err=True)
        raise


def policy_for(declaration: Path | None, needed: bool = False) -> Policy:
    """Return the policy for a command; print the declaration's path on standard error if there is one.

    Raises:
        DataError: no declaration was found and one is ``needed``, or it cannot be read.
        UsageError: the declaration is invalid.
    """
    from mien.errors import DataError
    from mien.privacy.deployment import DEPLOYMENT_NAME, DEPLOYMENT_VARIABLE
    from mien.privacy.policy import policy_here

    policy, declared = policy_here(declaration)
    if declared:
        typer.echo(declared, err=True)
    elif needed:
        raise DataError(
            f"no deployment declaration: there is no {DEPLOYMENT_NAME} in this folder, and {DEPLOYMENT_VARIABLE} is not set. "
            "Create one with: mien policy init"
        )
    return policy
