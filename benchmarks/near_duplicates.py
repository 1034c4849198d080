"""Methods for finding near duplicates in FER2013, compared by precision, recall and time.

Two tests:

1. Generated pairs: random images and modified copies (re-encoded, re-lit, shifted, scaled,
   mirrored). Shows which changes a method tolerates.
2. Judged pairs: ``near_duplicate_pairs.csv`` holds real pairs judged by eye (1: the same
   photograph; 0: different photographs, including the same person a moment later). They were
   drawn at random from bands of every method's score, so no method selected its own test.
   ``weight`` is the number of pairs in the data set that a pair represents, so weighted numbers
   estimate precision and recall over the whole data set (recall among the pairs within the bands
   of any method; the others were not judged).

    python benchmarks/near_duplicates.py --data data/fer2013.zip
    python benchmarks/near_duplicates.py --data data/fer2013.zip --sheets sheets/  # view the judgements
    python benchmarks/near_duplicates.py --data data/fer2013.zip --draw pairs.csv  # draw new pairs to judge

Prints tables; the last line is JSON. The embedding takes minutes; ``--quick`` skips the timing.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit import near
from mien.audit.copies import group_sizes, join_copies
from mien.audit.exact import exact_groups
from mien.data.reader import DEFAULT_DATA, read_dataset
from mien.limits import worker_count
from mien.vision.bundles import DEFAULT_BUNDLE, bundle_path
from mien.vision.predictor import Predictor

PAIRS_CSV = Path(__file__).with_name("near_duplicate_pairs.csv")
COLUMNS = ("first", "second", "mirrored", "same", "coarse", "proof", "weight")
BLOCK = 1024
PAIRS_A_SHEET, SHEET_COLUMNS, ZOOM = 50, 5, 3
PER_BAND = 20

Images = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Method:
    """A method whose similarity of two images is the dot product of two unit vectors.

    ``thresholds`` are evaluated on the judged pairs; ``bands`` are the edges between which
    pairs to judge are drawn; ``unit`` formats a similarity in the usual unit.
    """

    name: str
    describe: Callable[[Images], Floats]
    thresholds: tuple[float, ...]
    bands: tuple[float, ...]
    unit: Callable[[float], str] = "{:.3f}".format

    def both(self, images: Images) -> tuple[Floats, Floats]:
        """Return (N, D) vectors of the images and of their mirror images."""
        return self.describe(images), self.describe(np.ascontiguousarray(images[:, :, ::-1]))

    def likeness(self, images: Images, first: Ints, second: Ints) -> Floats:
        """Return (P,) the similarity of the pairs, mirrored or not, whichever is larger."""
        used, place = np.unique(np.concatenate([first, second]), return_inverse=True)
        plain, mirrored = self.both(images[used])
        a, b = np.split(place, 2)
        return np.maximum((plain[a] * plain[b]).sum(1), (plain[a] * mirrored[b]).sum(1))


def unit_length(vectors: NDArray[np.floating]) -> Floats:
    long = vectors.astype(np.float32)
    return long / np.maximum(np.linalg.norm(long, axis=1, keepdims=True), 1e-6)


def perceptual_hash(images: Images) -> Floats:
    """Return the 64 bits of pHash as a vector of ±1/8; the dot product of two is 1 - distance / 32."""
    bits = []
    for image in images:
        small = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
        low = cv2.dct(small)[:8, :8].ravel()
        bits.append(np.where(low > np.median(low), 1, -1))
    return np.array(bits, np.float32).reshape(-1, 64) / 8


def thumbnail(images: Images) -> Floats:
    small = [cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA).ravel() for image in images]
    grey = np.array(small, np.float32).reshape(-1, 256)
    return unit_length(grey - grey.mean(1, keepdims=True))


def embedding(images: Images) -> Floats:
    predictor = Predictor(bundle_path(DEFAULT_BUNDLE))
    parts = [predictor.predict(images[i : i + 256, None]).embedding for i in range(0, len(images), 256)]
    return unit_length(np.concatenate(parts))


def coarse(images: Images) -> Floats:
    return near.descriptors(images).reshape(len(images), -1)


def bits(distance: int) -> float:
    """Return the similarity that corresponds to a pHash distance of ``distance``."""
    return 1 - (distance + 0.5) / 32


HASH = Method(
    "pHash, 64 bits",
    perceptual_hash,
    tuple(bits(d) for d in range(0, 11, 2)),
    tuple(bits(d) for d in (10, 8, 6, 4, 2, -1)),
    lambda likeness: f"<= {round(32 * (1 - likeness) - 0.5)} bits",
)
THUMBNAIL = Method(
    "correlation 16x16",
    thumbnail,
    (0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.98),
    (0.90, 0.92, 0.94, 0.96, 0.98, 2.0),
)
EMBEDDING = Method(
    "mien-s embedding",
    embedding,
    (0.985, 0.9875, 0.99, 0.9915, 0.993, 0.995, 0.997),
    (0.985, 0.99, 0.993, 0.995, 0.997, 2.0),
)
COARSE = Method("search alone", coarse, (0.80, 0.85, 0.90, 0.925, 0.95, 0.97), ())
METHODS = (HASH, THUMBNAIL, EMBEDDING, COARSE)
"""No threshold below the lowest band, because no pairs were drawn there and false pairs would not be counted."""
OURS = "ours: search+proof"
SEARCHES = (0.70, 0.75, 0.80, 0.85, 0.90)
PROOFS = (0.60, 0.65, 0.70, 0.75, 0.80, 0.85)
OUR_BANDS = (
    (0.80, 2.0, -1.0, 0.50),
    (0.80, 2.0, 0.50, 0.65),
    (0.80, 2.0, 0.65, 0.75),
    (0.80, 2.0, 0.75, 0.85),
    (0.80, 2.0, 0.85, 0.95),
    (0.80, 2.0, 0.95, 2.0),
    (0.70, 0.80, 0.60, 0.75),
    (0.70, 0.80, 0.75, 2.0),
)
"""Bounds of the search score, then of the verification score."""


def search(plain: Floats, mirrored: Floats, floor: float) -> tuple[Ints, Ints, Floats]:
    """Return (first, second, similarity) of all pairs with a similarity of at least ``floor``."""
    found: list[tuple[Ints, Ints, Floats]] = []
    for start in range(0, len(plain), BLOCK):
        rows = plain[start : start + BLOCK]
        likeness = np.maximum(rows @ plain[start:].T, rows @ mirrored[start:].T)
        a, b = np.nonzero(likeness >= floor)
        a, b = a[a < b], b[a < b]
        found.append((a + start, b + start, likeness[a, b]))
    first, second, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    return first, second, scores


def prove(images: Images, first: Ints, second: Ints, mirrored: NDArray[np.bool_]) -> Floats:
    parts = np.array_split(np.arange(len(first)), worker_count())
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(len(parts)) as pool:
            return np.concatenate(list(pool.map(lambda p: near.prove(images, first[p], second[p], mirrored[p]), parts)))
    finally:
        cv2.setNumThreads(threads_before)


def our_scores(images: Images, first: Ints, second: Ints) -> tuple[Floats, Floats]:
    """Return (P,) search and verification scores of ``mien.audit.near``."""
    used, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    plain, mirrored = COARSE.both(images[used])
    a, b = np.split(place, 2)
    straight, turned = (plain[a] * plain[b]).sum(1), (plain[a] * mirrored[b]).sum(1)
    return np.maximum(straight, turned), prove(images[used], a, b, turned > straight)


# --- drawing and viewing pairs ---


def draw(images: Images, names: tuple[str, ...], path: Path, seed: int = 0) -> None:
    """Write pairs to judge, from bands of every method's score; ``images`` contain no exact copies."""
    random = np.random.default_rng(seed)
    n = len(images)
    drawn: set[int] = set()
    shares: list[tuple[Callable[[Ints, Ints], NDArray[np.int64]], list[float]]] = []

    def take(pairs: Ints, band: Ints, count: int) -> list[float]:
        share = []
        for k in range(count):
            here = pairs[band == k]
            chosen = random.choice(here, min(PER_BAND, len(here)), replace=False)
            drawn.update(int(pair) for pair in chosen)
            share.append(len(chosen) / max(1, len(here)))
            print(f"  band {k}: {len(chosen)} of {len(here)}", file=sys.stderr)
        return share

    for method in (HASH, THUMBNAIL, EMBEDDING):
        print(method.name, file=sys.stderr)
        first, second, scores = search(*method.both(images), method.bands[0])
        edges = np.array(method.bands)
        share = take(first * n + second, np.searchsorted(edges, scores, "right") - 1, len(edges) - 1)
        shares.append((lambda a, b, m=method, e=edges: np.searchsorted(e, m.likeness(images, a, b), "right") - 1, share))
    print(OURS, file=sys.stderr)
    first, second, _ = search(*COARSE.both(images), min(band[0] for band in OUR_BANDS))
    share = take(first * n + second, our_band(*our_scores(images, first, second)), len(OUR_BANDS))
    shares.append((lambda a, b: our_band(*our_scores(images, a, b)), share))

    pairs = random.permutation(np.array(sorted(drawn)))
    first, second = np.divmod(pairs, n)
    missed = np.ones(len(pairs))
    for band_of, share in shares:
        missed *= 1 - np.array([*share, 0.0])[band_of(first, second)]  # band -1: in none
    straight, turned = (prove(images, first, second, np.full(len(pairs), way)) for way in (False, True))
    scores, proofs = our_scores(images, first, second)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for k, (a, b) in enumerate(zip(first, second, strict=True)):
            mirrored = int(turned[k] > straight[k])
            numbers = (f"{scores[k]:.4f}", f"{proofs[k]:.4f}", f"{1 / (1 - missed[k]):.2f}")
            writer.writerow((names[a], names[b], mirrored, "", *numbers))


def our_band(scores: Floats, proofs: Floats) -> Ints:
    found = np.full(len(scores), -1)
    for k, (low, high, proof_low, proof_high) in enumerate(OUR_BANDS):
        found[(scores >= low) & (scores < high) & (proofs >= proof_low) & (proofs < proof_high)] = k
    return found


def write_sheets(folder: Path, images: Images, first: Ints, second: Ints, mirrored: NDArray[np.bool_], same: list[str]) -> None:
    """Write numbered contact sheets: each pair side by side, a mirrored second image flipped back."""
    folder.mkdir(parents=True, exist_ok=True)
    side, heading, gap = 48 * ZOOM, 16, 10
    width, height = 2 * side + gap, side + heading
    for start in range(0, len(first), PAIRS_A_SHEET):
        rows = -(-min(PAIRS_A_SHEET, len(first) - start) // SHEET_COLUMNS)
        sheet = np.full((rows * height, SHEET_COLUMNS * width), 255, np.uint8)
        for k in range(start, min(start + PAIRS_A_SHEET, len(first))):
            row, column = divmod(k - start, SHEET_COLUMNS)
            other = images[second[k]][:, ::-1] if mirrored[k] else images[second[k]]
            both = cv2.resize(np.hstack([images[first[k]], other]), None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC)
            y, x = row * height, column * width
            sheet[y + heading : y + height, x : x + 2 * side] = both
            label = f"{k}{' mirrored' if mirrored[k] else ''}{f'  same: {same[k]}' if same[k] else ''}"
            cv2.putText(sheet, label, (x + 2, y + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 0, 1, cv2.LINE_AA)
        cv2.imwrite(str(folder / f"pairs_{start:04d}.png"), sheet)


# --- measuring ---


@dataclass(frozen=True)
class LookedAt:
    """The judged pairs, by position in the data set."""

    first: Ints
    second: Ints
    mirrored: NDArray[np.bool_]
    same: NDArray[np.bool_]
    weight: NDArray[np.float64]


def read_pairs(path: Path, names: tuple[str, ...]) -> LookedAt:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    place = {name: i for i, name in enumerate(names)}
    if missing := [row["first"] for row in rows if row["first"] not in place or row["second"] not in place]:
        raise SystemExit(f"{missing[0]} is not in the data set. The pairs refer to the files of Kaggle's folder or zip")
    return LookedAt(
        np.array([place[row["first"]] for row in rows]),
        np.array([place[row["second"]] for row in rows]),
        np.array([row["mirrored"] == "1" for row in rows]),
        np.array([row["same"] == "1" for row in rows]),
        np.array([float(row["weight"]) for row in rows]),
    )


def judge(found: NDArray[np.bool_], pairs: LookedAt, all_pairs: int) -> dict[str, float]:
    """Return precision, recall and F1 over the judged pairs, and weighted for the whole data set."""
    numbers: dict[str, float] = {}
    for suffix, weight in (("", np.ones(len(found))), ("_all", pairs.weight)):
        hits = float(weight[found & pairs.same].sum())
        precision, recall = hits / max(1.0, float(weight[found].sum())), hits / float(weight[pairs.same].sum())
        f1 = 2 * precision * recall / max(1e-9, precision + recall)
        numbers |= {f"precision{suffix}": precision, f"recall{suffix}": recall, f"f1{suffix}": f1}
    numbers["false_per_million"] = 1e6 * float(pairs.weight[found & ~pairs.same].sum()) / all_pairs
    return {key: round(value, 4) for key, value in numbers.items()}


def spread(found: NDArray[np.bool_], pairs: LookedAt) -> dict[str, list[float]]:
    """Return 95% bootstrap intervals of the weighted precision and recall."""
    random = np.random.default_rng(0)
    draws = []
    for _ in range(1000):
        k = random.integers(len(found), size=len(found))
        weight, f, s = pairs.weight[k], found[k], pairs.same[k]
        hits = weight[f & s].sum()
        draws.append((hits / max(1.0, weight[f].sum()), hits / max(1.0, weight[s].sum())))
    low, high = np.percentile(draws, (2.5, 97.5), axis=0)
    return {"precision_all_95": [round(float(low[0]), 3), round(float(high[0]), 3)],
            "recall_all_95": [round(float(low[1]), 3), round(float(high[1]), 3)]}  # fmt: skip


def moved(images: Images, scale: float, dx: float, dy: float) -> Images:
    """Return the images scaled about their centre and shifted, with replicated borders."""
    middle = (images.shape[1] - 1) / 2 * (1 - scale)
    matrix = np.array([[scale, 0, middle + dx], [0, scale, middle + dy]])
    size = (images.shape[2], images.shape[1])
    return np.stack([cv2.warpAffine(i, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for i in images])


def made_copies(images: Images) -> dict[str, Images]:
    random = np.random.default_rng(1)
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])[1] for image in images]
    gain, offset = random.uniform(0.6, 1.4, (len(images), 1, 1)), random.uniform(-40, 40, (len(images), 1, 1))
    mirrored = np.ascontiguousarray(images[:, :, ::-1])
    return {
        "JPEG 30": np.stack([cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE) for jpeg in jpegs]),
        "re-lit": np.clip((images - 128.0) * gain + 128 + offset, 0, 255).astype(np.uint8),
        "1 px": moved(images, 1, 1, 0),
        "2+2 px": moved(images, 1, 2, 2),
        "x1.05": moved(images, 1.05, 0, 0),
        "mirror": mirrored,
        "mirror+1": moved(mirrored, 1, 1, 0),
    }


def looked_at_table(images: Images, pairs: LookedAt, all_pairs: int) -> dict[str, dict[str, object]]:
    """Print the sweeps and return each method's best threshold by F1 over the judged pairs."""
    sweeps: dict[str, list[tuple[float | tuple[float, float], str, NDArray[np.bool_]]]] = {}
    for method in METHODS:
        scores = method.likeness(images, pairs.first, pairs.second)
        sweeps[method.name] = [(t, method.unit(t), scores >= t) for t in method.thresholds]
    scores, proofs = our_scores(images, pairs.first, pairs.second)
    sweeps[OURS] = [
        (
            (s, p),
            f"{s:.2f}, {p:.2f}{' *' if (s, p) == (near.SEARCH_THRESHOLD, near.PROOF_THRESHOLD) else ''}",
            (scores > s) & (proofs >= p),
        )
        for s in sorted({*SEARCHES, near.SEARCH_THRESHOLD})
        for p in sorted({*PROOFS, near.PROOF_THRESHOLD})
    ]
    print(f"\nJudged pairs: {len(pairs.same)}, of which {int(pairs.same.sum())} show the same photograph (* in use)")
    print("                                   judged pairs                whole data set (weighted)")
    print(f"{'method':<20} {'threshold':>13}  precision recall    F1    precision recall    F1  false/million")
    best: dict[str, dict[str, object]] = {}
    for name, rows in sweeps.items():
        judged = [(threshold, label, judge(found, pairs, all_pairs), found) for threshold, label, found in rows]
        top = max(judged, key=lambda row: row[2]["f1"])
        top_all = max(judged, key=lambda row: row[2]["f1_all"])
        best[name] = {"threshold": top[0], **top[2], **spread(top[3], pairs)}
        if name == OURS:
            in_use = next(row for row in judged if row[0] == (near.SEARCH_THRESHOLD, near.PROOF_THRESHOLD))
            best[f"{OURS}, in use"] = {"threshold": in_use[0], **in_use[2], **spread(in_use[3], pairs)}
        for threshold, label, n, _ in judged:
            marks = ("  < best F1" if threshold == top[0] else "") + ("  < best weighted F1" if threshold == top_all[0] else "")
            print(
                f"{name:<20} {label:>13}  {n['precision']:9.3f} {n['recall']:6.3f} {n['f1']:5.3f}    {n['precision_all']:9.3f}"
                f" {n['recall_all']:6.3f} {n['f1_all']:5.3f}  {n['false_per_million']:13.3f}{marks}"
            )
    return best


def made_table(images: Images, best: dict[str, dict[str, object]]) -> dict[str, object]:
    """Print and return recall by kind of copy, and false pairs among the originals, at the best thresholds."""
    copies = made_copies(images)
    n = len(images)
    rows = np.arange(n)
    report: dict[str, object] = {}
    print(f"\nGenerated pairs: {n} images, recall by kind; pairs found among the originals, per million")
    print(f"{'method':<28} {' '.join(f'{kind:>8}' for kind in copies)}  false/million")

    def line(name: str, recall: dict[str, float], false: int) -> None:
        rate = 1e6 * false / (n * (n - 1) / 2)
        report[name] = {**{kind: round(value, 4) for kind, value in recall.items()}, "false_per_million": round(rate, 3)}
        print(f"{name:<28} {' '.join(f'{value:8.1%}' for value in recall.values())}  {rate:13.2f}")

    for method in METHODS:
        threshold = best[method.name]["threshold"]
        plain, mirrored = method.both(images)
        recall = {}
        for kind, made in copies.items():
            vectors = method.describe(made)
            recall[kind] = float((np.maximum((plain * vectors).sum(1), (mirrored * vectors).sum(1)) >= threshold).mean())
        line(f"{method.name} {method.unit(threshold)}", recall, len(search(plain, mirrored, threshold)[0]))
    ours = {tuple(best[key]["threshold"]) for key in (OURS, f"{OURS}, in use")}
    recalls: dict[tuple[float, float], dict[str, float]] = {pair: {} for pair in ours}
    for kind, made in copies.items():
        scores, proofs = our_scores(np.concatenate([images, made]), rows, rows + n)
        for s, p in ours:
            recalls[s, p][kind] = float(((scores > s) & (proofs >= p)).mean())
    first, second, _ = search(*COARSE.both(images), min(s for s, _ in ours))
    scores, proofs = our_scores(images, first, second)
    for s, p in sorted(ours):
        line(f"{OURS} {s:.2f}, {p:.2f}", recalls[s, p], int(((scores > s) & (proofs >= p)).sum()))
    return report


def time_methods(images: Images, best: dict[str, dict[str, object]]) -> dict[str, float]:
    """Print and return the seconds each method takes for all images."""
    print(f"\nSeconds for {len(images)} images\n{'method':<20} {'describe':>9} {'search':>8} {'total':>8} {'pairs':>8}")
    seconds: dict[str, float] = {}
    for method in METHODS:
        started = time.perf_counter()
        plain, mirrored = method.both(images)
        described = time.perf_counter()
        found = len(search(plain, mirrored, best[method.name]["threshold"])[0])
        done = time.perf_counter()
        seconds[method.name] = round(done - started, 2)
        print(f"{method.name:<20} {described - started:9.1f} {done - described:8.1f} {done - started:8.1f} {found:8}")
    started = time.perf_counter()
    found = len(near.find_near_duplicates(images))
    seconds[OURS] = round(time.perf_counter() - started, 2)
    print(f"{OURS:<20} {'':>9} {'':>8} {seconds[OURS]:8.1f} {found:8}")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="Kaggle's fer2013.zip or its folder")
    parser.add_argument("--made", type=int, default=2000, help="number of images to copy")
    parser.add_argument("--sheets", type=Path, help="only write the judged pairs as contact sheets to this folder")
    parser.add_argument("--draw", type=Path, help="only draw pairs to judge and write them to this CSV")
    parser.add_argument("--seed", type=int, default=0, help="for --draw")
    parser.add_argument("--quick", action="store_true", help="do not time the methods on all images")
    arguments = parser.parse_args()
    dataset = read_dataset(arguments.data).dataset
    images = dataset.images
    exact = exact_groups(images)
    originals = np.unique(exact)
    originals = originals[near.contrast(images[originals]) >= near.MIN_STD]
    if arguments.draw:
        draw(images[originals], tuple(dataset.names[i] for i in originals), arguments.draw, arguments.seed)
        return
    pairs = read_pairs(PAIRS_CSV, dataset.names)
    if arguments.sheets:
        verdicts = ["yes" if same else "no" for same in pairs.same]
        write_sheets(arguments.sheets, images, pairs.first, pairs.second, pairs.mirrored, verdicts)
        return
    best = looked_at_table(images, pairs, len(originals) * (len(originals) - 1) // 2)
    found = near.find_near_duplicates(images[originals])
    found = near.NearPairs(originals[found.first], originals[found.second], found.score, found.mirrored)
    alone = originals[group_sizes(join_copies(exact, found).photo)[originals] == 1]
    sample = np.sort(np.random.default_rng(0).permutation(alone)[: arguments.made])
    made = made_table(images[sample], best)
    print("(images that Mien groups are excluded, so Mien has no false pairs here by construction;")
    print(" for a comparison see the false pairs of the judged pairs above)")
    seconds = {} if arguments.quick else time_methods(images[originals], best)
    print(
        json.dumps({"looked_at": len(pairs.same), "same": int(pairs.same.sum()), "best": best, "made": made, "seconds": seconds})
    )


if __name__ == "__main__":
    main()
