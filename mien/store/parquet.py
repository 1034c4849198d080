"""The readings of a session as Parquet, for pandas, Polars, DuckDB and Spark. Needs pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv, parquet

from mien.errors import DataError
from mien.files import atomic_path
from mien.store.observations import COLUMNS

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


def write_parquet(source: Path, target: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write ``observations.csv`` as Parquet, in portions, so that a long session takes no more memory than a short one.

    Numbers are float32 where the table above says nothing else; what is empty in the CSV is null.
    ``metadata`` goes into the file's own.

    Raises:
        DataError: the file is none of Mien's.
        DeviceError: the disk refuses.
    """
    schema = pa.schema([(name, _TYPES.get(name, pa.float32())) for name in COLUMNS], metadata)
    options = csv.ConvertOptions(
        column_types=schema, include_columns=COLUMNS, include_missing_columns=True, true_values=["1"], false_values=["0"],
        strings_can_be_null=True,
    )  # fmt: skip
    try:
        with (
            csv.open_csv(source, convert_options=options) as rows,
            atomic_path(target) as temporary,
            parquet.ParquetWriter(temporary, schema, compression="zstd") as writer,
        ):
            for portion in rows:
                writer.write_batch(portion.cast(schema) if portion.schema != schema else portion)
    except pa.ArrowInvalid as error:
        raise DataError(f"{source} is no file of observations: {error}") from error


def write_columns(columns: Mapping[str, Sequence[float]], target: Path, metadata: Mapping[str, str]) -> None:
    """Write columns of numbers, all of one length, as Parquet in float64."""
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()}, metadata=metadata)
    with atomic_path(target) as temporary:
        parquet.write_table(table, temporary, compression="zstd")
