"""Running a model bundle: the only place that loads ONNX Runtime.

ONNX Runtime's builds since 1.27 write a device id below the home folder and send usage
events unless told otherwise before they are loaded, so both spellings of its opt-out are
set here first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import BundleError, DataError
from mien.files import refuse_large
from mien.modelcard import METADATA_KEY, ModelCard, read_card
from mien.preprocess import INPUT_SIZE
from mien.records import Prediction

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_TELEMETRY_DISABLED"] = "1"

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

ort.disable_telemetry_events()

# ONNX Runtime's errors (Fail, InvalidGraph, InvalidProtobuf, ...) share no base class below Exception
_ORT_ERRORS: Final = tuple(e for e in vars(ort_state).values() if isinstance(e, type) and issubclass(e, Exception))

_MAX_BYTES: Final = 256 * 1024 * 1024
"""Of a bundle's file; the bundles in the package have 10 MB at most."""


class Predictor:
    """A loaded bundle.

    Args:
        path: the ONNX file.
        threads: threads of one call; results do not depend on it.

    Raises:
        BundleError: cut short, not a Mien bundle, or made for something else.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        refuse_large(path, _MAX_BYTES, "the model bundle")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions; no second copy on the terminal
        try:
            self._session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        except OSError as error:
            raise DataError(f"cannot read the model bundle {path}: {error.strerror}") from error
        except _ORT_ERRORS as error:
            reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
            raise BundleError(f"{path} is not a whole ONNX model ({reason}). Copy or export it again") from error
        metadata: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        self.card: ModelCard = read_card(metadata.get(METADATA_KEY), str(path))
        self._check_signature(path)

    def predict(self, faces: NDArray[np.uint8]) -> Prediction:
        """Return probabilities and embeddings of faces (N, 1, 48, 48) uint8; N may be 0."""
        if len(faces) == 0:
            return Prediction(np.zeros((0, len(EMOTIONS)), np.float32), np.zeros((0, self._width), np.float32))
        probabilities, embedding = self._session.run(["probabilities", "embedding"], {"faces": faces})
        return Prediction(np.asarray(probabilities, np.float32), np.asarray(embedding, np.float32))

    def explain(self, faces: NDArray[np.uint8]) -> tuple[Prediction, NDArray[np.float32]]:
        """Return predictions, and activation maps (N, 7, 6, 6) float32, of faces (N, 1, 48, 48) uint8, N at least 1.

        The mean of a map over space is the logit of its class, calibration included: a map says how much each
        place of the face speaks for the class.

        Raises:
            BundleError: the bundle was made before bundles had maps.
        """
        if not self.has_maps:
            raise BundleError(f"{self.card.name} has no activation maps: it is an older bundle. Make it anew with: mien export")
        probabilities, embedding, maps = self._session.run(["probabilities", "embedding", "activation_maps"], {"faces": faces})
        prediction = Prediction(np.asarray(probabilities, np.float32), np.asarray(embedding, np.float32))
        return prediction, np.asarray(maps, np.float32)

    def _check_signature(self, path: Path) -> None:
        """Refuse a graph whose input or outputs are not the contract's, or whose weights are not finite."""
        inputs: list[Any] = self._session.get_inputs()
        outputs = {o.name: o for o in self._session.get_outputs()}
        fits = (
            [i.name for i in inputs] == ["faces"]
            and inputs[0].type == "tensor(uint8)"
            and list(inputs[0].shape[1:]) == [1, INPUT_SIZE, INPUT_SIZE]
            and {"probabilities", "embedding"} <= set(outputs)
        )
        if not fits:
            raise BundleError(f"{path} does not take faces (N, 1, {INPUT_SIZE}, {INPUT_SIZE}) uint8 as a Mien bundle does")
        self.has_maps = "activation_maps" in outputs
        self._width = int(outputs["embedding"].shape[1])
        probe = np.tile(np.arange(INPUT_SIZE, dtype=np.uint8), (1, 1, INPUT_SIZE, 1))
        answer = self.predict(probe).probabilities
        if answer.shape != (1, len(EMOTIONS)) or not np.isfinite(answer).all() or abs(float(answer.sum()) - 1) > 1e-3:
            raise BundleError(f"{path} does not answer with {len(EMOTIONS)} probabilities: its weights are broken")
