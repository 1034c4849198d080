"""Views stored in a session's folder: page, picture, and Parquet if pyarrow is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from mien.files import write_text
from mien.sessions.layout import OBSERVATIONS_NAME, PAGE_NAME, PARQUET_NAME, PICTURE_NAME
from mien.sessions.records import KeptSession
from mien.summaries.page import summary_page
from mien.summaries.picture import session_picture


def write_views(folder: Path, kept: KeptSession) -> None:
    """Write all views of a session into its folder, replacing existing ones.

    Raises:
        DataError: ``observations.csv`` is broken.
        DeviceError: a file cannot be written.
    """
    write_text(folder / PAGE_NAME, summary_page(kept), private=True)
    session_picture(folder / PICTURE_NAME, kept)
    if find_spec("pyarrow") is not None and (folder / OBSERVATIONS_NAME).is_file():
        from mien.summaries.parquet import write_parquet

        write_parquet(folder / OBSERVATIONS_NAME, folder / PARQUET_NAME, expressions=kept.session.has_expressions)
