"""Options that several verbs share, so that they read and behave the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path,
    typer.Option(help="FER2013 (Kaggle's folder, Kaggle's zip read in place, the original CSV), or class folders of your own."),
]
Model = Annotated[str, typer.Option(help="A packaged bundle, or a path.")]
SplitFileOption = Annotated[
    Path | None,
    typer.Option(
        "--split-file",
        help="clean_split.csv of mien prepare: what to drop or weigh less in Training, what is clean in a test split.",
    ),
]

VotesOption = Annotated[
    Path | None,
    typer.Option("--votes", help="FER+ votes: a CSV with a path column, or Microsoft's fer2013new.csv with --data fer2013.csv."),
]

States = Annotated[str, typer.Option(help="off, or experimental: what may be, with little confidence.")]
Rules = Annotated[Path | None, typer.Option(help="Rules of your own (mien states init).")]

# the two defaults stand here as text: importing them would load OpenCV and ONNX Runtime for --help
DATA_DEFAULT = Path("data/fer2013")
MODEL_DEFAULT = "mien-s"
Db = Annotated[
    str,
    typer.Option(
        "--db",
        help="A database of sessions: a path of an SQLite file, or postgresql+psycopg://USER@HOST/NAME.",
        show_default="$MIEN_DB, or the file in your data folder where there is one",
    ),
]


def wants_states(wish: str) -> bool:
    """Return whether learning states are asked for, by the word that says what they are.

    Raises:
        UsageError: it is another word.
    """
    from mien.errors import UsageError

    if wish not in ("off", "experimental"):
        raise UsageError(f"states is {wish!r}; it must be off or experimental")
    return wish == "experimental"
