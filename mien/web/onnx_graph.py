"""Small changes to ONNX models before they are served: free input sizes, and only the outputs that a page asks for.

ONNX Runtime cannot change the size of an input that a file fixes, as OpenCV does, and its browser build computes
every output of a graph. A model is a tree of protocol-buffer messages; it is copied field by field, by the numbers
of ``onnx.proto``, so the package ``onnx`` is not needed.
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
    """Return a model whose input (1, 3, height, width) takes any height and width; its outputs have any size.

    Raises:
        ValueError: no protocol-buffer message, or cut short.
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
    """Return a model that computes the outputs of these names and nothing else.

    Raises:
        ValueError: no protocol-buffer message, or cut short.
    """
    graph = next(_messages(model, _GRAPH))
    nodes = list(_messages(graph, _NODE))
    needed = set(names)
    used = set()
    for node in reversed(nodes):  # a graph's nodes are sorted: what a node needs comes before it
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
    """Return a shape whose height and width have names instead of values."""
    names = {_HEIGHT: b"height", _WIDTH: b"width"}
    return b"".join(
        _field(_DIM, _field(_DIM_PARAM, names[place]) if place in names else value)
        for place, value in enumerate(_messages(shape, _DIM))
    )


def _along(message: bytes, path: tuple[int, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Return a message in which the messages at a path of field numbers are changed."""
    if not path:
        return change(message)
    return _rewritten(message, lambda number, value: _along(value, path[1:], change) if number == path[0] else value)


def _rewritten(message: bytes, change: Callable[[int, bytes], bytes | None]) -> bytes:
    """Return a message whose fields of bytes are changed, or left out where ``change`` returns None."""
    parts = []
    for number, whole, value in _fields(message):
        if value is None:
            parts.append(whole)
        elif (changed := change(number, value)) is not None:
            parts.append(whole if changed is value else _field(number, changed))
    return b"".join(parts)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield number, the whole field, and its value where it is of bytes, else None."""
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
            raise ValueError(f"a field of the wire type {wire}")
        at += length
        if at > len(message):
            raise ValueError("cut short")
        yield number, message[start:at], message[at - length : at] if wire == _BYTES else None


def _messages(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the values of the fields of a number that are of bytes."""
    return (value for found, _, value in _fields(message) if found == number and value is not None)


def _texts(message: bytes, number: int) -> list[str]:
    """Return the texts of the fields of a number."""
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
    raise ValueError("cut short")


def _as_varint(value: int) -> bytes:
    data = bytearray()
    while value >= 0x80:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])
