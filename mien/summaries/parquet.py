"""Observations as Parquet, for pandas, Polars, DuckDB and Spark. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from mien.errors import DataError
from mien.files import atomic_path
from mien.sessions.observations import columns

_TEXT = pa.dictionary(pa.int32(), pa.string())
_TYPES = {
    "t_s": pa.float64(),
    "frame": pa.int64(),
    "uncertain": pa.bool_(),
    "facing": pa.bool_(),
    "track_id": _TEXT,
    "label": _TEXT,
    "unread": _TEXT,
}


def write_parquet(source: Path, target: Path, metadata: Mapping[str, str] | None = None, expressions: bool = True) -> None:
    """Convert ``observations.csv`` to Parquet in batches, so that memory use does not depend on the session's length.

    Numbers are float32 except for the columns in ``_TYPES``; empty cells are null.

    Args:
        source: the CSV file.
        target: the Parquet file.
        metadata: added to the file's metadata.
        expressions: include the columns of expressions.

    Raises:
        DataError: ``source`` is not an observations file.
        DeviceError: ``target`` cannot be written.
    """
    names = columns(expressions)
    schema = pa.schema([(name, _TYPES.get(name, pa.float32())) for name in names], metadata)
    options = csv.ConvertOptions(
        column_types=schema, include_columns=names, include_missing_columns=True, true_values=["1"], false_values=["0"],
        strings_can_be_null=True,
    )  # fmt: skip
    try:
        with (
            csv.open_csv(source, convert_options=options) as rows,
            atomic_path(target, private=True) as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for batch in rows:
                writer.write_batch(batch.cast(schema) if batch.schema != schema else batch)
    except pa.ArrowInvalid as error:
        raise DataError(f"{source} is not an observations file: {error}") from error


def write_columns(columns: Mapping[str, Sequence[float]], target: Path, metadata: Mapping[str, str]) -> None:
    """Write columns of equal length as a float64 Parquet file."""
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()}, metadata=metadata)
    with atomic_path(target, private=True) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
