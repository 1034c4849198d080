"""From a checkpoint to a bundle: one ONNX graph with scaling, temperature and softmax inside.

The temperature is the one number that makes confidence mean what it says (Guo et al. 2017,
arXiv:1706.04599). It is fitted on PublicTest and divides the logits inside the graph.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.files import atomic_path
from mien.history import history_columns
from mien.modelcard import METADATA_KEY, ModelCard
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION
from mien.training.network import FaceNet, count_multiply_adds, count_parameters

OPSET: Final = 18
MAX_GAP: Final = 1e-4
"""Largest difference allowed between PyTorch's probabilities and the exported graph's."""
MIN_SAME_ANSWER: Final = 0.999


class BundleGraph(nn.Module):
    """One or more networks as a consumer sees them: uint8 faces in, probabilities and embedding out.

    Several networks form a committee: their logits are averaged, their embeddings stand side by side.
    """

    def __init__(self, networks: Sequence[FaceNet], temperature: float) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.temperature = temperature

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return (probabilities (N, 7), embedding (N, D), activation maps (N, 7, 6, 6)) for faces (N, 1, 48, 48) uint8.

        The mean of a map over space is its class's logit, so the maps are an exact account of the answer.
        """
        networks = cast(Sequence[FaceNet], self.networks)
        features = [network.features(faces) for network in networks]
        each = [network.activation_maps(seen) for network, seen in zip(networks, features, strict=True)]
        maps = torch.stack(each).mean(0) / self.temperature
        embedding = torch.cat([seen.mean((2, 3)) for seen in features], dim=1)
        return F.softmax(maps.mean((2, 3)), dim=1), embedding, maps


@torch.no_grad()
def logits_of(networks: Sequence[FaceNet], images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (N, 7) logits of images (N, 48, 48) uint8, the mean over the networks."""
    parts = torch.split(torch.from_numpy(images)[:, None], 512)
    each = [torch.cat([network(part)[0] for part in parts]).double().numpy() for network in networks]
    return np.asarray(np.mean(each, axis=0), np.float64)


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the temperature that minimises the negative log-likelihood, 0.05 to 20.

    >>> logits = np.log(np.array([[0.8, 0.2]] * 10)) * 3
    >>> round(fit_temperature(logits, np.array([0] * 8 + [1] * 2)), 2)
    3.0
    """
    low, high = np.log(0.05), np.log(20.0)

    def loss(log_t: float) -> float:
        scaled = logits / np.exp(log_t)
        scaled = scaled - scaled.max(1, keepdims=True)
        log_p = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
        return float(-log_p[np.arange(len(labels)), labels].mean())

    # golden-section search: the loss has one minimum in the inverse temperature
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def build_graph(networks: Sequence[FaceNet], temperature: float) -> onnx.ModelProto:
    """Return the ONNX graph of a network or a committee: faces in; probabilities, embedding and activation maps out."""
    graph = BundleGraph(networks, temperature).eval()
    example = torch.zeros(2, 1, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    # the exporter warns of torchvision's operators, which this graph does not use
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations; the result is checked below
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["faces"],
            output_names=["probabilities", "embedding", "activation_maps"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise BundleError("the ONNX exporter returned nothing")
    return program.model_proto


def card_of(states: Sequence[dict[str, Any]], networks: Sequence[FaceNet], name: str, **facts: Any) -> ModelCard:
    """Return the card of a bundle before it is measured.

    Args:
        states: the checkpoints.
        networks: the networks in them.
        name: the bundle's name.
        facts: the card's ``precision`` and ``temperature``.

    Raises:
        BundleError: the networks of a committee were trained on different data.
    """
    runs = [state["facts"] for state in states]
    if len({run["dataset_hash"] for run in runs}) > 1:
        raise BundleError(
            "the checkpoints were trained on different data sets; a committee shares one, so that a test stays a test"
        )
    training = [
        {
            **state["settings"],
            "best_epoch": len(state["history"]),
            "history": history_columns(state["history"]),
            **{fact: state["facts"].get(fact, "") for fact in ("split_file", "votes", "teachers", "start")},
        }
        for state in states
    ]
    return ModelCard(
        name=name,
        labels=EMOTIONS,
        input_size=INPUT_SIZE,
        preprocess_version=PREPROCESS_VERSION,
        dataset_hash=runs[0]["dataset_hash"],
        git_revision=" + ".join(dict.fromkeys(run["git_revision"] for run in runs)),
        command=" + ".join(run["command"] for run in runs),
        parameters=sum(count_parameters(network) for network in networks),
        multiply_adds=sum(count_multiply_adds(network) for network in networks),
        metrics={},
        training=training,
        data_steps=runs[0].get("data_steps", {}),
        **facts,
    )


def write_bundle(model: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    """Write the ONNX file with the card inside."""
    # the exporter's notes hold stack traces with paths of this machine
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "mien", "", ""
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    with atomic_path(target) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True)
class Parity:
    """How a bundle's answers differ from PyTorch's.

    Attributes:
        images: number of images compared.
        max_gap: largest difference of a probability.
        same_answer: share of images with the same expression on top, 0 to 1.
    """

    images: int
    max_gap: float
    same_answer: float


def measure_parity(scaled_logits: NDArray[np.float64], probabilities: NDArray[np.float32]) -> Parity:
    """Return how a bundle's ``probabilities`` (N, 7) differ from those of PyTorch's logits (N, 7), temperature applied."""
    exact = np.exp(scaled_logits - scaled_logits.max(1, keepdims=True))
    exact /= exact.sum(1, keepdims=True)
    same = float((exact.argmax(1) == probabilities.argmax(1)).mean())
    return Parity(len(exact), float(np.abs(exact - probabilities).max()), same)


def check_parity(parity: Parity) -> None:
    """Refuse a 32-bit bundle that does not answer as PyTorch does.

    Raises:
        BundleError: a probability differs by more than 1e-4, or more than one answer in a thousand is another.
    """
    if parity.max_gap > MAX_GAP or parity.same_answer < MIN_SAME_ANSWER:
        raise BundleError(
            f"the exported graph differs from PyTorch by {parity.max_gap:.2g} (at most {MAX_GAP:g} is allowed), "
            f"with the same answer for {parity.same_answer:.2%} of {parity.images} images"
        )
