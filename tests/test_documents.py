"""JSON and TOML within limits, values against types, arrays against what their headers claim."""

from __future__ import annotations

import json
import os
import struct
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from mien.arrays import read_arrays
from mien.documents import MAX_DEPTH, conform, load_json, parse_json, parse_toml, record_from


@dataclass(frozen=True)
class Inner:
    n: int = 0


@dataclass(frozen=True)
class Outer:
    name: str
    share: float
    inner: Inner
    rows: tuple[Inner, ...] = ()
    by_name: dict[str, float] = field(default_factory=dict)
    kind: Literal["a", "b"] = "a"
    maybe: float | dict[str, float] | None = None

    def __post_init__(self) -> None:
        if self.share > 1:
            raise ValueError(f"share is {self.share}")


WHOLE: dict[str, Any] = {"name": "x", "share": 1, "inner": {"n": 3, "more": True}, "rows": [{}, {"n": 2}], "unknown": []}


def test_a_document_becomes_records() -> None:
    found = record_from(Outer, WHOLE, "it")
    assert found == Outer("x", 1.0, Inner(3), (Inner(), Inner(2)))
    assert type(found.share) is float
    assert record_from(Outer, WHOLE | {"maybe": {"happy": 1}}, "it").maybe == {"happy": 1.0}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": 3}, "name is 3; it must be text"),
        ({"share": True}, "share is True; it must be a number"),
        ({"share": float("nan")}, "share is nan"),
        ({"share": "0.5"}, "share is '0.5'"),
        ({"share": 2}, "share is 2.0"),
        ({"inner": {"n": 1.5}}, "n is 1.5; it must be a whole number"),
        ({"inner": []}, "inner is list of 0; it must be an object"),
        ({"rows": {}}, "rows is dict of 0; it must be a list"),
        ({"by_name": {"a": None}}, "by_name.a is None"),
        ({"kind": "c"}, "kind is 'c'; it must be one of a, b"),
        ({"maybe": "x"}, "maybe is 'x'; it must be a number or an object or null"),
    ],
)
def test_a_value_of_another_type_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        record_from(Outer, WHOLE | change, "it")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="share"):
        record_from(Outer, {"name": "x", "inner": {}}, "it")
    assert conform([1, "x"], tuple[int, str], "pair") == (1, "x")
    with pytest.raises(ValueError, match="pair is list of 1; it must be a list of 2"):
        conform([1], tuple[int, str], "pair")


DEEP = 100_000
HOSTILE = {
    "lists": "[" * DEEP + "]" * DEEP,
    "open": "[" * DEEP,
    "objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a little too deep": "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),
    "not a number": "[NaN]",
    "infinite": '{"a": [-Infinity]}',
    "infinite by digits": "[1e999]",
    "too large": "1e300",
    "a whole number too large": str(2**63),
    "digits": "9" * 5000,
    "half a pair": '{"\\ud800": 1}',
    "not UTF-8": b'"\xff"',
    "UTF-16": '"x"'.encode("utf-16"),
    "nothing": "",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_a_value_error(name: str, tmp_path: Path) -> None:
    text = HOSTILE[name]
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)
    (tmp_path / "x.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"."):
        load_json(tmp_path / "x.json")


def test_what_fits_is_read_as_it_is(tmp_path: Path) -> None:
    text = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    assert json.dumps(parse_json(text)) == text
    assert parse_json('{"a": [1, 0.5, null, true, "\\ud83d\\ude00"]}') == {"a": [1, 0.5, None, True, "😀"]}


@pytest.mark.parametrize(
    "value", ["[" * 100_000 + "]" * 100_000, "nan", "[-inf]", "9" * 5000, str(2**63), "1e300", "[", "1979-13-45"]
)
def test_hostile_toml_is_a_value_error(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_toml(f"a = {value}")


def test_files_that_are_too_large_or_never_end_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(["x" * 100]))
    with pytest.raises(ValueError, match="at most 50 bytes"):
        load_json(tmp_path / "x.json", 50)
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a regular file"):
            load_json(path)
    with pytest.raises(FileNotFoundError):
        load_json(tmp_path / "none.json")


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "c": np.array([True]),
        "d": np.array(3.0),
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", **arrays)
        found = read_arrays(tmp_path / "x.npz", 10**6, 10**6)
        assert found.keys() == arrays.keys()
        for name, values in arrays.items():
            assert (found[name] == values).all()
            assert (found[name].dtype, found[name].shape) == (values.dtype, values.shape)


def claiming(path: Path, shape: str, dtype: str = "<f8") -> Path:
    """Write an archive whose only array claims a shape and has eight values."""
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + b"\0" * 64)
    return path


@pytest.mark.parametrize(
    "shape", ["(100000000000,)", "(9,)", "(7,)", "(-1,)", "(4, 100000000000)", "'x'", "(1e9,)", "(" * 500, "[8]", "(8, 0)"]
)
def test_an_array_that_claims_other_values_than_there_are_is_refused(shape: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_arrays(claiming(tmp_path / "x.npz", shape), 10**6, 10**6)
    assert read_arrays(claiming(tmp_path / "x.npz", "(8,)"), 10**6, 10**6)["a"].shape == (8,)


@pytest.mark.parametrize("dtype", ["|O", "<U2", "|S8", "<c16", "<M8[s]", "nothing"])
def test_only_numbers_are_read(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_arrays(claiming(tmp_path / "x.npz", "(8,)", dtype), 10**6, 10**6)


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(50_000_000))
    assert (tmp_path / "x.npz").stat().st_size < 60_000
    with pytest.raises(ValueError, match="unpacks to 50,000,000 bytes"):
        read_arrays(tmp_path / "x.npz", 10**6, 10**7)
