"""Reading ONNX files that reference no external data.

A tensor of an ONNX model may be stored in another file (*external data*). When a model is loaded from
bytes, ONNX Runtime resolves that file in the working directory, and so does the ``onnx`` package. An
untrusted model could read arbitrary files there. Bundles are single files, so a model with external data
is refused.

The check walks the protocol-buffer messages by the field numbers of ``onnx.proto``. It decodes no values
and does not need the ``onnx`` package.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from mien.documents import read_limited
from mien.errors import BundleError, DataError

MAX_BYTES: Final = 256 << 20
"""Maximum size of a bundle's file; the packaged bundles have at most 10 MB."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_TENSOR: Final = "TensorProto"
_EXTERNAL_FIELDS: Final = frozenset({13, 14})
"""Field numbers of a tensor's ``external_data`` and ``data_location``; the latter is 0 if the values are in the model."""
_CHILDREN: Final[Mapping[str, Mapping[int, str]]] = {
    "ModelProto": {7: "GraphProto", 20: "TrainingInfoProto", 25: "FunctionProto"},
    "TrainingInfoProto": {1: "GraphProto", 2: "GraphProto"},
    "FunctionProto": {7: "NodeProto", 11: "AttributeProto"},
    "GraphProto": {1: "NodeProto", 5: _TENSOR, 15: "SparseTensorProto"},
    "NodeProto": {5: "AttributeProto"},
    "AttributeProto": {
        **{5: _TENSOR, 6: "GraphProto", 10: _TENSOR, 11: "GraphProto"},
        **{22: "SparseTensorProto", 23: "SparseTensorProto"},
    },
    "SparseTensorProto": {1: _TENSOR, 2: _TENSOR},
}
"""Messages that can contain tensors, by field number (onnx/onnx.proto, IR version 13)."""


def read_model(path: Path) -> bytes:
    """Return the bytes of an ONNX file without external data.

    Raises:
        DataError: the file cannot be read or is too large.
        BundleError: the file is truncated or uses external data.
    """
    try:
        data = read_limited(path, MAX_BYTES)
    except OSError as error:
        raise DataError(f"cannot read the model bundle {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"the model bundle {path}: {error}. Is it the right file?") from error
    try:
        external = has_external_data(data)
    except ValueError as error:
        raise BundleError(f"{path} is not a complete ONNX model ({error}). Copy or export it again") from error
    if external:
        raise BundleError(f"{path} uses external data, which bundles must not. Save it again as one file")
    return data


def has_external_data(model: bytes) -> bool:
    """Return whether a tensor of an ONNX model uses external data.

    Raises:
        ValueError: not a protocol-buffer message, or truncated.
    """
    waiting: list[tuple[memoryview, str]] = [(memoryview(model), "ModelProto")]
    while waiting:
        data, kind = waiting.pop()
        for number, wire, value in _fields(data):
            if kind == _TENSOR:
                if number in _EXTERNAL_FIELDS and (wire == _BYTES or value != 0):
                    return True
            elif isinstance(value, memoryview) and number in _CHILDREN[kind]:
                waiting.append((value, _CHILDREN[kind][number]))
    return False


def _fields(data: memoryview) -> Iterator[tuple[int, int, int | memoryview]]:
    """Yield number, wire type and value of each field of a message; fixed-size values are yielded as 0."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"a field has wire type {wire}")
        if at + length > len(data):
            raise ValueError("truncated")
        yield number, wire, data[at : at + length] if wire == _BYTES else 0
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the varint at a position and the position after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("truncated")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise ValueError("a varint has more than 10 bytes")
