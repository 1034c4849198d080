"""What all papers are made of: the facts of a deployment with their sources, tables, and marks for what is open.

A paper states what the program does and what was declared; the rest it leaves to the operator,
visibly. A measure stands here only if a test holds the program to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mien.modelcard import ModelCard
from mien.privacy.notice import OPEN
from mien.privacy.policy import Policy

DRAFT: Final = (
    "A draft, made by a program from its configuration. Engineering, not legal advice: whoever answers for the processing "
    "completes it, has it checked, and signs it."
)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the papers are made of.

    Attributes:
        policy: the decision, with its declaration.
        card: of the model bundle.
        sha256: of the bundle's file.
        evaluations: numbers by split that were measured after the bundle was made.
        settings: the session settings by name.
        limits: what the model cannot do, in sentences.
        root: where sessions are kept.
        version: of the program.
    """

    policy: Policy
    card: ModelCard
    sha256: str
    settings: Mapping[str, object]
    root: str
    version: str
    evaluations: Mapping[str, Any] = field(default_factory=dict)
    limits: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """Something the program does to protect people.

    Attributes:
        what: in a sentence.
        source: the file that does it.
        test: the test that holds it to it.
    """

    what: str
    source: str
    test: str


MEASURES: Final[tuple[Measure, ...]] = (
    Measure(
        "Pictures are looked at in memory. A session writes readings and a summary, and pictures only as screenshots",
        "mien/session.py",
        "tests/test_cli.py::test_a_run_writes_nowhere_else",
    ),
    Measure(
        "Faces in screenshots are made unrecognisable, unless the setting keep_faces is on",
        "mien/session.py",
        "tests/test_session.py::test_a_screenshot_hides_faces_unless_asked",
    ),
    Measure(
        "Nobody is recognised: a face gets a random name that says nothing of it",
        "mien/vision/tracker.py",
        "tests/test_vision.py::test_names_are_random_but_the_same_seed_gives_the_same",
    ),
    Measure(
        "Reading faces opens no network connection, unless the source itself is a stream; `mien fetch` does, for the detector",
        "mien/vision/weights.py",
        "tests/test_network.py::test_live_runs_where_every_socket_is_forbidden",
    ),
    Measure(
        "Model files cannot carry code: bundles are graphs, checkpoints are read as plain weights",
        "mien/training/checkpoint.py",
        "tests/test_security.py::test_a_checkpoint_that_carries_code_is_refused_unrun",
    ),
    Measure(
        "What people agreed to is kept by purpose and by the words they read; a yes taken back erases their sessions at once",
        "mien/privacy/consent.py",
        "tests/test_rights.py::test_taking_a_yes_back_erases_at_once",
    ),
    Measure(
        "Access and portability: all that is kept of a person as one JSON file (`mien privacy export`)",
        "mien/privacy/rights.py",
        "tests/test_rights.py::test_a_copy_holds_everything_of_that_person_and_nothing_of_another",
    ),
    Measure(
        "Erasure leaves no byte in the sessions' folder (`mien privacy erase`)",
        "mien/privacy/sessions.py",
        "tests/test_rights.py::test_erasing_a_person_leaves_no_byte_of_them",
    ),
    Measure(
        "Sessions older than the period are erased by a job (`mien privacy retention`), once the operator has it run daily",
        "mien/privacy/rights.py",
        "tests/test_rights.py::test_retention_erases_what_is_too_old_and_no_more",
    ),
    Measure(
        "Consents, exports and erasures stand in an audit log that names nobody and shows every change (`mien audit verify`)",
        "mien/privacy/audit_log.py",
        "tests/test_audit_log.py::test_an_attack_is_found_at_its_line",
    ),
)
"""What holds today, and the test that fails on the day it does not."""


def open_point(what: str) -> str:
    """Return the mark for something that only the operator can fill in."""
    return OPEN.format(what)


def or_open(value: str, what: str) -> str:
    """Return ``value``, or the mark for ``what`` where there is none."""
    return value if value.strip() else open_point(what)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(plain(cell).replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]


def measures_table() -> list[str]:
    """Return the measures with their sources and tests."""
    return table(("measure", "done by", "held to it by"), ((m.what, f"`{m.source}`", f"`{m.test}`") for m in MEASURES))


def model_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Return what is known of the model: what, value, source."""
    card = facts.card
    rows = [("model", f"{card.name}, SHA-256 {facts.sha256 or 'not recorded'}", "record of the bundle")]
    for split, numbers in {**card.metrics, **facts.evaluations}.items():
        low, high = numbers["accuracy_ci"]
        right = f"{numbers['accuracy']:.1%} ({low:.1%} to {high:.1%}) of {numbers['n']:,} photographs"
        rest = f"macro-F1 {numbers['macro_f1']:.2f}, calibration error {numbers['ece']:.1%}"
        rows.append((f"right on {split}", f"{right}; {rest}", f"card and record of {card.name}"))
    return rows


def settings_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Return the session settings that were chosen: name, value, source."""
    chosen = {name: value for name, value in facts.settings.items() if name != "out" and value is not None}
    return [(f"`{name}`", f"`{value}`", "session settings") for name, value in chosen.items()]


def ending(text: str) -> str:
    """Return ``text`` with a last section that counts what is open."""
    n = text.count("[[OPERATOR:")
    points = "nothing is marked as open" if n == 0 else f"{n} points are open; each is marked with OPERATOR in double brackets"
    return f"{text}\n---\n\n{points[0].upper()}{points[1:]}.\n"


def plain(text: str) -> str:
    """Return text that cannot become HTML or leave its line in a Markdown page."""
    return text.replace("<", "&lt;").replace("\n", " ")
