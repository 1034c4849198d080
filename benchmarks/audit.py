"""Time of every stage of the audit, and growth of the near-duplicate search with the data set.

1. Stages: seconds and images per second of each part of ``mien prepare``'s audit, run in
   sequence, and the peak memory of the process. Compared with the goals: 20 s for FER2013
   without faces and label model, 180 s without the label model, 2 GB.
2. Growth: the near-duplicate search on subsets, and on all images plus a rotated copy of each
   (by 180 and 90 degrees, which the search does not match). A quadratic is fitted to the
   seconds and extrapolated to a million images; memory is proportional to the images.

    MIEN_MODELS=models python benchmarks/audit.py --data data/fer2013.zip [--quick]

``--quick`` skips the 70,000 images. Prints tables; the last line is JSON. Compare ratios of
runs on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.audit import copies, faces, labels, near, quality
from mien.audit.exact import exact_groups
from mien.data.reader import DEFAULT_DATA, read_dataset
from mien.limits import worker_count
from mien.vision.weights import find_yunet

GOAL_PIXELS_S, GOAL_FACES_S, GOAL_BYTES = 20.0, 180.0, 2e9
SIZES = (5_000, 10_000, 20_000)
MILLION = 1_000_000


def peak_bytes() -> int:
    """Return the largest resident memory of this process so far.

    On Linux from ``VmHWM``: ``getrusage`` there includes the peak of the parent process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        return 1024 * int(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM")).split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts in bytes


def time_stages(path: Path) -> tuple[dict[str, float], dict[str, float], dict[str, int], NDArray[np.uint8]]:
    """Return seconds, CPU seconds and peak bytes by stage, and the images without exact copies."""
    seconds: dict[str, float] = {}
    cores: dict[str, float] = {}
    peaks: dict[str, int] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        started, worked = time.perf_counter(), time.process_time()
        result = work()
        seconds[stage], cores[stage] = time.perf_counter() - started, time.process_time() - worked
        peaks[stage] = peak_bytes()
        return result

    dataset = timed("read", lambda: read_dataset(path)).dataset
    timed("statistics", lambda: (dataset.content_hash(), dataset.class_counts(), dataset.split_counts()))
    exact = timed("exact duplicates", lambda: exact_groups(dataset.images))
    originals = np.unique(exact)

    def near_stage() -> copies.Copies:
        pairs = near.find_near_duplicates(dataset.images[originals])
        pairs = near.NearPairs(originals[pairs.first], originals[pairs.second], pairs.score, pairs.mirrored)
        return copies.join_copies(exact, pairs)

    duplicates = timed("near duplicates", near_stage)
    scores = timed("pixel quality", lambda: quality.pixel_scores(dataset.images))
    detector = find_yunet()
    if detector is not None:
        timed("faces", lambda: faces.find_faces(dataset.images, detector).scores(scores["flatness"]))

    def label_stage() -> labels.LabelAudit:
        probabilities = labels.ridge_probabilities(dataset, labels.assign_folds(duplicates.photo, dataset.labels))
        return labels.judge_labels(dataset, probabilities, "ridge")

    timed("label model", label_stage)
    n = len(dataset)
    print(f"{n} images, {worker_count()} cores")
    print(f"{'stage':<18} {'seconds':>8} {'core seconds':>13} {'images/s':>10} {'peak GB':>8}")
    for stage, value in seconds.items():
        print(f"{stage:<18} {value:8.2f} {cores[stage]:13.2f} {n / max(value, 1e-6):10.0f} {peaks[stage] / 1e9:8.2f}")
    return seconds, cores, peaks, dataset.images[originals]


def hold_against_goals(seconds: dict[str, float], peaks: dict[str, int]) -> dict[str, Any]:
    """Print and return the totals with their goals."""
    pixels = sum(value for stage, value in seconds.items() if stage not in {"faces", "label model"})
    rows = {"without faces and label model": (pixels, GOAL_PIXELS_S)}
    if "faces" in seconds:
        rows["without label model"] = (pixels + seconds["faces"], GOAL_FACES_S)
    else:
        print("no faces: the detector is missing (set MIEN_MODELS, or run mien doctor --fetch)")
    rows["everything"] = (sum(seconds.values()), float("inf"))
    for name, (value, goal) in rows.items():
        verdict = "" if goal == float("inf") else f"   goal {goal:.0f} s: {'met' if value <= goal else 'MISSED'}"
        print(f"{name:<30} {value:8.2f} s{verdict}")
    peak = max(peaks.values())
    verdict = f"goal {GOAL_BYTES / 1e9:.0f} GB: {'met' if peak <= GOAL_BYTES else 'MISSED'}"
    print(f"{'peak memory':<30} {peak / 1e9:8.2f} GB  {verdict}")
    return {
        "total_s": {name: round(value, 2) for name, (value, _) in rows.items()},
        "peak_gb": round(peak / 1e9, 3),
        "goals_met": all(value <= goal for value, goal in rows.values()) and peak <= GOAL_BYTES,
    }


def search_once(path: Path) -> None:
    """Search the images of a .npy file; print seconds, bytes before and at the peak, and pairs. Runs as a process."""
    images = np.load(path)
    before = peak_bytes()
    started, worked = time.perf_counter(), time.process_time()
    pairs = len(near.find_near_duplicates(images))
    seconds, core_seconds = time.perf_counter() - started, time.process_time() - worked
    row = {"seconds": seconds, "core_seconds": core_seconds, "before": before, "peak": peak_bytes(), "pairs": pairs}
    print(json.dumps(row))


def time_growth(images: NDArray[np.uint8], quick: bool) -> dict[str, Any]:
    """Print and return seconds and memory of the near-duplicate search by number of images.

    Each size runs in its own process, because a peak never falls.
    """
    shuffled = images[np.random.default_rng(0).permutation(len(images))]
    sets = {f"{size}": shuffled[:size] for size in SIZES if size < len(images)} | {"all": shuffled}
    if not quick:
        turned = shuffled[:, ::-1].copy()
        turned[::2] = np.rot90(shuffled[::2], axes=(1, 2))
        sets["all, twice"] = np.concatenate([shuffled, turned])
    rows: list[dict[str, Any]] = []
    print("\nnear-duplicate search (memory: in addition to the process after reading the images)")
    print(f"{'images':>8} {'':<11} {'seconds':>8} {'core seconds':>13} {'pairs':>8} {'GB':>8} {'bytes/image':>12}")
    with tempfile.TemporaryDirectory() as folder:
        for name, part in sets.items():
            path = Path(folder) / "images.npy"
            np.save(path, part)
            done = subprocess.run([sys.executable, __file__, "--search", str(path)], check=True, capture_output=True, text=True)
            row = {"name": name, "images": len(part), **json.loads(done.stdout.splitlines()[-1])}
            row["bytes_above_start"] = row["peak"] - row["before"]
            rows.append(row)
            print(
                f"{len(part):8} {name:<11} {row['seconds']:8.2f} {row['core_seconds']:13.2f} {row['pairs']:8}"
                f" {row['bytes_above_start'] / 1e9:8.3f} {row['bytes_above_start'] / len(part):12.0f}"
            )
    return {"rows": rows, **at_a_million(rows, images[0].size)}


def at_a_million(rows: list[dict[str, Any]], image_bytes: int) -> dict[str, Any]:
    """Print and return the cost of a million images: quadratic in time, linear in memory."""
    n = np.array([row["images"] for row in rows], np.float64)
    took = np.array([row["seconds"] for row in rows])
    # seconds = linear * n + square * n^2, relative errors, so that small sizes count too
    design = np.stack([n, n**2], 1) / took[:, None]
    linear, square = np.linalg.lstsq(design, np.ones(len(n)), rcond=None)[0]
    worst = float(np.abs((linear * n + square * n**2) / took - 1).max())
    hours = (linear * MILLION + square * MILLION**2) / 3600
    slope, _ = np.polyfit(n, [row["bytes_above_start"] for row in rows], 1)
    known = near.SEARCH_SIDE**2 * 4 + 2 * image_bytes  # descriptors, high-passed copy, images
    gib = (slope + image_bytes) * MILLION / 2**30
    print(f"fit: {1e6 * linear:.1f} us per image + {1e9 * square:.2f} ns per pair (n^2), off by at most {worst:.0%}")
    measured = slope + image_bytes
    print(f"memory: {measured:.0f} bytes per image, including the image ({known} in image, details, descriptor alone)")
    print(f"{MILLION:,} images: {hours:.1f} hours, {gib:.1f} GiB (at least {known * MILLION / 2**30:.1f})")
    return {
        "linear_s": float(linear),
        "square_s": float(square),
        "fit_worst": round(worst, 3),
        "bytes_per_image": round(float(slope) + image_bytes),
        "bytes_per_image_known": known,
        "million_hours": round(float(hours), 2),
        "million_gib": round(float(gib), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="FER2013: folder, zip or CSV")
    parser.add_argument("--quick", action="store_true", help="skip the search over twice the images")
    parser.add_argument("--search", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.search:
        search_once(arguments.search)
        return
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"load before the start: {load:.1f}{' (other programs are running: times are too long)' if load > 0.5 else ''}")
    seconds, cores, peaks, images = time_stages(arguments.data)
    report: dict[str, Any] = {"load_before": round(load, 2)}
    report["seconds"] = {stage: round(value, 2) for stage, value in seconds.items()}
    report["core_seconds"] = {stage: round(value, 2) for stage, value in cores.items()}
    report |= hold_against_goals(seconds, peaks)
    report["growth"] = time_growth(images, arguments.quick)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
