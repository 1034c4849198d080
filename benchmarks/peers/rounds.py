"""Rounds of the comparison: in each, every peer takes a turn in a fresh process.

A turn covers the start of the process to the first result, the clips, and this round's share of the
images. A finished turn is saved as a file, so that a stopped run resumes there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from environments import Environment
from material import Pictures, canvases_file, crops_file
from numpy.typing import NDArray
from workers import Worker, WorkerFailure

from mien.emotions import EMOTIONS
from mien.files import write_json

FIRST_LIMIT_S: Final = 300.0
"""Time limit in seconds to import, load and read the first frame."""
REQUEST_LIMIT_S: Final = 300.0
PORTION: Final = 50
"""Pictures per request."""

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """An installed peer.

    Attributes:
        name: name of the peer.
        environment: its environment.
    """

    name: str
    environment: Environment


@dataclass(frozen=True, slots=True)
class Course:
    """The input of the peers.

    Attributes:
        clips: clips by file name.
        images: (N, 48, 48) uint8, split into one share per round.
        rounds: number of rounds.
        canvases: number of images that are also run with detection.
    """

    clips: Mapping[str, Pictures]
    images: NDArray[np.uint8]
    rounds: int
    canvases: int

    def share(self, number: int) -> tuple[int, int, int]:
        """Return the bounds of round ``number`` (from 0) in the images, and the end of its canvases."""
        start, end = _bounds(len(self.images), self.rounds, number)
        first, last = _bounds(self.canvases, self.rounds, number)
        return start, end, start + last - first


def turns(entries: list[Entry], rounds: int) -> Iterator[tuple[int, Entry]]:
    """Yield (round, peer); each round begins with another peer, so that no peer always goes first."""
    for number in range(rounds):
        yield from ((number, entries[(k + number) % len(entries)]) for k in range(len(entries)))


def run_turn(entry: Entry, number: int, course: Course, logs: Path, progress: Progress) -> dict[str, Any]:
    """Return the result of one peer in one round: raw answers and milliseconds.

    Raises:
        WorkerFailure: it crashed, hung or gave an invalid answer.
    """
    environment = entry.environment
    with Worker(environment.command, logs / f"{entry.name}-{number}.log", environment.variables) as worker:
        opening = next(iter(course.clips.values()))
        _checked(worker.ask({**opening.request(0, 1), "order": EMOTIONS}, FIRST_LIMIT_S), 1)
        first_result_s = time.perf_counter() - worker.started_s
        answer: dict[str, Any] = {"first_result_s": first_result_s, "clips": {}}
        for name, frames in course.clips.items():
            answer["clips"][name] = _ask_all(worker, frames, lambda done, total, name=name: progress(name, done, total))
        answer["memory_mb"] = worker.peak_memory_mb
        start, end, last = course.share(number)
        with crops_file(course.images[start:end]) as crops:
            answer["crops"] = _ask_all(worker, crops, lambda done, total: progress("crops", done, total))
        answer["canvases"] = {"scores": [], "ms": []}
        for first in range(start, last, PORTION):
            with canvases_file(course.images[first : min(last, first + PORTION)]) as canvases:
                for key, values in _ask_all(worker, canvases, lambda done, total: None).items():
                    answer["canvases"][key] += values
            progress("canvases", min(last, first + PORTION) - start, last - start)
        answer["about"] = worker.ask({"do": "about"}, REQUEST_LIMIT_S)
    return answer


def run(entries: list[Entry], course: Course, work: Path, say: Callable[[str], None], progress: Progress) -> dict[str, Any]:
    """Return the turns of every peer, or the reason for none, by name: ``{"turns": [...], "failure": ""}``.

    Args:
        entries: the peers.
        course: their input.
        work: folder of this run, with the finished turns.
        say: receives a message for each finished turn.
        progress: called with (peer and part, done, total).
    """
    found: dict[str, Any] = {entry.name: {"turns": [], "failure": ""} for entry in entries}
    work.mkdir(parents=True, exist_ok=True)
    for number, entry in turns(entries, course.rounds):
        mine = found[entry.name]
        if mine["failure"]:
            continue
        kept = work / f"{entry.name}-{number}-{entry.environment.key[:12]}.json"
        if kept.is_file():
            mine["turns"].append(json.loads(kept.read_text(encoding="utf-8")))
            say(f"round {number + 1} of {course.rounds}, {entry.name}: already done")
            continue
        started = time.perf_counter()
        title = f"round {number + 1} of {course.rounds}, {entry.name}"

        def shown(part: str, done: int, total: int, title: str = title) -> None:
            progress(f"{title}: {part}", done, total)

        try:
            turn = run_turn(entry, number, course, work, shown)
        except WorkerFailure as failure:
            mine["failure"] = f"round {number + 1}: {failure}"
            say(f"{title}: {failure}")
            continue
        write_json(kept, turn)
        mine["turns"].append(turn)
        say(f"{title}: {time.perf_counter() - started:.0f} s")
    return found


def _bounds(count: int, rounds: int, number: int) -> tuple[int, int]:
    """Return the bounds of part ``number`` when ``count`` items are split into ``rounds`` equal parts."""
    return count * number // rounds, count * (number + 1) // rounds


def _ask_all(worker: Worker, pictures: Pictures, progress: Callable[[int, int], None]) -> dict[str, list[Any]]:
    """Return scores and milliseconds of all pictures of a file, requested in batches."""
    answer: dict[str, list[Any]] = {"scores": [], "ms": []}
    total = pictures.shape[0]
    for first in range(0, total, PORTION):
        count = min(PORTION, total - first)
        part = _checked(worker.ask({**pictures.request(first, count), "order": EMOTIONS}, REQUEST_LIMIT_S), count)
        answer["scores"] += part["scores"]
        answer["ms"] += part["ms"]
        progress(first + count, total)
    return answer


def _checked(answer: dict[str, Any], count: int) -> dict[str, Any]:
    """Return an answer if it is valid for ``count`` pictures."""
    scores, milliseconds = answer.get("scores"), answer.get("ms")
    fits = isinstance(scores, list) and isinstance(milliseconds, list) and len(scores) == len(milliseconds) == count
    fits = fits and all(row is None or (isinstance(row, list) and len(row) == len(EMOTIONS)) for row in scores or [])
    if not fits:
        raise WorkerFailure(f"invalid answer, expected {count} pictures with {len(EMOTIONS)} scores each: {str(answer)[:80]}")
    return answer
