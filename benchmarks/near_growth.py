"""Time, memory and recall of the search for near duplicates on data sets of growing size.

The data are FER2013's images, without exact copies, and images made of them: turned by 15 to 40 degrees, scaled,
shifted, re-lit, mirrored half of the time. Most of these are near copies of nothing; some are of one another, as in
collections from the web. Recall is measured against a comparison of all pairs, for a sample of the images.

    python benchmarks/near_growth.py --data data/fer2013.zip --images 36000 150000
    python benchmarks/near_growth.py --data data/fer2013.zip --images 600000 --share 0.05   # a twentieth of the search

Prints a table and ends in one JSON line. CPU seconds are of all threads together: on a busy machine they say more
than the clock.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mien.audit import near
from mien.audit.exact import exact_groups
from mien.data.reader import DEFAULT_DATA, read_dataset

SAMPLE = 400


def made(images: NDArray[np.uint8], count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return ``count`` images: the given ones, then augmented ones."""
    random = np.random.default_rng(seed)
    found = np.empty((count, *images.shape[1:]), np.uint8)
    found[: min(count, len(images))] = images[:count]
    middle = (images.shape[1] - 1) / 2
    for k in range(len(images), count):
        angle = random.uniform(15, 40) * random.choice((-1, 1))
        matrix = cv2.getRotationMatrix2D((middle, middle), angle, random.uniform(0.8, 1.3))
        matrix[:, 2] += random.uniform(-5, 5, 2)
        image = images[random.integers(len(images))]
        if random.random() < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        moved = cv2.warpAffine(image, matrix, images.shape[1:], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        found[k] = cv2.convertScaleAbs(moved, alpha=random.uniform(0.7, 1.2), beta=random.uniform(-25, 25))
    return found


def recall(images: NDArray[np.uint8], pairs: near.NearPairs, share: float, sample: int = SAMPLE) -> tuple[float, int]:
    """Return the share of all pairs of ``sample`` random images that was found, and how many pairs that are.

    Images are drawn from those whose partners behind them were looked for.
    """
    useful = np.flatnonzero(near.contrast(images) >= near.MIN_STD)
    searched = round(share * len(useful))
    chosen = np.sort(np.random.default_rng(1).permutation(searched)[: min(sample, searched)])
    queries = near.search_vectors(images[useful[chosen]])
    mirror = np.repeat(np.array([1, -1], np.float32), queries.shape[1] // 2)
    firsts, seconds, turns = [], [], []
    for start in range(0, len(useful), 8192):
        block = near.search_vectors(images[useful[start : start + 8192]])
        for turned, vectors in ((False, queries), (True, queries * mirror)):
            a, b = np.nonzero(vectors @ block.T > near.SEARCH_THRESHOLD)
            behind = chosen[a] < b + start
            firsts.append(useful[chosen[a[behind]]])
            seconds.append(useful[b[behind] + start])
            turns.append(np.full(int(behind.sum()), turned))
    first, second, turned = np.concatenate(firsts), np.concatenate(seconds), np.concatenate(turns)
    true = near.prove(images, first, second, turned) >= near.PROOF_THRESHOLD
    there = {(int(a), int(b)) for a, b in zip(pairs.first, pairs.second, strict=True)}
    hits = [(int(a), int(b)) in there for a, b in zip(first[true], second[true], strict=True)]
    return float(np.mean(hits)) if hits else 1.0, len(hits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--images", type=int, nargs="+", default=[36_000, 150_000])
    parser.add_argument("--share", type=float, default=1.0, help="share of the images whose partners are looked for")
    arguments = parser.parse_args()
    original = read_dataset(arguments.data).dataset.images
    original = original[np.unique(exact_groups(original))]
    rows = []
    print(f"{'images':>9} {'pairs':>9} {'CPU s':>8} {'clock s':>8} {'peak MB':>8} {'recall':>7}  of")
    for count in arguments.images:
        images = made(original, count)
        clock, cpu = time.perf_counter(), time.process_time()
        pairs = near.find_near_duplicates(images, share=arguments.share)
        clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        found, of = recall(images, pairs, arguments.share)
        row = {"images": count, "share": arguments.share, "pairs": len(pairs), "cpu_s": round(cpu, 1)}
        rows.append(row | {"clock_s": round(clock, 1), "peak_mb": peak, "recall": round(found, 4), "recall_of": of})
        print(f"{count:>9,} {len(pairs):>9,} {cpu:>8.1f} {clock:>8.1f} {peak:>8,} {found:>7.4f}  {of} pairs", flush=True)
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
