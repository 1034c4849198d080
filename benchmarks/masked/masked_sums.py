"""Could the class server add up what it cannot read? Sums of masked vectors (secure aggregation), tried and attacked.

    python benchmarks/masked/masked_sums.py --chromium /usr/bin/chromium

The protocol is in ``masked_protocol.py``, the attacks are in ``masked_attacks.py``. The package contains nothing of it. The
attacks are tried with both masks and with the masks of neighbours alone. Prints the attacks, a test whether masked vectors
look random, the risks of small neighbourhoods and the costs, and ends with one line of JSON. Times are of Python with the
package cryptography (extra ``lti``); ``--chromium`` also measures WebCrypto in Chromium and compares its masks with Python's.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from masked_attacks import ATTACKS, destroyed, distinguished, success
from masked_neighbourhoods import dropouts, enough_neighbours, lost_bins, most_dropouts, risks
from masked_protocol import (
    ROUND_TRIPS,
    SIZE,
    group,
    learner_values,
    mask_key,
    open_lesson,
    own_mask,
    pair_mask,
    plain_sum,
    run_bin,
)

from mien.privacy.aggregates import K

BROWSER_SCRIPT: Final = Path(__file__).parent / "webcrypto.js"


def measure(people: int, neighbours: int | None, share: float, tries: int) -> dict[str, Any]:
    """Run two bins of a class, one with some dropouts and one with as many as it survives; return costs and results."""
    random = np.random.default_rng((people, neighbours or 0))
    who = group(people, neighbours, random)
    lesson = open_lesson(who)
    most = most_dropouts(who, random, tries)
    runs = []
    for number, gone in enumerate((min(most, round(people * share)), most)):
        values, order = [learner_values(random) for _ in range(people)], dropouts(who, gone, random)
        before, after = frozenset(order[: gone // 2]), frozenset(order[gone // 2 :])
        run = run_bin(lesson, number, values, before, after)
        if not np.array_equal(run.total, plain_sum(values, set(range(people)) - before)):
            raise SystemExit(f"the sum of {people} people is wrong")
        runs.append(run)
    first = runs[0]
    return {
        "people": people,
        "neighbours": len(who.neighbours[0]),
        "threshold": who.threshold,
        "sent_bytes": first.sent_bytes,
        "received_bytes": first.received_bytes,
        "page_ms": first.page_ms,
        "join_ms": lesson.join_ms,
        "server_ms": first.server_ms,
        "server_most_dropouts_ms": runs[1].server_ms,
        "most_dropouts": most / people,
        "lost_bins": lost_bins(who, random, 0.3, 10 * tries),
    }


def browser_costs(chromium: str, neighbours: Sequence[int]) -> dict[str, float]:
    """Return milliseconds that a page in Chromium needs for a bin, by number of neighbours; its masks must be Python's."""
    from playwright.sync_api import sync_playwright

    secret, other = 2**126 + 12345, X25519PrivateKey.generate()
    public = other.public_key().public_bytes_raw()
    expected = own_mask(secret) + pair_mask(mask_key(secret), 0, 1, public)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("https://class.test/", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
        page.goto("https://class.test/")  # WebCrypto needs a secure context
        page.add_script_tag(content=BROWSER_SCRIPT.read_text(encoding="utf-8"))
        found = page.evaluate("([secret, key, size]) => masked(BigInt(secret), key, size)", [str(secret), list(public), SIZE])
        if found != expected.tolist():
            raise SystemExit("WebCrypto and Python do not compute the same masks")
        costs = {}
        for each in neighbours:
            times = [float(page.evaluate("([count, size]) => cost(count, size)", [each, SIZE])) for _ in range(5)]
            costs[str(each)] = statistics.median(times)
        browser.close()
    return costs


def print_attacks(rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    print("| attack | read, masks of neighbours alone | read, own mask as well |\n|---|---|---|")
    for name, attack in ATTACKS.items():
        single, double = (success(attack, has_own_masks, rounds) for has_own_masks in (False, True))
        found[name] = [single, double]
        print(f"| {name} | {single:.0%} | {double:.0%} |")
    wrong = statistics.fmean(destroyed(np.random.default_rng(each)) for each in range(rounds))
    print(f"\nOne page sends random numbers: the sum is wrong and nobody is told in {wrong:.0%}.\n")
    print("| what the server has of each page | bytes from uniform, standard deviations | guesses who was there, 50% is chance |")
    print("|---|---|---|")
    for name, has_masks in (("vectors without masks", False), ("vectors with the masks of neighbours, after unmasking", True)):
        off, right = found[name] = distinguished(has_masks, 5 * rounds, np.random.default_rng(0))
        print(f"| {name} | {off:+.1f} | {right:.1%} |")
    print()
    return {**found, "destroyed": wrong}


def print_neighbourhoods(people: Sequence[int], share: float) -> dict[str, Any]:
    found = {}
    print("| people | neighbours, log2 n times 2 | a page can be read | bin lost | enough neighbours |\n|---|---|---|---|---|")
    for each in people:
        few = 2 * round(math.log2(each))
        read, lost = risks(each, few, share)
        found[str(each)] = [few, read, lost, enough_neighbours(each, share)]
        print(f"| {each} | {few} | {read:.1%} | {lost:.1%} | {enough_neighbours(each, share) or 'all'} |")
    print()
    return found


def print_costs(people: Sequence[int], share: float, tries: int, complete: int) -> list[dict[str, Any]]:
    rows = []
    print("| people | neighbours | shares needed | sent a bin, bytes | received, bytes | round trips | page, ms a bin", end=" ")
    print("| page, ms at joining | server, ms a bin | with most dropouts | dropouts survived | bins lost, 30% miss the end |")
    print("|---" * 12 + "|")
    for each in people:
        some = enough_neighbours(each, share)
        kinds = [None] * (each <= complete) + [some] * (some is not None and each >= 300)
        for neighbours in kinds:
            row = measure(each, neighbours, share, tries)
            rows.append(row)
            print(
                f"| {each} | {row['neighbours']} | {row['threshold']} | {row['sent_bytes']} | {row['received_bytes']}"
                f" | {ROUND_TRIPS} | {row['page_ms']:.1f} | {row['join_ms']:.1f}"
                f" | {row['server_ms']:.0f} | {row['server_most_dropouts_ms']:.0f}"
                f" | {row['most_dropouts']:.1%} | {row['lost_bins']:.1%} |",
                flush=True,
            )
    print()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, nargs="+", default=[15, 50, 100, 300, 1000], help="sizes of the class")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of each attack")
    parser.add_argument("--tries", type=int, default=200, help="random sets of dropouts for each class")
    parser.add_argument("--share", type=float, default=0.2, help="share of pages that leave, and that work for the server")
    parser.add_argument("--complete", type=int, default=300, help="largest class in which everybody is everybody's neighbour")
    parser.add_argument("--chromium", help="path of Chromium: measure WebCrypto in it as well")
    settings = parser.parse_args()
    if min(settings.people) <= K:
        parser.error(f"a class has more than {K} people")
    found: dict[str, Any] = {"attacks": print_attacks(settings.rounds)}
    found["neighbourhoods"] = print_neighbourhoods(settings.people, settings.share)
    found["costs"] = print_costs(settings.people, settings.share, settings.tries, settings.complete)
    if settings.chromium:
        found["browser_ms"] = browser_costs(settings.chromium, sorted({row["neighbours"] for row in found["costs"]}))
        print("| neighbours | a page in Chromium, ms a bin |\n|---|---|")
        print("".join(f"| {each} | {ms:.0f} |\n" for each, ms in found["browser_ms"].items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
