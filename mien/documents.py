"""Safe reading of untrusted JSON and TOML, and validation against types.

Every JSON and TOML file is read through this module. Documents that are too large or too deeply nested, and
strings or numbers that are not valid Unicode or not finite, are refused. ``conform`` validates values against
types. All faults are raised as ``ValueError``, so that each caller can add the name of the file and advice.
"""

from __future__ import annotations

import json
import stat
import tomllib
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

MAX_BYTES: Final = 16 << 20
"""Default maximum size of a document in bytes."""
MAX_DEPTH: Final = 32
"""Maximum nesting depth; Mien's own documents have at most 8 levels."""
_MAX_FLOAT: Final = 1e15
"""Maximum magnitude of a number, so that sums and products stay finite."""
_MAX_INTEGER: Final = 2**63 - 1
"""Maximum magnitude of an integer, as in database columns."""
_KINDS: Final[Mapping[Any, str]] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}
_Record = TypeVar("_Record")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is not JSON in UTF-8, contains NaN or infinity, or exceeds a limit.
    """
    try:
        return _checked(json.loads(text if isinstance(text, str) else text.decode("utf-8")))
    except RecursionError:
        raise _too_deep() from None


def parse_toml(text: str, *, finite: bool = True) -> dict[str, Any]:
    """Parse TOML.

    Args:
        text: the document.
        finite: whether NaN and infinity are refused; a caller that checks this itself can name the key.

    Raises:
        ValueError: the text is not TOML, contains NaN or infinity, or exceeds a limit.
    """
    try:
        document = tomllib.loads(text)
        _checked(document, finite)
    except RecursionError:
        raise _too_deep() from None
    return document


def load_json(path: Path, max_bytes: int = MAX_BYTES) -> Any:
    """Read and parse a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: as for ``parse_json``, or the file is too large or not a regular file.
    """
    return parse_json(read_limited(path, max_bytes))


def read_limited(path: Path, max_bytes: int) -> bytes:
    """Return the content of a regular file of limited size.

    Raises:
        OSError: the file cannot be read.
        ValueError: the file has more than ``max_bytes``, or is not a regular file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("not a regular file")
    with path.open("rb") as handle:
        data = handle.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"too large: at most {max_bytes:,} bytes are read")
    return data


def conform(value: Any, form: Any, name: str) -> Any:
    """Validate a plain value against a type and convert it: lists to tuples, objects to dataclasses.

    An integer is accepted for a float; a boolean is accepted for neither. Unknown keys are ignored for
    dataclasses, and fields with a default may be missing.

    Args:
        value: the parsed value.
        form: a type annotation, such as ``dict[str, float] | None``, or a dataclass.
        name: name of the value in errors.

    Raises:
        ValueError: the value does not conform; its path is named.

    >>> conform([1, 2.5], tuple[float, ...], "times")
    (1.0, 2.5)
    """
    origin, parts = get_origin(form), get_args(form)
    if form is Any:
        return value
    if origin is Literal:
        if any(type(value) is type(part) and value == part for part in parts):
            return value
    elif origin in (Union, types.UnionType):
        wanted = [part for part in parts if part is not type(None)]
        if len(wanted) == 1 and value is not None:
            return conform(value, wanted[0], name)  # reports faults inside the value
        for part in parts:
            try:
                return conform(value, part, name)
            except ValueError:
                continue
    elif isinstance(form, type) and is_dataclass(form):
        if isinstance(value, dict):
            return _record(form, value, name)
    elif isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {conform(k, parts[0], f"a key of {name}"): conform(v, parts[1], f"{name}.{k}") for k, v in value.items()}
    elif origin is list or (origin is tuple and parts[1:] == (...,)):
        if isinstance(value, list | tuple):
            return origin(conform(each, parts[0], f"{name}[{n}]") for n, each in enumerate(value))
    elif origin is tuple:
        if isinstance(value, list | tuple) and len(value) == len(parts):
            return tuple(conform(each, part, f"{name}[{n}]") for n, (each, part) in enumerate(zip(value, parts, strict=True)))
    elif form is float:
        if type(value) in (int, float) and abs(value) <= _MAX_FLOAT:
            return float(value)
    elif type(value) is form:
        return value
    raise ValueError(f"{name} is {_abbreviated(value)}; it must be {_description(form)}")


@cache
def field_types(kind: type) -> Mapping[str, Any]:
    """Return the types of a dataclass's fields by name."""
    return get_type_hints(kind)


def record_from(kind: type[_Record], values: Any, name: str) -> _Record:
    """Create a dataclass from an object; see ``conform``.

    Raises:
        ValueError: not an object, a field is missing or invalid, or the dataclass refuses a value.
    """
    return cast(_Record, conform(values, kind, name))


def _record(kind: type, values: Mapping[str, Any], name: str) -> Any:
    forms = field_types(kind)
    found = {}
    for field in fields(kind):
        if field.name in values:
            found[field.name] = conform(values[field.name], forms[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{field.name} is missing in {name}")
    return kind(**found)


def _checked(document: Any, finite: bool = True) -> Any:
    """Return ``document`` after checking all values, level by level."""
    level = [document]
    for _ in range(MAX_DEPTH):
        following: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                following += value.keys()
                following += value.values()
            elif isinstance(value, list):
                following += value
            elif isinstance(value, str):
                if not value.isascii():
                    value.encode()  # raises for lone surrogates, which cannot be printed or written
            elif isinstance(value, float):
                if finite and not abs(value) <= _MAX_FLOAT:
                    raise ValueError(f"{value} is too large or not finite")
            elif isinstance(value, int) and abs(value) > _MAX_INTEGER:
                raise ValueError(f"an integer of {value.bit_length()} bits is too large")
        if not following:
            return document
        level = following
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {MAX_DEPTH} levels deep")


def _abbreviated(value: Any) -> str:
    text = f"{type(value).__name__} of {len(value)}" if isinstance(value, dict | list) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _description(form: Any) -> str:
    """Return a type in words."""
    origin, parts = get_origin(form), get_args(form)
    if origin is Literal:
        return "one of " + ", ".join(map(str, parts))
    if origin in (Union, types.UnionType):
        return " or ".join(map(_description, parts))
    if form in _KINDS:
        return _KINDS[form]
    if origin is tuple and parts[1:] != (...,):
        return f"a list of {len(parts)}"
    return "a list" if origin in (list, tuple) else "an object"
