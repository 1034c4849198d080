"""Smaller files of the same bundle: weights in half precision, or arithmetic in 8-bit integers.

Half precision halves the file and changes the answers by less than a thousandth; a graph
runs at the same speed, since weights are widened when it is loaded. Integers quarter it, and
need faces to be calibrated on; how fast they run depends on the processor.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

PRECISIONS: Final = ("fp32", "fp16", "int8")
CALIBRATION_FACES: Final = 512
_SMALLEST_HALVED: Final = 64
"""Weights with fewer values stay as they are: nothing is won, and biases count most."""


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose weights are stored as 16-bit floats and widened at load; arithmetic stays 32-bit."""
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    casts = []
    for tensor in halved.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _SMALLEST_HALVED:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *halved.graph.node]
    del halved.graph.node[:]
    halved.graph.node.extend(nodes)
    return halved


def to_int8(model: onnx.ModelProto, faces: NDArray[np.uint8]) -> onnx.ModelProto:
    """Return a copy whose convolutions and matrices compute in 8-bit integers, one scale a channel.

    Args:
        model: the graph.
        faces: (N, 1, 48, 48) uint8, representative of what it will see; they set the ranges.
    """
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no stubs
        def __init__(self) -> None:
            self._parts = iter(np.array_split(faces, max(1, len(faces) // 64)))

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            part = next(self._parts, None)
            return None if part is None else {"faces": part}

    logging.getLogger().addFilter(_quiet)  # it recommends a pre-processing that this graph has had
    try:
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder) / "source.onnx", Path(folder) / "int8.onnx"
            onnx.save(model, source)
            quantize_static(
                source,
                target,
                Reader(),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=["Conv", "Gemm", "MatMul"],
                per_channel=True,
                reduce_range=True,  # processors without VNNI add in 16 bits, where 8-bit weights would overflow
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
            )
            return onnx.load(target)
    finally:
        logging.getLogger().removeFilter(_quiet)


def variant_of(precision: str, faces: NDArray[np.uint8]) -> Callable[[onnx.ModelProto], onnx.ModelProto]:
    """Return what makes a graph of ``precision`` out of the 32-bit one."""
    changes: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
        "fp32": lambda model: model,
        "fp16": to_half,
        "int8": lambda model: to_int8(model, faces),
    }
    return changes[precision]


def _quiet(record: Any) -> bool:
    return "pre-processing" not in record.getMessage()
