"""Power, delay and false alarms of drift detection, on simulated drift in streams of FER2013 faces.

PublicTest is split in two by photograph: one half is the reference, the other gives the streams, so
no photograph is in both.

1. *False alarms*: streams without drift, of independent faces and as in a video (each face stays
   for some time with small movements), over several such splits: alarms per hour with a 95%
   interval (Garwood), compared with the configured rate. Three controls: frames of the video counted
   as independent; slowly changing light, compared with the data set's reference; the same, compared
   with a reference from the stream's own first hours.
2. *Power*: a stream without drift, then with drift; the share of streams with an alarm within 500
   faces, and the median number of faces until the alarm. Conditions: the twelve corruptions, a
   tighter crop, another camera (several corruptions at once), another mix of expressions, turned
   heads, and younger- or older-looking faces by the proportions of YuNet's landmarks (a proxy:
   FER2013 has no ages), each at five severities.
3. *Estimated accuracy* compared with the true accuracy in every condition.

    python benchmarks/drift.py --data data/fer2013.zip [--model mien-xs] [--quick] [--only-estimates]

``--quick``: fewer faces and repetitions. ``--only-estimates``: only part 3, over all faces, in a few minutes.
Prints tables; the last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from drift_alarms import false_alarms, reference_of
from drift_streams import (
    FACES_PER_H,
    FALSE_ALARM_EVERY_H,
    FROM_SUBSET,
    MIXED,
    cut,
    observation,
    parts_by_geometry,
    photographs,
    spoilt_pictures,
)
from numpy.typing import NDArray

from mien.audit.faces import find_faces
from mien.data.dataset import FaceDataset
from mien.data.fer2013 import has_fer2013_labels
from mien.data.reader import DEFAULT_DATA, read_dataset
from mien.data.votes import read_votes
from mien.emotions import EMOTIONS
from mien.evaluation.corruptions import CORRUPTIONS, SEVERITIES
from mien.evaluation.truths import labelled, truths_about
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
from mien.watch import corruption_levels, read_faces

WITHIN_FACES: Final = 500
COSTS: Final = 0.05
"""Conditions that cost more accuracy than this must be detected."""


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
        monitor: the monitor, restarted for each stream.
        reference: its reference.
        plain: faces before the drift.
        drifted: faces after the drift.
        chances: (N,) probability of each face after the drift; None for equal ones.
        repetitions: number of streams.
        seed: random seed of the streams.
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
                causes.append(event.cause)
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
    """Print and return detection (skipped with 0 ``repetitions``) and estimated accuracy by condition."""
    model = reference.accuracy
    assert model is not None
    monitor = DriftMonitor(reference, FALSE_ALARM_EVERY_H, FACES_PER_H)
    right = float((plain.probabilities.argmax(1) == part.labels).mean())
    head = ("accuracy", "loss", "estimate", "conf.", "power", "faces")
    print(f"\n{'condition':<18} " + " ".join(f"{word:>8}" for word in head) + "  looks like")
    rows: list[dict[str, Any]] = []

    def add(name: str, severity: int, faces: FaceBatch, chances: NDArray[np.float64] | None, kind: str) -> None:
        hits = faces.probabilities.argmax(1) == part.labels
        weights = np.full(len(faces), 1 / len(faces)) if chances is None else chances
        mean = weights @ reference.features(faces).astype(np.float64)
        found: dict[str, Any] = {}
        if repetitions:
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
        numbers = " ".join(f"{row[key]:8.3f}" for key in ("accuracy", "costs", "estimate", "confidence"))
        seen = ""
        if found:
            seen = f" {row['power']:8.3f} {row['delay'] or math.nan:8.0f}  {row['looks_like']} {row['looks_like_share']:.0%}"
        print(f"{name:<16} {severity} {numbers}{seen}", flush=True)

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
    """Print and return the errors of the accuracy estimate."""
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
    print("according to the reference: " + ", ".join(f"{key} {value:.3f}" for key, value in known.items()))
    worst = sorted(suite + strangers, key=lambda row: -abs(row["estimate"] - row["accuracy"]))[:6]
    print("worst: " + ", ".join(f"{row['name']} {row['severity']} {row['estimate'] - row['accuracy']:+.3f}" for row in worst))
    report["reference"] = dict(known)
    return report


def noticed(rows: list[dict[str, Any]], alarms: dict[str, Any]) -> dict[str, Any]:
    """Print and return the lowest power, and the false alarms with the configured rate."""
    costly = [row for row in rows if row["kind"] == "picture" and row["costs"] > COSTS]
    weakest = min(costly, key=lambda row: row["power"])
    delays = [row["delay"] for row in costly if row["delay"] is not None]
    print(f"\n{len(costly)} conditions cost more than 5 points; alarms within {WITHIN_FACES} faces:")
    print(
        f"  lowest power {weakest['power']:.2f} ({weakest['name']} {weakest['severity']}), "
        f"median delay {np.median(delays):.0f} faces"
    )
    return {
        "power_min": weakest["power"],
        "power_min_at": f"{weakest['name']} {weakest['severity']}",
        "conditions_costly": len(costly),
        "false_alarms_per_hour": alarms["independent"]["per_hour"],
        "false_alarms_interval": alarms["independent"]["interval"],
        "promised_per_hour": 1 / FALSE_ALARM_EVERY_H,
        "false_alarms": alarms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="FER2013: folder, zip or CSV")
    parser.add_argument("--votes", type=Path, help="FER+ votes: score against the raters' majority")
    parser.add_argument("--model", default="mien-xs", help="name or path of a bundle")
    parser.add_argument("--quick", action="store_true", help="fewer faces and repetitions")
    parser.add_argument("--only-estimates", action="store_true", help="only the errors of the accuracy estimate")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    started = time.perf_counter()
    whole = read_dataset(arguments.data).dataset
    dataset = whole.split("PublicTest")
    predictor = Predictor(bundle_path(arguments.model), 1)
    votes = read_votes(arguments.votes, dataset) if arguments.votes else None
    truth = truths_about(dataset, votes, predictor.card.heads, has_fer2013_labels(whole))[0]
    if truth.head != predictor.card.heads[0]:
        raise SystemExit("this bundle has a people head, which is scored against votes. Pass --votes")
    dataset = labelled(dataset, truth)
    everything = read_faces(predictor, dataset.images)
    print(f"{len(dataset)} faces read by {predictor.card.name} after {time.perf_counter() - started:.0f} s", flush=True)
    photo = photographs(dataset.images)
    alarms = {}
    if not arguments.only_estimates:
        alarms = false_alarms(dataset, photo, everything, predictor, arguments.quick, arguments.seed)
    print(f"after {time.perf_counter() - started:.0f} s", flush=True)

    first, second = cut(photo, arguments.seed)
    learn, stream = (400, 600) if arguments.quick else (len(first), len(second))
    second = second[:stream]
    points = np.tile(CANONICAL_LANDMARKS, (len(dataset), 1, 1))
    parts: dict[str, NDArray[np.float64]] = {}
    weights = find_yunet()
    if weights is None:
        print("no turned heads and no proportions: the detector is missing (set MIEN_MODELS, or run mien doctor --fetch)")
    else:
        landmarks = find_faces(dataset.images[second], weights).landmarks
        parts = parts_by_geometry(landmarks)
        points[second] = np.where(np.isfinite(landmarks).all((1, 2))[:, None, None], landmarks, points[second])
    reference = reference_of(everything.take(first), dataset.labels[first], arguments.seed)
    suite = corruption_levels(
        predictor,
        reference.features,
        dataset.take(first[:learn]),
        points[first[:learn]],
        everything.take(first[:learn]),
        arguments.seed,
    )
    reference = replace(reference, accuracy=fit_accuracy(suite))
    print(f"reference of {len(first)} faces, accuracy estimate from {learn}, after {time.perf_counter() - started:.0f} s")
    rows = power(
        reference, dataset.take(second), everything.take(second), predictor, points[second], parts,
        0 if arguments.only_estimates else 20 if arguments.quick else 60, arguments.seed,
    )  # fmt: skip
    conditions = [{key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in rows]
    report = {"model": predictor.card.name, "quick": arguments.quick, "estimated_accuracy": estimates(rows, reference)}
    if not arguments.only_estimates:
        report |= noticed(rows, alarms)
    seconds = {"seconds": round(time.perf_counter() - started), "core_seconds": round(time.process_time())}
    print(json.dumps({**report, "conditions": conditions, **seconds}))


if __name__ == "__main__":
    main()
