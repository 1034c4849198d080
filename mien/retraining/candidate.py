"""A candidate: a bundle with its lineage and what its gates said, written and read back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mien.errors import BundleError, DataError
from mien.files import file_hash, refuse_large, write_json, write_text
from mien.retraining.gates import Gate

BUNDLE_NAME: Final = "candidate.onnx"
RECORD_NAME: Final = "candidate.lineage.json"
PAGE_NAME: Final = "candidate.md"
FORMAT: Final = "mien-candidate-1"
_MAX_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True)
class Candidate:
    """A bundle that might take another's place.

    Attributes:
        bundle: its file.
        sha256: of that file when it was judged.
        parent: name of the bundle it comes from.
        parent_sha256: of that one.
        passed: whether it passes every gate.
        failed: the sentences of the gates it does not pass.
    """

    bundle: Path
    sha256: str
    parent: str
    parent_sha256: str
    passed: bool
    failed: tuple[str, ...]


def write_candidate(folder: Path, lineage: Mapping[str, Any], gates: Sequence[Gate]) -> Candidate:
    """Write the lineage of ``candidate.onnx`` beside it, for programs and for people.

    Args:
        folder: where the bundle is.
        lineage: where it comes from, as plain values; ``parent`` with ``name`` and ``sha256`` among them.
        gates: what was asked of it.
    """
    passed = all(gate.passed for gate in gates)
    record = {
        "format": FORMAT,
        "sha256": file_hash(folder / BUNDLE_NAME),
        "passed": passed,
        "gates": [gate.as_dict() for gate in gates],
        **lineage,
    }
    write_json(folder / RECORD_NAME, record)
    write_text(folder / PAGE_NAME, _page(record))
    return read_candidate(folder)


def read_candidate(place: Path) -> Candidate:
    """Return a candidate from its folder, or from its lineage file.

    Raises:
        DataError: there is none, or the file is none.
        BundleError: the bundle is not the one that was judged.
    """
    path = place / RECORD_NAME if place.is_dir() else place
    refuse_large(path, _MAX_BYTES, "the candidate")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["format"] != FORMAT:
            raise ValueError(f"format is {record['format']!r}")
        found = Candidate(
            path.parent / BUNDLE_NAME,
            str(record["sha256"]),
            str(record["parent"]["name"]),
            str(record["parent"]["sha256"]),
            bool(record["passed"]) and all(gate["passed"] is True for gate in record["gates"]),
            tuple(str(gate["sentence"]) for gate in record["gates"] if gate["passed"] is not True),
        )
    except OSError as error:
        raise DataError(f"no candidate at {place}: {error.strerror}. mien retrain makes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no candidate of mien retrain ({type(error).__name__}: {error})") from error
    if file_hash(found.bundle) != found.sha256:
        raise BundleError(f"{found.bundle} is not the bundle that was judged: its SHA-256 is another. Make the candidate anew")
    return found


def _page(record: Mapping[str, Any]) -> str:
    """Return the candidate for people, in Markdown."""
    data = record["data"]
    outcome = "passes every gate" if record["passed"] else "does not pass, and is kept for whoever wants to know why"
    lines = [
        f"# A candidate for {record['parent']['name']}: {outcome}",
        "",
        f"Made because: {record['request']['in_words'] if record['request'] else 'somebody asked for it'}.",
        f"Learnt from {data['to_learn']} new faces and {data['replayed']} of Training; judged on {data['to_judge']} new faces "
        "it never saw, and on PublicTest.",
        "",
        "| gate | before | after | chance moves it by | |",
        "|---|---|---|---|---|",
    ]
    for gate in record["gates"]:
        mark = "passed" if gate["passed"] else "**not passed**"
        lines.append(f"| {gate['name']} | {gate['before']:.3f} | {gate['after']:.3f} | {gate['noise']:.3f} | {mark} |")
    lines += ["", "What the audit of the new faces says:", ""]
    lines += [f"- {problem}" for problem in data["problems"]] or ["- nothing to look at"]
    return "\n".join(lines) + "\n"
