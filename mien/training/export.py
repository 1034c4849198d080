"""Export of checkpoints to bundles: ONNX graphs that include normalisation, calibration and softmax.

Each head is calibrated by a temperature (Guo et al. 2017, arXiv:1706.04599), fitted on PublicTest
to the head's own truth: the majority of the votes for the people head, FER2013's labels for the
label head.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from mien import metrics
from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.files import atomic_path
from mien.history import history_columns
from mien.modelcard import FER2013, FER2013_OUTPUT, METADATA_KEY, PEOPLE, ModelCard
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION
from mien.training.network import FaceNet, activation_maps, count_multiply_adds, count_parameters

OPSET: Final = 18
MAX_GAP: Final = 1e-4
"""Largest allowed difference between the probabilities of PyTorch and of the exported graph."""
MIN_SAME_ANSWER: Final = 0.999


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of each head, from logits to probabilities.

    Attributes:
        people: temperature of the people head.
        adjustment: share of the log prior subtracted from the people head's logits; see ``choose_adjustment``.
        offsets: (7,) the values that are subtracted.
        labels: temperature of the label head.
    """

    people: float = 1.0
    adjustment: float = 0.0
    offsets: tuple[float, ...] = (0.0,) * len(EMOTIONS)
    labels: float = 1.0


def calibrated_to_people(logits: NDArray[np.float64], majority: NDArray[np.int64], votes: NDArray[np.float64]) -> Calibration:
    """Return the calibration of a people head: logit adjustment and temperature.

    Args:
        logits: (N, 8) on PublicTest.
        majority: (N,) class named by more than half of the raters, -1 if there is none.
        votes: (7,) sums of the vote shares in Training.
    """
    prior = np.maximum(votes, 1) / np.maximum(votes, 1).sum()
    adjustment = choose_adjustment(logits, majority, prior)
    offsets = tuple(float(value) for value in adjustment * np.log(prior))
    agreed = majority >= 0
    temperature = fit_temperature(lambda t: people_probabilities(logits[agreed], t, offsets), majority[agreed])
    return Calibration(temperature, adjustment, offsets)


def labels_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the temperature of a label head.

    Args:
        logits: (N, 7) on PublicTest.
        labels: (N,) of PublicTest.
    """
    return fit_temperature(lambda t: metrics.softmax(logits / t), labels)


def probabilities_of(logits: HeadLogits, calibration: Calibration) -> dict[str, NDArray[np.float64]]:
    """Return the expected (N, 7) probabilities of a bundle with this calibration, by head."""
    found = {}
    if logits.people is not None:
        found[PEOPLE] = people_probabilities(logits.people, calibration.people, calibration.offsets)
    if logits.labels is not None:
        found[FER2013] = metrics.softmax(logits.labels / calibration.labels)
    return found


def people_probabilities(logits: NDArray[np.float64], temperature: float, offsets: Sequence[float]) -> NDArray[np.float64]:
    """Return (N, 7) probabilities for logits (N, 8) of the people head, as ``BundleGraph`` computes them."""
    eight = metrics.softmax((logits - np.array([*offsets, 0.0])) / temperature)
    return np.asarray(eight[:, :-1] + eight[:, -1:] / len(EMOTIONS))


class BundleGraph(nn.Module):
    """The graph of a bundle: uint8 faces in, probabilities, embedding and activation maps out.

    Several networks form an ensemble: their logits are averaged and their embeddings concatenated.
    """

    def __init__(self, networks: Sequence[FaceNet], calibration: Calibration) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.calibration = calibration
        self.heads = networks[0].heads

    def forward(self, faces: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs named by ``output_names`` for faces (N, 1, 48, 48) uint8.

        The spatial mean of an activation map is the logit of its class, so the maps decompose the prediction exactly.
        """
        networks = cast(Sequence[FaceNet], self.networks)
        seen_by_head = [network.features(faces) for network in networks]
        features = [people for people, _ in seen_by_head]
        embedding = torch.cat([seen.mean((2, 3)) for seen in features], dim=1)
        labels = None
        if FER2013 in self.heads:
            heads = [cast(nn.Linear, network.labels) for network in networks]
            if PEOPLE not in self.heads:
                maps = _mean_maps(features, heads) / self.calibration.labels
                return F.softmax(maps.mean((2, 3)), dim=1), embedding, maps
            logits = torch.stack([head(seen.mean((2, 3))) for head, (_, seen) in zip(heads, seen_by_head, strict=True)]).mean(0)
            labels = F.softmax(logits / self.calibration.labels, dim=1)
        eight = _mean_maps(features, [cast(nn.Linear, network.people) for network in networks])
        offsets = torch.tensor([*self.calibration.offsets, 0.0])[None, :, None, None]
        eight = (eight - offsets) / self.calibration.people
        answers = F.softmax(eight.mean((2, 3)), dim=1)
        # the class "none of the seven" (contempt, unknown, not a face) is distributed evenly over the seven
        people, maps = answers[:, :-1] + answers[:, -1:] / len(EMOTIONS), eight[:, :-1]
        return (people, embedding, maps) if labels is None else (people, embedding, maps, labels)

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs, in the order of ``forward``."""
        second = [FER2013_OUTPUT] if len(self.heads) > 1 else []
        return ["probabilities", "embedding", "activation_maps", *second]


def _mean_maps(features: Sequence[Tensor], heads: Sequence[nn.Linear]) -> Tensor:
    """Return the activation maps of one head (N, K, 6, 6), averaged over the networks."""
    return torch.stack([activation_maps(seen, head) for seen, head in zip(features, heads, strict=True)]).mean(0)


class HeadLogits(NamedTuple):
    """Logits of a network or an ensemble; None for a missing head.

    Attributes:
        people: (N, 8) float64.
        labels: (N, 7) float64.
    """

    people: NDArray[np.float64] | None
    labels: NDArray[np.float64] | None


@torch.no_grad()
def logits_of(networks: Sequence[FaceNet], images: NDArray[np.uint8]) -> HeadLogits:
    """Return the logits for images (N, 48, 48) uint8, averaged over the networks."""
    parts = torch.split(torch.from_numpy(images)[:, None], 512)
    outputs = [[network(part) for part in parts] for network in networks]

    def mean(each: list[list[Tensor | None]]) -> NDArray[np.float64] | None:
        whole = [torch.cat([t for t in batches if t is not None]).double() for batches in each if batches[0] is not None]
        return np.asarray(torch.stack(whole).mean(0).numpy(), np.float64) if whole else None

    return HeadLogits(
        mean([[output.people for output in batches] for batches in outputs]),
        mean([[output.labels for output in batches] for batches in outputs]),
    )


def fit_temperature(probabilities: Callable[[float], NDArray[np.float64]], truth: NDArray[np.int64]) -> float:
    """Return the temperature, 0.05 to 20, that minimises the negative log-likelihood.

    Args:
        probabilities: returns the probabilities (N, K) at a temperature.
        truth: (N,) true classes.

    >>> logits = np.log(np.array([[0.8, 0.2]] * 10)) * 3
    >>> round(fit_temperature(lambda t: metrics.softmax(logits / t), np.array([0] * 8 + [1] * 2)), 2)
    3.0
    """
    low, high = np.log(0.05), np.log(20.0)

    def loss(log_t: float) -> float:
        return metrics.negative_log_likelihood(probabilities(float(np.exp(log_t))), truth)

    # golden-section search: the loss is unimodal in the temperature
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


ADJUSTMENTS: Final = tuple(k / 10 for k in range(11))
"""Candidate shares of the log prior."""
_TIE: Final = 0.005
"""The smallest adjustment within this much macro-F1 of the best is chosen."""
_MAX_COST: Final = 0.01
"""An adjustment may cost this much accuracy at most."""


def choose_adjustment(logits: NDArray[np.float64], majority: NDArray[np.int64], prior: NDArray[np.float64]) -> float:
    """Return the share of the log prior to subtract from the people head's logits for the best macro-F1.

    A network trained on a distribution with few fearful faces hardly ever predicts fear. Post-hoc logit adjustment
    (Menon et al. 2021, arXiv:2007.07314) corrects this, but the full adjustment costs accuracy. Shares that cost more than a
    point of accuracy are not considered.

    Args:
        logits: (N, 8) on PublicTest.
        majority: (N,) class named by more than half of the raters, -1 if there is none.
        prior: (7,) shares of the votes in Training.
    """
    agreed = majority >= 0

    def scores(share: float) -> tuple[float, float]:
        predicted = (logits[agreed, :-1] - share * np.log(prior)).argmax(1)
        matrix = metrics.confusion_matrix(majority[agreed], predicted, len(EMOTIONS))
        return metrics.accuracy(majority[agreed], predicted), metrics.macro_f1(matrix)

    plain, _ = scores(0.0)
    every = {share: scores(share) for share in ADJUSTMENTS}
    found = {share: macro_f1 for share, (accuracy, macro_f1) in every.items() if accuracy >= plain - _MAX_COST}
    best = max(found.values())
    return min(share for share, value in found.items() if value >= best - _TIE)


def build_graph(networks: Sequence[FaceNet], calibration: Calibration) -> onnx.ModelProto:
    """Return the ONNX graph of a network or an ensemble, with the input ``faces`` and ``BundleGraph.output_names``."""
    graph = BundleGraph(networks, calibration).eval()
    example = torch.zeros(2, 1, INPUT_SIZE, INPUT_SIZE, dtype=torch.uint8)
    # the exporter warns about torchvision's operators, which this graph does not use
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside the exporter; the result is checked below
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=["faces"],
            output_names=graph.output_names,
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise BundleError("the ONNX exporter returned nothing")
    return program.model_proto


def card_of(states: Sequence[dict[str, Any]], networks: Sequence[FaceNet], name: str, **facts: Any) -> ModelCard:
    """Return the card of a bundle without metrics.

    Args:
        states: the checkpoints.
        networks: the network of each checkpoint.
        name: the bundle's name.
        facts: further fields of the card: ``precision``, temperatures and logit adjustment.

    Raises:
        BundleError: the checkpoints were trained on different data or have different heads.
    """
    runs = [state["facts"] for state in states]
    if len({network.heads for network in networks}) > 1:
        raise BundleError("the checkpoints have different heads; all networks of an ensemble must have the same")
    if len({run["dataset_hash"] for run in runs}) > 1:
        raise BundleError(
            "the checkpoints were trained on different data sets; all networks of an ensemble must share one, "
            "so that no test image was trained on"
        )
    training = [
        {
            **state["settings"],
            "best_epoch": len(state["history"]),
            "history": history_columns(state["history"]),
            **{fact: state["facts"].get(fact, "") for fact in ("split_file", "votes", "start")},
            "teachers": list(state["facts"].get("teachers") or []),
            "heads": list(network.heads),
        }
        for state, network in zip(states, networks, strict=True)
    ]
    return ModelCard(
        name=name,
        labels=EMOTIONS,
        input_size=INPUT_SIZE,
        preprocess_version=PREPROCESS_VERSION,
        dataset_hash=runs[0]["dataset_hash"],
        git_revision=" + ".join(dict.fromkeys(run.get("git_revision", "") for run in runs)),
        command=" + ".join(run.get("command", "") for run in runs),
        heads=networks[0].heads,
        parameters=sum(count_parameters(network) for network in networks),
        multiply_adds=sum(count_multiply_adds(network) for network in networks),
        metrics={},
        training=training,
        data_steps=runs[0].get("data_steps", {}),
        **facts,
    )


def write_bundle(model: onnx.ModelProto, card: ModelCard, target: Path) -> None:
    """Write the ONNX file with the card in its metadata."""
    # the exporter's metadata contains stack traces with local paths
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output):
        del part.metadata_props[:]
    model.producer_name, model.producer_version, model.doc_string = "mien", "", ""
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    with atomic_path(target) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


@dataclass(frozen=True, slots=True)
class Parity:
    """Differences between a bundle's outputs and PyTorch's.

    Attributes:
        images: number of images compared.
        max_gap: largest difference of a probability.
        same_answer: share of images with the same predicted class, 0 to 1.
    """

    images: int
    max_gap: float
    same_answer: float


def measure_parity(exact: NDArray[np.float64], probabilities: NDArray[np.float32]) -> Parity:
    """Return the differences between ``exact`` (N, 7), by PyTorch, and a bundle's ``probabilities`` (N, 7)."""
    same = float((exact.argmax(1) == probabilities.argmax(1)).mean())
    return Parity(len(exact), float(np.abs(exact - probabilities).max()), same)


def check_parity(parity: Parity) -> None:
    """Check that a 32-bit bundle's outputs equal PyTorch's.

    Raises:
        BundleError: a probability differs by more than 1e-4, or the class of more than one image in a thousand.
    """
    if parity.max_gap > MAX_GAP or parity.same_answer < MIN_SAME_ANSWER:
        raise BundleError(
            f"the exported graph differs from PyTorch by {parity.max_gap:.2g} (at most {MAX_GAP:g} is allowed) and predicts the "
            f"same class for {parity.same_answer:.2%} of {parity.images} images"
        )
