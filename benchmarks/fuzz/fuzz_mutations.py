"""Hypothesis strategies that damage valid files: their bytes, and the values in them.

Each function takes Hypothesis's ``draw`` and a folder with a valid file, and rewrites the file with some
damage. Damaged bytes find little in formats with checksums and grammars, so most mutations replace a value
by one of another type or size.
"""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import struct
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]
Damage = Callable[[Draw, Path], None]

_MARK = "@@HERE@@"
RAW_JSON = (
    *(
        "null",
        "true",
        "false",
        "0",
        "-1",
        "1",
        "0.5",
        "-0.5",
        "1e308",
        "-1e308",
        "1e999",
        "NaN",
        "-Infinity",
        str(2**63),
        "1" * 5000,
    ),
    *('""', '"x"', '"../../up"', '"/etc/passwd"', '"\\ud800"', '"\\u0000"', '"a\\nb"', '"' + "x" * 70_000 + '"', '"2026-13-45"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-03-04T09:30:00"', '"<script>"', '"\\u001b[31m"'),
    *("[]", "{}", "[[]]", "[null]", '[""]', "[1, 2]", '{"a": 1}', '{"": null}', '[{"a": []}]'),
    *("[" * 40 + "]" * 40, "[" * 20_000 + "]" * 20_000, '{"a":' * 20_000 + "1" + "}" * 20_000, "[" * 3000),
    *('{"happy": "x"}', '{"happy": {"sad": []}}', '{"happy": {"sad": 1e300}}', "[" + "0," * 2000 + "0]"),
)
"""JSON values of unexpected type or size."""
RAW_TOML = (
    *('""', '"x"', "0", "-1", "1", "0.5", "nan", "inf", "-inf", "1e308", "true", "false", "[]", "{}", "[1, 2]", '["a"]', "[[1]]"),
    *("2026-01-01", "2026-01-01T00:00:00Z", "07:32:00", "1979-13-45", "9" * 5000, "[" * 5000 + "]" * 5000, "{a = {b = 1}}"),
    *('"\\u0000"', '"' + "x" * 70_000 + '"', '"a\\nb"', '"../../up"', str(2**63), "0x" + "f" * 40, "[" * 40 + "]" * 40),
)
CELLS = (
    *("", " ", "x", "0", "-1", "1", "0.5", "nan", "inf", "-inf", "1e308", "1e999", "9" * 5000, "0x10", "1_0", "١٢"),
    *("../../up", "/etc/passwd", "C:\\x", "..", "\x00", "a\nb", '"', "é" * 300, "x" * 200_000, "\ud800", "happy", "Training"),
    *("true", "2026-03-04", "[1]", "-", "<script>", "=1+1", "1e9", "1e-9", "2147483648", str(2**63), str(-(2**70))),
)
SQL_VALUES = (
    None,
    "",
    "x",
    "12",
    "1e3",
    b"",
    b"\xff\xfe",
    b"[1]",
    0,
    -1,
    1,
    0.5,
    1e308,
    float("inf"),
    -1e308,
    2**62,
    "[" * 3000,
    "{}",
)
SQL_VALUES += (
    "[]",
    '{"a": "b"}',
    '{"a": NaN}',
    "\x00",
    "../../up",
    "9999-12-31T23:59:59+00:00",
    "2026-03-04",
    "a\nb",
    "x" * 70_000,
)


def damaged_bytes(draw: Draw, data: bytes) -> bytes:
    """Return bytes with one to four places removed, duplicated, overwritten or filled."""
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        size = draw(st.sampled_from((1, 2, 4, 8, 64, 1024)))
        kind = draw(st.sampled_from(("overwrite", "overwrite", "overwrite", "cut", "delete", "double", "insert")))
        if kind == "overwrite":
            data = data[:at] + draw(st.binary(min_size=1, max_size=8)) + data[at + size :] if size > 8 else _over(draw, data, at)
        elif kind == "cut":
            data = data[:at]
        elif kind == "delete":
            data = data[:at] + data[at + size :]
        elif kind == "double":
            data = data[: at + size] + data[at:]
        else:
            data = (
                data[:at] + draw(st.sampled_from((b"\x00", b"\xff" * 8, b"[" * 4000, b"\n", b'"', b"\xef\xbb\xbf"))) + data[at:]
            )
    return data


def _over(draw: Draw, data: bytes, at: int) -> bytes:
    new: bytes = draw(st.binary(min_size=1, max_size=8))
    return data[:at] + new + data[at + len(new) :]


def some_bytes(*names: str) -> Damage:
    """Return a mutation of the bytes of one of the files."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / draw(st.sampled_from(names))
        path.write_bytes(damaged_bytes(draw, path.read_bytes()))

    return damage


def one_of(*ways: Damage) -> Damage:
    """Return a mutation that applies one of several mutations."""

    def damage(draw: Draw, folder: Path) -> None:
        ways[draw(st.integers(0, len(ways) - 1))](draw, folder)

    return damage


def damaged_json(draw: Draw, document: Any) -> str:
    """Return a JSON document with one to three values replaced, removed or renamed."""
    raws = []
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        holder, key = draw(st.sampled_from(places)) if places else (None, None)
        kind = draw(st.sampled_from(("replace", "replace", "replace", "replace", "leave out", "rename")))
        raw = draw(st.sampled_from(_alike(holder[key]) if holder is not None and draw(st.booleans()) else RAW_JSON))
        if holder is None:
            return str(raw)
        if kind == "replace" or isinstance(holder, list):
            holder[key] = f"{_MARK}{len(raws)}"
            raws.append(raw)
        elif kind == "leave out":
            del holder[key]
        else:
            holder[draw(st.sampled_from(("", "x", "../up", "happy")))] = holder.pop(key)
    text = json.dumps(document)
    for number, raw in enumerate(raws):
        text = text.replace(f'"{_MARK}{number}"', raw)
    return text


def _alike(value: Any) -> tuple[str, ...]:
    """Return JSON values of the same type as a value."""
    kind = type(value)
    found = tuple(raw for raw in RAW_JSON if raw[0] in ('"' if kind is str else "-0123456789" if kind in (int, float) else "tf"))
    return found if kind in (str, int, float, bool) else RAW_JSON


def _places(document: Any) -> Any:
    """Yield container and key of every value, at most fifty per list."""
    waiting = [document]
    while waiting:
        holder = waiting.pop()
        items = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))[:50]
        for key, value in items:
            yield holder, key
            if isinstance(value, (dict, list)):
                waiting.append(value)


def json_file(*names: str) -> Damage:
    """Return a mutation of a value in one of the JSON files, sometimes of its bytes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / draw(st.sampled_from(names))
        if draw(st.integers(0, 7)) == 0:
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
        else:
            path.write_text(damaged_json(draw, json.loads(path.read_text(encoding="utf-8"))), encoding="utf-8")

    return damage


def json_lines(*names: str) -> Damage:
    """Return the same for a file with one document per line."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / draw(st.sampled_from(names))
        if draw(st.integers(0, 7)) == 0:
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        at = draw(st.integers(0, len(lines) - 1))
        lines[at] = damaged_json(draw, json.loads(lines[at]))
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    return damage


def toml_file(name: str) -> Damage:
    """Return a mutation of a line of a TOML file, sometimes of its bytes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / name
        if draw(st.integers(0, 7)) == 0:
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        setting = [n for n, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.sampled_from(setting))
            key = lines[at].partition("=")[0]
            kind = draw(st.sampled_from(("replace", "replace", "replace", "leave out", "double", "rename", "header")))
            if kind == "replace":
                lines[at] = f"{key}= {draw(st.sampled_from(RAW_TOML))}" if "=" in lines[at] else draw(st.sampled_from(RAW_TOML))
            elif kind == "leave out":
                lines[at] = ""
            elif kind == "double":
                lines[at] += "\n" + lines[at]
            elif kind == "rename":
                lines[at] = "x" + lines[at]
            else:
                lines[at] = draw(
                    st.sampled_from(("[a]", "[[rule]]", "[rule]", "[augment]", "[a.b.c]", "[literature]", "x.y = 1"))
                )
        path.write_text("\n".join(lines), encoding="utf-8")

    return damage


def csv_file(name: str) -> Damage:
    """Return a mutation of cells and rows of a table, sometimes of its bytes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / name
        if draw(st.integers(0, 7)) == 0:
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(rows) - 1))
            kind = draw(st.sampled_from(("cell", "cell", "cell", "cell", "short", "long", "leave out", "double", "swap")))
            if kind == "cell" and rows[at]:
                rows[at][draw(st.integers(0, len(rows[at]) - 1))] = draw(st.sampled_from(CELLS))
            elif kind == "short":
                rows[at] = rows[at][: draw(st.integers(0, 3))]
            elif kind == "long":
                rows[at] = [*rows[at], "x", ""]
            elif kind == "leave out" and len(rows) > 1:
                del rows[at]
            elif kind == "double":
                rows.insert(at, list(rows[at]))
            else:
                rows[at], rows[-1] = rows[-1], rows[at]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))

    return damage


def sqlite_file(name: str) -> Damage:
    """Return a mutation of the cells of a database, its tables or its bytes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / name
        kind = draw(
            st.sampled_from(("cell", "cell", "cell", "cell", "cell", "cell", "types", "types", "drop", "version", "bytes"))
        )
        if kind == "bytes":
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA foreign_keys = OFF")
            names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            table = draw(st.sampled_from(names))
            if kind == "drop":
                database.execute(f"DROP TABLE {table}")
                return
            if kind == "types":  # the same rows without types and constraints, so SQLite accepts any value
                columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
                database.execute(f"CREATE TABLE other ({', '.join(columns)})")
                database.execute(f"INSERT INTO other SELECT * FROM {table}")  # noqa: S608  its own name
                database.execute(f"DROP TABLE {table}")
                database.execute(f"ALTER TABLE other RENAME TO {table}")
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            for _ in range(draw(st.integers(1, 3))):
                column, value = draw(st.sampled_from(columns)), draw(st.sampled_from(SQL_VALUES))
                with suppress(sqlite3.Error, OverflowError):
                    last = f"rowid = (SELECT max(rowid) FROM {table})"  # noqa: S608  its own name
                    database.execute(f"UPDATE {table} SET {column} = ? WHERE {last}", (value,))  # noqa: S608  the same

    return damage


def npz_file(name: str) -> Damage:
    """Return a mutation of the arrays of an archive: types, shapes, values, declared sizes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / name
        kind = draw(
            st.sampled_from(("values", "values", "dtype", "shape", "claim", "leave out", "facts", "facts", "bomb", "bytes"))
        )
        if kind == "bytes":
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        with np.load(path) as archive:
            arrays = {key: archive[key] for key in archive.files}
        key = draw(st.sampled_from(sorted(arrays)))
        if kind == "facts" and "facts" in arrays:
            text = damaged_json(draw, json.loads(arrays["facts"].tobytes()))
            arrays["facts"] = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        elif kind == "dtype":
            wished = draw(st.sampled_from(("U8", "S3", "c16", "M8[s]", "?", "i1", "u8", "f2", "f8", ">f4", "V4")))
            with suppress(ValueError, TypeError):
                arrays[key] = np.zeros(arrays[key].shape, wished)
        elif kind == "shape":
            arrays[key] = np.resize(
                arrays[key], draw(st.sampled_from(((), (0,), (1,), (7, 7), (1, 2, 3), (0, 3), (40, 250, 9), (2000,))))
            )
        elif kind == "leave out":
            del arrays[key]
        elif kind in ("values", "facts"):
            values = np.array(arrays[key])
            if values.size:
                with suppress(OverflowError, ValueError):
                    values.flat[draw(st.integers(0, values.size - 1))] = draw(
                        st.sampled_from((0, -1, 1e30, 1e300, np.nan, np.inf, -1e9, 255))
                    )
                if draw(st.booleans()):
                    values[...] = values.flat[0]
            arrays[key] = values
        buffer = io.BytesIO()
        with np.errstate(all="ignore"):
            np.savez_compressed(buffer, **arrays)
        path.write_bytes(buffer.getvalue())
        if kind == "claim":
            _claim(
                path, key, draw(st.sampled_from(("(100000000000,)", "(-1,)", "(2, 100000000000)", "(1e9,)", "'x'", "(" * 200)))
            )
        elif kind == "bomb":
            with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("more.npy", b"\0" * (64 << 20))

    return damage


def _claim(path: Path, key: str, shape: str) -> None:
    """Declare a shape in an array's header that its values do not have."""
    head = ("{'descr': '<f8', 'fortran_order': False, 'shape': " + shape + ", }").encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    with zipfile.ZipFile(path) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    content[f"{key}.npy"] = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 64
    with zipfile.ZipFile(path, "w") as archive:
        for each, data in content.items():
            archive.writestr(each, data)


def zip_file(name: str) -> Damage:
    """Return a mutation of the entries of a zip (names, contents, modes, declared sizes) or of its bytes."""

    def damage(draw: Draw, folder: Path) -> None:
        path = folder / name
        if draw(st.integers(0, 2)) == 0:
            path.write_bytes(damaged_bytes(draw, path.read_bytes()))
            return
        with zipfile.ZipFile(path) as archive:
            entries = [(info.filename, archive.read(info), info.external_attr) for info in archive.infolist()]
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(entries) - 1))
            entry, data, mode = entries[at]
            kind = draw(st.sampled_from(("name", "data", "data", "mode", "double", "leave out", "empty")))
            if kind == "name":
                wishes = (
                    "../up.png",
                    "/x.png",
                    "C:/x.png",
                    "a\\..\\b.png",
                    entry.replace("train", "trian"),
                    "x" * 300,
                    "é\x00/a.png",
                    "",
                )
                entry = draw(st.sampled_from(wishes))
            elif kind == "data":
                data = damaged_bytes(draw, data)
            elif kind == "mode":
                mode = draw(st.sampled_from((0o120777, 0o020666, 0o040755, 0))) << 16
            elif kind == "empty":
                data = b""
            entries[at] = (entry, data, mode)
            if kind == "double":
                entries.append(entries[at])
            elif kind == "leave out" and len(entries) > 1:
                del entries[at]
        with zipfile.ZipFile(path, "w", draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))) as archive:
            for entry, data, mode in entries:
                info = zipfile.ZipInfo(entry)
                info.external_attr = mode
                archive.writestr(info, data)

    return damage
