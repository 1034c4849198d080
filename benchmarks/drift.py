"""Plant drift in streams of real FER2013 faces, and measure how soon, how surely and how falsely it is noticed.

PublicTest is cut in two by photograph: one half makes the reference, the other the streams, so
that no photograph stands on both sides.

1. *False alarms*: streams without drift, of independent faces and as in a video (each face stays
   for a while and trembles), over several such cuts; alarms an hour with a 95 % interval (Garwood),
   beside what was promised. Three controls: frames of the video counted as if they were
   independent; light that wanders for no reason, against the data set's reference; the same against a
   reference that the stream's own first hours made.
2. *Power*: a stream without drift, then one that has it; the share of streams in which an alarm
   comes within 500 faces, and the median number of faces until it comes. The twelve corruptions,
   a tighter crop, another camera (several corruptions at once), another mix of expressions,
   turned heads, and younger- or older-looking faces by the proportions of YuNet's landmarks (a proxy:
   FER2013 does not tell anybody's age), each at five severities.
3. *Estimated accuracy* against the true one in every condition.

    python benchmarks/drift.py --data data/fer2013.zip [--model mien-xs] [--quick]

``--quick``: fewer faces and repetitions. Prints tables and ends in one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from drift_streams import (
    AT_ONCE,
    FRAMES_PER_S,
    FROM_SUBSET,
    MIXED,
    cut,
    independent,
    lit,
    observation,
    parts_by_geometry,
    photographs,
    spoilt_pictures,
    trembling,
    video,
    wandering_light,
)
from numpy.typing import NDArray
from scipy.stats import chi2

from mien.audit.faces import find_faces
from mien.data.dataset import FaceDataset
from mien.data.reader import DEFAULT_DATA, read_dataset
from mien.emotions import EMOTIONS
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from mien.monitoring.accuracy_estimate import WITHIN, fit_accuracy
from mien.monitoring.chunks import CHUNK_BLOCKS
from mien.monitoring.monitor import DriftMonitor
from mien.monitoring.observation import FaceBatch
from mien.monitoring.reference import Reference
from mien.monitoring.trigger import DriftTrigger
from mien.preprocess import CANONICAL_LANDMARKS
from mien.vision.bundles import bundle_path
from mien.vision.predictor import Predictor
from mien.vision.weights import find_yunet
from mien.watch import read_faces, spoilt_conditions

FALSE_ALARM_EVERY_H: Final = 24.0
FACES_PER_H: Final = 1000.0
WITHIN_FACES: Final = 500
COSTS: Final = 0.05
"""A condition that costs more accuracy than this must be noticed."""


def reference_of(faces: FaceBatch, labels: NDArray[np.int64], seed: int = 0) -> Reference:
    return Reference.from_faces(
        faces, labels, bundle="", bundle_sha256="", source="half of PublicTest", dataset_hash="", seed=seed, sights=("all",)
    )


def alarms_in(
    reference: Reference, faces: FaceBatch, stream: Iterator[tuple[int, str]], windows: int, per_look: float
) -> tuple[int, int]:
    """Return (alarms, change points) in a stream without drift, so many windows long.

    Args:
        reference: what it is held against.
        faces: all faces of the stream.
        stream: positions and names.
        windows: how long to watch.
        per_look: seconds from one item of the stream to the next, such that an hour brings ``FACES_PER_H`` looks.
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
    """Return the exact 95 % interval of the mean of a Poisson count (Garwood 1936)."""
    return (float(chi2.ppf(0.025, 2 * count) / 2) if count else 0.0), float(chi2.ppf(0.975, 2 * count + 2) / 2)


def detect(
    monitor: DriftMonitor,
    reference: Reference,
    plain: FaceBatch,
    drifted: FaceBatch,
    chances: NDArray[np.float64] | None,
    repetitions: int,
    seed: int,
) -> dict[str, Any]:
    """Return power and delay of streams that drift after 200 to 250 faces.

    Args:
        monitor: watches each stream anew.
        reference: its own.
        plain: faces before.
        drifted: faces after.
        chances: (N,) how likely each face is drawn after; None for all alike.
        repetitions: streams.
        seed: of the streams.
    """
    random = np.random.default_rng(seed)
    delays, causes = [], []
    adwin = 0
    for _ in range(repetitions):
        monitor.restart()
        trigger = DriftTrigger(reference, cooldown_h=1e6)
        onset = 200 + int(random.integers(CHUNK_BLOCKS))
        before = random.integers(0, len(plain), onset)
        after = random.choice(len(drifted), WITHIN_FACES, p=chances)
        event = None
        for k in range(onset + WITHIN_FACES):
            faces, position = (plain, before[k]) if k < onset else (drifted, after[k - onset])
            verdict = monitor.update(observation(faces, int(position), str(k), k * 3600 / FACES_PER_H))
            event = trigger.update(verdict) if verdict is not None else None
            if event is not None and k >= onset:
                delays.append(k - onset + 1)
                causes.append(event.looks_like)
                break
        adwin += any(point.test == "adwin" for point in monitor.changes)
    return {
        "power": len(delays) / repetitions,
        "delay": float(np.median(delays)) if delays else None,
        "looks_like": max(set(causes), key=causes.count) if causes else "nothing",
        "looks_like_share": causes.count(max(set(causes), key=causes.count)) / len(causes) if causes else 0.0,
        "adwin_too": adwin / repetitions,
    }


# --- the three parts ----------------------------------------------------------------------------


def false_alarms(
    dataset: FaceDataset, photo: NDArray[np.int64], everything: FaceBatch, predictor: Predictor, quick: bool, seed: int
) -> dict[str, Any]:
    """Print and return alarms an hour where nothing changes."""
    windows, cuts = (2000, 3) if quick else (4000, 6)
    looks = FACES_PER_H / CHUNK_BLOCKS  # windows an hour
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
            add("wandering light", alarms_in(reference, faces, start, windows // 4, 3600 / FACES_PER_H)[0], windows // 4)
            opening = [observation(faces, p, n, k * 3600 / FACES_PER_H) for k, (p, n) in zip(range(4000), start, strict=False)]
            own = Reference.from_stream(opening, reference, source="the first four hours", repeat_s=3600.0)
            add("wandering light, own reference", alarms_in(own, faces, start, windows // 4, 3600 / FACES_PER_H)[0], windows // 4)
    promised = 1 / FALSE_ALARM_EVERY_H
    print(f"\nfalse alarms an hour, promised {promised:.3f} (one in {FALSE_ALARM_EVERY_H:g} h at {FACES_PER_H:g} faces an hour)")
    print(f"{'stream':<32} {'hours':>7} {'alarms':>7} {'an hour':>8} {'95 % interval':>16}")
    report: dict[str, Any] = {}
    for name, counts in rows.items():
        low, high = garwood(sum(counts))
        rate, ends = sum(counts) / hours[name], (low / hours[name], high / hours[name])
        print(f"{name:<32} {hours[name]:7.0f} {sum(counts):7} {rate:8.4f} {ends[0]:7.4f} to {ends[1]:6.4f}   by cut: {counts}")
        report[name] = {"hours": round(hours[name], 1), "alarms": counts, "per_hour": rate, "interval": ends}
    often = changes / hours["independent"]
    print(f"change points of confidence and entropy (they date alarms, they raise none): {often:.3f} an hour")
    report["change_points_per_hour"] = often
    return report


def power(
    reference: Reference,
    part: FaceDataset,
    plain: FaceBatch,
    predictor: Predictor,
    points: NDArray[np.float32],
    parts: dict[str, NDArray[np.float64]],
    repetitions: int,
    seed: int,
) -> list[dict[str, Any]]:
    """Print and return detection and estimated accuracy by condition."""
    model = reference.accuracy
    assert model is not None
    monitor = DriftMonitor(reference, FALSE_ALARM_EVERY_H, FACES_PER_H)
    right = float((plain.probabilities.argmax(1) == part.labels).mean())
    head = ("accuracy", "costs", "estimate", "sure", "power", "faces")
    print(f"\n{'condition':<18} " + " ".join(f"{word:>8}" for word in head) + "  looks like")
    rows: list[dict[str, Any]] = []

    def add(name: str, severity: int, faces: FaceBatch, chances: NDArray[np.float64] | None, kind: str) -> None:
        hits = faces.probabilities.argmax(1) == part.labels
        weights = np.full(len(faces), 1 / len(faces)) if chances is None else chances
        mean = weights @ reference.features(faces).astype(np.float64)
        found = detect(monitor, reference, plain, faces, chances, repetitions, seed + 1000 * severity + len(rows))
        accuracy = float(weights @ hits)
        row: dict[str, Any] = {
            "name": name,
            "severity": severity,
            "kind": kind,
            "accuracy": accuracy,
            "costs": right - accuracy,
            "estimate": model.estimate(mean),
            "confidence": float(weights @ faces.probabilities.max(1)),
            **found,
        }
        rows.append(row)
        numbers = [f"{row[key]:8.3f}" for key in ("accuracy", "costs", "estimate", "confidence", "power")]
        print(
            f"{name:<16} {severity} {' '.join(numbers)} {row['delay'] or math.nan:8.0f}  "
            f"{row['looks_like']} {row['looks_like_share']:.0%}",
            flush=True,
        )

    add("none", 0, plain, None, "none")
    for name, severity, images in spoilt_pictures(part, points):
        add(name, severity, read_faces(predictor, images), None, "picture")
    for label in ("happy", "sad"):
        of_class = (part.labels == EMOTIONS.index(label)).astype(np.float64)
        for severity, share in zip(SEVERITIES, MIXED, strict=True):
            add(f"more_{label}", severity, plain, (1 - share) / len(plain) + share * of_class / of_class.sum(), "content")
    for name, belongs in parts.items():
        for severity, share in zip(SEVERITIES, FROM_SUBSET, strict=True):
            add(name, severity, plain, (1 - share) / len(plain) + share * belongs / belongs.sum(), "faces")
    return rows


def estimates(rows: list[dict[str, Any]], reference: Reference) -> dict[str, Any]:
    """Print and return how well accuracy was estimated."""
    assert reference.accuracy is not None
    suite = [row for row in rows if row["name"] in CORRUPTIONS]
    strangers = [row for row in rows if row["name"] in ("tighter_crop", "other_camera")]
    report: dict[str, Any] = {}
    for name, part in (("suite", suite), ("tighter crop and other camera", strangers)):
        for key in ("estimate", "confidence"):
            errors = np.array([abs(row[key] - row["accuracy"]) for row in part])
            report[f"{name}, {key}"] = {"within": float((errors <= WITHIN).mean()), "p90": float(np.quantile(errors, 0.9))}
            share = (errors <= WITHIN).mean()
            print(f"{name}, {key}: within 5 points in {share:.0%} of {len(part)} conditions, mean error {errors.mean():.3f}")
    known = reference.accuracy.errors
    print("by the reference's own account: " + ", ".join(f"{key} {value:.3f}" for key, value in known.items()))
    worst = sorted(suite + strangers, key=lambda row: -abs(row["estimate"] - row["accuracy"]))[:6]
    print("worst: " + ", ".join(f"{row['name']} {row['severity']} {row['estimate'] - row['accuracy']:+.3f}" for row in worst))
    report["reference"] = dict(known)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="FER2013: folder, zip or CSV")
    parser.add_argument("--model", default="mien-xs", help="a bundle's path or name")
    parser.add_argument("--quick", action="store_true", help="fewer faces and repetitions")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    dataset = read_dataset(arguments.data).dataset.split("PublicTest")
    predictor = Predictor(bundle_path(arguments.model), 1)
    everything = read_faces(predictor, dataset.images)
    print(f"{len(dataset)} faces read by {predictor.card.name} after {time.perf_counter() - started:.0f} s", flush=True)
    photo = photographs(dataset.images)
    alarms = false_alarms(dataset, photo, everything, predictor, arguments.quick, arguments.seed)
    print(f"after {time.perf_counter() - started:.0f} s", flush=True)

    first, second = cut(photo, arguments.seed)
    learn, stream = (400, 600) if arguments.quick else (len(first), len(second))
    second = second[:stream]
    points = np.tile(CANONICAL_LANDMARKS, (len(dataset), 1, 1))
    parts: dict[str, NDArray[np.float64]] = {}
    weights = find_yunet()
    if weights is None:
        print("no turned heads, no proportions: the detector's file is not there (set MIEN_MODELS, or run mien fetch)")
    else:
        landmarks = find_faces(dataset.images[second], weights).landmarks
        parts = parts_by_geometry(landmarks)
        points[second] = np.where(np.isfinite(landmarks).all((1, 2))[:, None, None], landmarks, points[second])
    reference = reference_of(everything.take(first), dataset.labels[first], arguments.seed)
    suite = spoilt_conditions(
        predictor,
        reference.features,
        dataset.take(first[:learn]),
        points[first[:learn]],
        everything.take(first[:learn]),
        arguments.seed,
    )
    reference = replace(reference, accuracy=fit_accuracy(suite))
    print(f"reference of {len(first)} faces, accuracy learnt from {learn} of them, after {time.perf_counter() - started:.0f} s")
    rows = power(
        reference, dataset.take(second), everything.take(second), predictor, points[second], parts,
        20 if arguments.quick else 60, arguments.seed,
    )  # fmt: skip
    costly = [row for row in rows if row["kind"] == "picture" and row["costs"] > COSTS]
    weakest = min(costly, key=lambda row: row["power"])
    delays = [row["delay"] for row in costly if row["delay"] is not None]
    print(f"\n{len(costly)} conditions cost more than 5 points; alarms within {WITHIN_FACES} faces:")
    print(
        f"  least power {weakest['power']:.2f} ({weakest['name']} {weakest['severity']}), "
        f"median delay {np.median(delays):.0f} faces"
    )
    report = {
        "model": predictor.card.name,
        "quick": arguments.quick,
        "power_min": weakest["power"],
        "power_min_at": f"{weakest['name']} {weakest['severity']}",
        "conditions_costly": len(costly),
        "false_alarms_per_hour": alarms["independent"]["per_hour"],
        "false_alarms_interval": alarms["independent"]["interval"],
        "promised_per_hour": 1 / FALSE_ALARM_EVERY_H,
        "false_alarms": alarms,
        "estimated_accuracy": estimates(rows, reference),
        "conditions": [
            {key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows
        ],
        "seconds": round(time.perf_counter() - started),
        "core_seconds": round(time.process_time()),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
