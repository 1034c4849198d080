"""ONNX Runtime without telemetry; the only module that loads it.

Since version 1.27, ONNX Runtime writes a device ID below the home folder and sends usage
events unless this is disabled before it is loaded. Both spellings of its opt-out variable are
therefore set here before the import.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

from mien.errors import BundleError
from mien.vision.model_file import read_model

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["ORT_TELEMETRY_DISABLED"] = "1"

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_state

ort.disable_telemetry_events()

# ONNX Runtime's errors (Fail, InvalidGraph, InvalidProtobuf, ...) share no base class below Exception; names that are not
# UTF-8 raise UnicodeDecodeError
RUNTIME_ERRORS: Final[tuple[type[Exception], ...]] = (
    *(e for e in vars(ort_state).values() if isinstance(e, type) and issubclass(e, Exception)),
    UnicodeDecodeError,
)


def open_session(path: Path, threads: int) -> ort.InferenceSession:
    """Return a CPU session for an ONNX file.

    Args:
        path: the ONNX file.
        threads: number of threads per call; results do not depend on it.

    Raises:
        DataError: the file cannot be read.
        BundleError: the file is truncated or not an ONNX model.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # between two frames, waiting threads would spin for longer than a call takes
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the only format checked by read_model
    options.log_severity_level = 4  # errors are raised, not logged
    try:
        # the fallback would print the error and repeat the same attempt
        return ort.InferenceSession(read_model(path), options, providers=["CPUExecutionProvider"], enable_fallback=False)
    except RUNTIME_ERRORS as error:
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise BundleError(f"{path} is not a complete ONNX model ({reason}). Copy or export it again") from error


def optimised_model(model: bytes) -> bytes:
    """Apply ONNX Runtime's processor-independent optimisations to an ONNX model.

    Raises:
        ValueError: not a complete ONNX model.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "model.onnx"
        options.optimized_model_filepath = str(target)
        try:
            ort.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=False)
        except RUNTIME_ERRORS as error:
            raise ValueError(str(error).splitlines()[0][:160]) from error
        return target.read_bytes()


def fetched_outputs_only() -> ort.RunOptions:
    """Return run options that compute only the requested outputs."""
    options = ort.RunOptions()
    options.only_execute_path_to_fetches = True
    return options
