"""Inference with a model bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.modelcard import FER2013, FER2013_OUTPUT, METADATA_KEY, PEOPLE, ModelCard, read_card
from mien.preprocess import INPUT_SIZE
from mien.records import Prediction
from mien.vision.runtime import RUNTIME_ERRORS, fetched_outputs_only, open_session

_OUTPUTS: Final = ("probabilities", "embedding", "activation_maps", FER2013_OUTPUT)


class Predictor:
    """A loaded bundle.

    Args:
        path: the ONNX file.
        threads: number of threads per call; results do not depend on it.

    Attributes:
        card: the bundle's card.
        has_maps: whether the bundle has activation maps.

    Raises:
        DataError: the file cannot be read or is too large.
        BundleError: the file is truncated, not a Mien bundle, or incompatible with this version.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        self._fetched_only = fetched_outputs_only()  # such as one of two heads
        self._session = open_session(path, threads)
        try:
            metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        except RUNTIME_ERRORS as error:
            raise BundleError(f"{path} is not a complete ONNX model: its metadata is not UTF-8. Export it again") from error
        self.card: ModelCard = read_card(metadata.get(METADATA_KEY), str(path))
        try:
            self._check_signature(path)
        except RUNTIME_ERRORS as error:
            raise BundleError(f"{path} cannot be run: its graph fails. Export it again") from error

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Return the first head's probabilities and the embeddings of faces (N, 1, 48, 48) uint8; N may be 0.

        The first head is the people head, or the label head in a bundle that has no other.
        """
        if len(faces) == 0:
            return Prediction(np.zeros((0, len(EMOTIONS)), np.float32), np.zeros((0, self._width), np.float32))
        probabilities, embedding = self._run(["probabilities", "embedding"], faces)
        return Prediction(np.asarray(probabilities, np.float32), np.asarray(embedding, np.float32))

    def predict_fer2013(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return (N, 7) float32 probabilities of FER2013's label for faces (N, 1, 48, 48) uint8, N at least 1.

        Raises:
            BundleError: the bundle has no label head.
        """
        if FER2013 not in self.card.heads:
            raise BundleError(f"{self.card.name} has no head for FER2013's labels: it was trained on votes only")
        output = FER2013_OUTPUT if PEOPLE in self.card.heads else "probabilities"
        return np.asarray(self._run([output], faces)[0], np.float32)

    def predict_heads(
        self, faces: NDArray[np.uint8], maps: bool = False
    ) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32] | None]:
        """Return the (N, 7) float32 probabilities of every head for faces (N, 1, 48, 48) uint8, and activation maps.

        The layers that heads share are computed once. The maps, (N, 7, 6, 6) float32, are those of the first head; None if
        ``maps`` is False or the bundle is too old to have them. N is at least 1.
        """
        outputs = ["probabilities", FER2013_OUTPUT][: len(self.card.heads)]
        wanted = maps and self.has_maps
        found = [
            np.asarray(values, np.float32) for values in self._run([*outputs, *(["activation_maps"] if wanted else [])], faces)
        ]
        return dict(zip(self.card.heads, found, strict=False)), found[-1] if wanted else None

    def explain(self, faces: NDArray[np.uint8]) -> tuple[Prediction, NDArray[np.float32]]:
        """Return predictions and activation maps (N, 7, 6, 6) float32 of faces (N, 1, 48, 48) uint8, N at least 1.

        The spatial mean of a map is the calibrated logit of its class: a map shows how much each region of the face
        contributes to the class. The softmax of these logits gives the probabilities, except that the people head
        distributes the probability of "none of the seven" evenly over the classes.

        Raises:
            BundleError: the bundle is too old to have activation maps.
        """
        if not self.has_maps:
            raise BundleError(f"{self.card.name} has no activation maps; it is too old. Export it again with: mien export")
        probabilities, embedding, maps = self._run(["probabilities", "embedding", "activation_maps"], faces)
        prediction = Prediction(np.asarray(probabilities, np.float32), np.asarray(embedding, np.float32))
        return prediction, np.asarray(maps, np.float32)

    def _run(self, outputs: list[str], faces: NDArray[np.uint8]) -> list[Any]:
        """Compute only the named outputs and return them."""
        found: list[Any] = self._session.run(outputs, {"faces": faces}, self._fetched_only)
        return found

    def _check_signature(self, path: Path) -> None:
        """Raise BundleError if inputs or outputs violate the bundle contract, or outputs are not finite."""
        inputs: list[Any] = self._session.get_inputs()
        outputs = {o.name: o for o in self._session.get_outputs()}
        fits = (
            [i.name for i in inputs] == ["faces"]
            and inputs[0].type == "tensor(uint8)"
            and list(inputs[0].shape[1:]) == [1, INPUT_SIZE, INPUT_SIZE]
            and not isinstance(inputs[0].shape[0], int)  # any batch size
            and {"probabilities", "embedding"} <= set(outputs)
            and (FER2013_OUTPUT in outputs) == (len(self.card.heads) > 1)
            and all(outputs[name].type == "tensor(float)" for name in _OUTPUTS if name in outputs)
        )
        if not fits:
            raise BundleError(
                f"{path} does not have the inputs and outputs that its card describes: faces (N, 1, {INPUT_SIZE}, {INPUT_SIZE}) "
                f"uint8 in, probabilities and embedding out. Export it again"
            )
        self.has_maps = "activation_maps" in outputs
        probe = np.tile(np.arange(INPUT_SIZE, dtype=np.uint8), (2, 1, INPUT_SIZE, 1))
        names = [name for name in _OUTPUTS if name in outputs]
        arrays = dict(zip(names, map(np.asarray, self._session.run(names, {"faces": probe})), strict=True))
        for name in {"probabilities", FER2013_OUTPUT} & arrays.keys():
            rows = arrays[name]
            if rows.shape != (2, len(EMOTIONS)) or not np.isfinite(rows).all() or (abs(rows.sum(1) - 1) > 1e-3).any():
                raise BundleError(f"{path}: output {name} is not {len(EMOTIONS)} probabilities per face. Export it again")
        embedding, maps = arrays["embedding"], arrays.get("activation_maps")
        if embedding.ndim != 2 or len(embedding) != 2 or not np.isfinite(embedding).all():
            raise BundleError(f"{path}: output embedding has shape {embedding.shape} or is not finite. Export it again")
        if maps is not None and (maps.ndim != 4 or maps.shape[:2] != (2, len(EMOTIONS)) or not np.isfinite(maps).all()):
            raise BundleError(f"{path}: output activation_maps has shape {maps.shape} or is not finite. Export it again")
        self._width = embedding.shape[1]
