"""False alarms per hour without drift, for ``drift.py``: independent faces, video, and three controls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from drift_streams import (
    AT_ONCE,
    FACES_PER_H,
    FALSE_ALARM_EVERY_H,
    FRAMES_PER_S,
    cut,
    independent,
    lit,
    observation,
    trembling,
    video,
    wandering_light,
)
from numpy.typing import NDArray
from scipy.stats import chi2

from mien.data.dataset import FaceDataset
from mien.monitoring.chunks import CHUNK_BLOCKS
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import FaceBatch
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger
from mien.vision.predictor import Predictor
from mien.watch import read_faces


def reference_of(faces: FaceBatch, labels: NDArray[np.int64], seed: int = 0) -> Reference:
    return Reference.from_faces(
        faces, labels, bundle="", bundle_sha256="", source="half of PublicTest", dataset_hash="", seed=seed, scopes=("all",)
    )


def alarms_in(
    reference: Reference, faces: FaceBatch, stream: Iterator[tuple[int, str]], windows: int, per_look: float
) -> tuple[int, int]:
    """Return (alarms, change points) in a stream without drift of ``windows`` windows.

    Args:
        reference: the reference.
        faces: all faces of the stream.
        stream: positions and names.
        windows: length of the stream.
        per_look: seconds between items of the stream, so that an hour has ``FACES_PER_H`` observations.
    """
    monitor = DriftMonitor(reference, FALSE_ALARM_EVERY_H, FACES_PER_H)
    trigger = DriftTrigger(reference, cooldown_h=4 * CHUNK_BLOCKS / FACES_PER_H)
    seen = 0
    for k, (position, name) in enumerate(stream):
        verdict = monitor.update(observation(faces, position, name, k * per_look))
        if verdict is not None:
            seen += 1
            trigger.update(verdict)
            if seen == windows:
                break
    return len(trigger.events), len(monitor.changes)


def garwood(count: int) -> tuple[float, float]:
    """Return the exact 95% interval of the mean of a Poisson count (Garwood 1936)."""
    return (float(chi2.ppf(0.025, 2 * count) / 2) if count else 0.0), float(chi2.ppf(0.975, 2 * count + 2) / 2)


def false_alarms(
    dataset: FaceDataset, photo: NDArray[np.int64], everything: FaceBatch, predictor: Predictor, quick: bool, seed: int
) -> dict[str, Any]:
    """Print and return alarms per hour without drift."""
    windows, cuts = (2000, 3) if quick else (4000, 6)
    looks = FACES_PER_H / CHUNK_BLOCKS  # windows per hour
    rows: dict[str, list[int]] = {}
    hours: dict[str, float] = {}
    changes = 0

    def add(name: str, alarms: int, watched: int) -> None:
        rows.setdefault(name, []).append(alarms)
        hours[name] = hours.get(name, 0.0) + watched / looks

    for number in range(cuts):
        first, second = cut(photo, seed + number)
        random = np.random.default_rng((seed, number))
        reference = reference_of(everything.take(first), dataset.labels[first], seed + number)
        stream = everything.take(second)
        alarms, found = alarms_in(reference, stream, independent(stream, random), windows, 3600 / FACES_PER_H)
        changes += found
        add("independent", alarms, windows)
        if number >= (1 if quick else 2):
            continue
        some = second[: 600 if quick else len(second)]
        moving = read_faces(predictor, trembling(dataset.images[some], random))
        pace = 1 / (AT_ONCE * FRAMES_PER_S)
        add("video", alarms_in(reference, moving, video(len(some), 4, random), windows // 4, pace)[0], windows // 4)
        naive = video(len(some), 4, random, as_independent=True)
        add("video, every frame counted", alarms_in(reference, moving, naive, windows // 4, pace)[0], windows // 4)
        if number == 0:
            faces = read_faces(predictor, lit(dataset.images[some]))
            start = wandering_light(len(some), random)
            add("changing light", alarms_in(reference, faces, start, windows // 4, 3600 / FACES_PER_H)[0], windows // 4)
            opening = [observation(faces, p, n, k * 3600 / FACES_PER_H) for k, (p, n) in zip(range(4000), start, strict=False)]
            own = Reference.from_stream(opening, reference, source="the first four hours", repeat_s=3600.0)
            add("changing light, own reference", alarms_in(own, faces, start, windows // 4, 3600 / FACES_PER_H)[0], windows // 4)
    promised = 1 / FALSE_ALARM_EVERY_H
    print(f"\nfalse alarms per hour, expected {promised:.3f} (one in {FALSE_ALARM_EVERY_H:g} h at {FACES_PER_H:g} faces/hour)")
    print(f"{'stream':<32} {'hours':>7} {'alarms':>7} {'per hour':>8} {'95% interval':>16}")
    report: dict[str, Any] = {}
    for name, counts in rows.items():
        low, high = garwood(sum(counts))
        rate, ends = sum(counts) / hours[name], (low / hours[name], high / hours[name])
        print(f"{name:<32} {hours[name]:7.0f} {sum(counts):7} {rate:8.4f} {ends[0]:7.4f} to {ends[1]:6.4f}   by cut: {counts}")
        report[name] = {"hours": round(hours[name], 1), "alarms": counts, "per_hour": rate, "interval": ends}
    often = changes / hours["independent"]
    print(f"change points of confidence and entropy (they date alarms and raise none): {often:.3f} per hour")
    report["change_points_per_hour"] = often
    return report
