"""Changes ONNX models before they are served: dynamic input sizes and removal of unused outputs.

Unlike OpenCV, ONNX Runtime cannot override a fixed input size, and its browser build computes all outputs of a graph.
A model is a tree of protocol buffer messages. It is copied field by field with the field numbers of ``onnx.proto``,
so the package ``onnx`` is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

_BYTES: Final = 2
_FIXED: Final = {1: 8, 5: 4}
# ModelProto, GraphProto
_GRAPH: Final = 7
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _VALUE_INFO = 1, 5, 11, 12, 13
# NodeProto, TensorProto, ValueInfoProto: names
_NODE_INPUT, _NODE_OUTPUT, _TENSOR_NAME, _VALUE_NAME = 1, 2, 8, 1
# ValueInfoProto.type, TypeProto.tensor_type, TypeProto.Tensor.shape, TensorShapeProto.dim, Dimension.dim_param
_TYPE, _TENSOR_TYPE, _SHAPE, _DIM, _DIM_PARAM = 2, 1, 2, 1, 2
_HEIGHT, _WIDTH = 2, 3


def free_input_size(model: bytes) -> bytes:
    """Make height and width of the input, of shape (1, 3, height, width), dynamic and remove the shapes of the outputs.

    Raises:
        ValueError: not a protocol buffer message, or truncated.
    """

    def in_graph(number: int, value: bytes) -> bytes | None:
        if number == _VALUE_INFO:
            return None
        if number == _INPUT:
            return _along(value, (_TYPE, _TENSOR_TYPE, _SHAPE), _free_dimensions)
        if number == _OUTPUT:
            return _along(value, (_TYPE, _TENSOR_TYPE, _SHAPE), lambda shape: _rewritten(shape, lambda _, dim: b""))
        return value

    return _along(model, (_GRAPH,), lambda graph: _rewritten(graph, in_graph))


def keep_outputs(model: bytes, names: frozenset[str]) -> bytes:
    """Return a model that computes only the named outputs.

    Raises:
        ValueError: not a protocol buffer message, or truncated.
    """
    graph = next(_messages(model, _GRAPH))
    nodes = list(_messages(graph, _NODE))
    needed = set(names)
    used = set()
    for node in reversed(nodes):  # nodes are in topological order
        if needed & set(_texts(node, _NODE_OUTPUT)):
            used.add(node)
            needed.update(_texts(node, _NODE_INPUT))

    def in_graph(number: int, value: bytes) -> bytes | None:
        unwanted = (
            (number == _NODE and value not in used)
            or (number == _INITIALIZER and not needed & set(_texts(value, _TENSOR_NAME)))
            or (number in (_OUTPUT, _VALUE_INFO) and not needed & set(_texts(value, _VALUE_NAME)))
        )
        return None if unwanted else value

    return _along(model, (_GRAPH,), lambda graph: _rewritten(graph, in_graph))


def _free_dimensions(shape: bytes) -> bytes:
    """Return a shape with symbolic height and width."""
    names = {_HEIGHT: b"height", _WIDTH: b"width"}
    return b"".join(
        _field(_DIM, _field(_DIM_PARAM, names[place]) if place in names else value)
        for place, value in enumerate(_messages(shape, _DIM))
    )


def _along(message: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return a message with ``change`` applied to the messages at a path of field numbers."""
    if not path:
        return change(message)
    return _rewritten(message, lambda number, value: _along(value, path[1:], change) if number == path[0] else value)


def _rewritten(message: bytes, change: Callable[[int, bytes], bytes | None]) -> bytes:
    """Return a message with ``change`` applied to its length-delimited fields; None removes a field."""
    parts = []
    for number, whole, value in _fields(message):
        if value is None:
            parts.append(whole)
        elif (changed := change(number, value)) is not None:
            parts.append(whole if changed is value else _field(number, changed))
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield the number, the encoded field, and the value if the field is length-delimited, else None."""
    at = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(message, at)
            yield number, message[start:at], None
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"a field has the unsupported wire type {wire}")
        at += length
        if at > len(message):
            raise ValueError("truncated message")
        yield number, message[start:at], message[at - length : at] if wire == _BYTES else None


def _messages(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the values of the length-delimited fields with this number."""
    return (value for found, _, value in _fields(message) if found == number and value is not None)


def _texts(message: bytes, number: int) -> list[str]:
    """Return the string values of the fields with this number."""
    return [value.decode() for value in _messages(message, number)]


def _field(number: int, value: bytes) -> bytes:
    return _as_varint(number << 3 | _BYTES) + _as_varint(len(value)) + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise ValueError("truncated message")


def _as_varint(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])
