"""Export of a trained detector to one ONNX file that maps a picture to scores, boxes and landmarks.

Normalisation, conversion to grey and decoding are part of the graph; only the suppression of overlapping boxes is left to
the caller. Cells with a low score are dropped before decoding. The graph is built operator by operator: height and width
are dynamic, batch norms are folded into the preceding convolutions, and all operators are supported by ONNX Runtime for
browsers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from mien.errors import BundleError
from mien.files import atomic_path
from mien.training.detector.losses import cells, decoded, flat
from mien.training.detector.network import ANSWERS, DARK, LANDMARK_UNIT, MOST_GAIN, STRIDES, USUAL_LANDMARKS, Block, DetectorNet
from mien.vision.own_detector import CARD_KEY, LEAST_SCORE, OUTPUTS

OPSET: Final = 18
IR_VERSION: Final = 9
MAX_BYTES: Final = 300_000
"""Maximum size of the exported file."""
MAX_GAP: Final = 1e-2
"""Maximum difference in pixels between the boxes and landmarks of PyTorch and of the exported graph."""
MAX_SCORE_GAP: Final = 1e-4


def export_detector(network: DetectorNet, card: dict[str, Any], target: Path) -> None:
    """Write a network and its card to an ONNX file after comparing its outputs with PyTorch's.

    Raises:
        BundleError: the outputs differ, or the file is larger than ``MAX_BYTES``.
    """
    network = network.eval()
    _check_answers(_Graph().model_of(network, -1.0).SerializeToString(), network)
    model = _Graph().model_of(network, LEAST_SCORE)
    model.metadata_props.add(key=CARD_KEY, value=json.dumps(card))
    onnx.checker.check_model(model)
    data = model.SerializeToString()
    if len(data) > MAX_BYTES:
        raise BundleError(f"the detector has {len(data):,} bytes, at most {MAX_BYTES:,} are allowed")
    with atomic_path(target) as temporary:
        temporary.write_bytes(data)


class _Graph:
    """Collects the nodes and weights of a graph; each method adds an operator and returns the name of its output."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def model_of(self, network: DetectorNet, least: float) -> onnx.ModelProto:
        """Return the graph, which outputs only cells with a score above ``least``."""
        image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["height", "width", "channels"])
        grey = self._add("ReduceMean", self._add("Cast", "image", to=TensorProto.FLOAT), self._ints(2), keepdims=0)
        mean = self._add("ReduceMean", grey, keepdims=0)
        gain = self._add("Div", self._floats(DARK), self._add("Max", mean, self._floats(1)))
        gain = self._add("Min", self._add("Max", gain, self._floats(1)), self._floats(MOST_GAIN))
        bright = self._add("Min", self._add("Mul", grey, gain), self._floats(255))
        scaled = self._add("Sub", self._add("Div", bright, self._floats(64)), self._floats(2))
        stem = cast(Any, network.stem)
        x = self._add("Relu", self._convolution(self._add("Unsqueeze", scaled, self._ints(0, 1)), stem[0], stem[1]))
        at_8 = self._blocks(x, network.to_8)
        at_16 = self._blocks(at_8, network.to_16)
        at_32 = self._blocks(at_16, network.to_32)
        at_16 = self._block(self._merged(at_16, at_32, network.down_16), network.merge_16)
        at_8 = self._block(self._merged(at_8, at_16, network.down_8), network.merge_8)
        parts = [
            self._likely(self._convolution(x, cast(nn.Conv2d, head)), stride, least)
            for x, head, stride in zip((at_8, at_16, at_32), network.answer, STRIDES, strict=True)
        ]
        answers, places, units = (self._add("Concat", *each, axis=0) for each in zip(*parts, strict=True))
        self._decode(answers, places, units)
        shapes: tuple[Any, ...] = (["faces"], ["faces", 4], ["faces", 5, 2])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(OUTPUTS, shapes, strict=True)
        ]
        graph = helper.make_graph(self._nodes, "mien-detect", [image], outputs, self._weights)
        return helper.make_model(
            graph, producer_name="mien", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )

    def _add(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _ints(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64))

    def _floats(self, *values: float) -> str:
        return self._constant(np.array(values, np.float32))

    def _convolution(self, x: str, convolution: nn.Conv2d, norm: nn.Module | None = None) -> str:
        if norm is not None:
            convolution = torch.nn.utils.fuse_conv_bn_eval(convolution, cast(nn.BatchNorm2d, norm))
        weights = [self._constant(convolution.weight.detach().numpy())]
        if convolution.bias is not None:
            weights.append(self._constant(convolution.bias.detach().numpy()))
        (kernel, _), (stride, _), pad = convolution.kernel_size, convolution.stride, cast(int, convolution.padding[0])
        how: dict[str, Any] = {
            "kernel_shape": [kernel] * 2,
            "strides": [stride] * 2,
            "pads": [pad] * 4,
            "group": convolution.groups,
        }
        return self._add("Conv", x, *weights, **how)

    def _block(self, x: str, block: Block) -> str:
        y = self._convolution(self._convolution(x, block.spatial), block.across, block.norm)
        return self._add("Relu", self._add("Add", x, y) if block.adds else y)

    def _blocks(self, x: str, blocks: nn.Sequential) -> str:
        for block in blocks:
            x = self._block(x, cast(Block, block))
        return x

    def _merged(self, fine: str, coarse: str, convolution: nn.Conv2d) -> str:
        how: dict[str, Any] = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        size = self._add("Shape", fine)
        return self._add("Add", fine, self._add("Resize", self._convolution(coarse, convolution), "", "", size, **how))

    def _likely(self, answer: str, stride: int, least: float) -> tuple[str, str, str]:
        """Return predictions (n, ANSWERS), positions (n, 2) and strides (n, 1) of the cells with a score above ``least``."""
        rows = self._add("Reshape", answer, self._ints(ANSWERS, -1))
        logits = self._add("Reshape", self._add("Gather", rows, self._ints(0), axis=0), self._ints(-1))
        scores = self._add("Sigmoid", logits)
        chosen = self._add("Reshape", self._add("NonZero", self._add("Greater", scores, self._floats(least))), self._ints(-1))
        likely = self._add("Transpose", self._add("Gather", rows, chosen, axis=1), perm=[1, 0])
        width = self._add("Shape", answer, start=3, end=4)
        column, row = self._add("Mod", chosen, width), self._add("Div", chosen, width)
        both = [self._add("Unsqueeze", each, self._ints(1)) for each in (column, row)]
        unit = self._floats(stride)
        places = self._add("Mul", self._add("Cast", self._add("Concat", *both, axis=1), to=TensorProto.FLOAT), unit)
        one = self._add("Cast", self._add("Equal", both[0], both[0]), to=TensorProto.FLOAT)
        return likely, places, self._add("Mul", one, unit)

    def _decode(self, answers: str, places: str, units: str) -> None:
        """Add the outputs: scores (n,), boxes (n, 4) as left, top, width and height, and landmarks (n, 5, 2)."""
        ends = self._constant(np.array([1, 2, 2, ANSWERS - 5], np.int64))
        names = ["logits", "offsets", "sizes", "points"]
        self._nodes.append(helper.make_node("Split", [answers, ends], names, axis=1))
        logits, offsets, sizes, points = names
        self._add("Sigmoid", self._add("Reshape", logits, self._ints(-1)), output=OUTPUTS[0])
        centres = self._add("Add", places, self._add("Mul", offsets, units))
        extents = self._add("Mul", self._add("Exp", self._add("Min", sizes, self._floats(6))), units)
        corners = self._add("Sub", centres, self._add("Div", extents, self._floats(2)))
        self._add("Concat", corners, extents, axis=1, output=OUTPUTS[1])
        apart = self._add("Mul", self._add("Reshape", points, self._ints(-1, 5, 2)), self._floats(LANDMARK_UNIT))
        apart = self._add("Add", apart, self._constant(np.array(USUAL_LANDMARKS, np.float32)))
        apart = self._add("Mul", apart, self._add("Unsqueeze", extents, self._ints(1)))
        self._add("Add", self._add("Unsqueeze", centres, self._ints(1)), apart, output=OUTPUTS[2])


@torch.no_grad()
def answers_of(network: DetectorNet, grey: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
    """Compute with PyTorch what the exported graph outputs for a picture (H, W) uint8, for all C cells.

    Returns:
        Scores (C,), boxes (C, 4) as left, top, width and height, and landmarks (C, 5, 2), in pixels.
    """
    every = flat(network(torch.from_numpy(grey)[None, None].float()))[0]
    boxes, landmarks = decoded(every, *(torch.from_numpy(each) for each in cells(*grey.shape)))
    return every[:, 0].sigmoid(), torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], 1), landmarks


def _check_answers(data: bytes, network: DetectorNet) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    for shape in ((48, 64), (97, 131), (240, 320)):
        grey = random.integers(0, 20 if shape[0] == 48 else 256, shape, dtype=np.uint8)
        found = session.run(list(OUTPUTS), {"image": grey[..., None]})
        for name, ours, theirs in zip(OUTPUTS, found, answers_of(network, grey), strict=True):
            gap = float(np.abs(np.asarray(ours) - theirs.numpy()).max())
            if gap > (MAX_SCORE_GAP if name == "scores" else MAX_GAP):
                raise BundleError(f"the exported detector's {name} differ from PyTorch's by {gap:.3g} for a picture of {shape}")
