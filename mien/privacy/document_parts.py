"""Parts shared by all deployment documents: facts with their sources, tables, and marks for open points.

A document states what the program does and what was declared; everything else is marked as open
for the operator. A safeguard is listed only if a test covers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mien.modelcard import FER2013, PEOPLE, ModelCard, results_by_truth
from mien.privacy.notice import OPEN
from mien.privacy.policy import Policy

DRAFT: Final = (
    "This is a draft, generated from the program's configuration. It is not legal advice. The person responsible for the "
    "processing must complete it, have it checked, and sign it."
)

_AGAINST: Final = {PEOPLE: "the majority of ten raters", FER2013: "FER2013's labels"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Input of the deployment documents.

    Attributes:
        policy: the policy, with its declaration.
        card: the model card.
        sha256: hash of the bundle's file, "" if unknown.
        settings: session settings by name.
        root: folder of the sessions.
        version: version of the program.
        evaluations: later evaluations of the bundle, by split.
        limits: limitations of the model, one sentence each.
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
class Safeguard:
    """A measure of the program that protects people.

    Attributes:
        what: the measure in one sentence.
        source: the file that implements it.
        test: the test that covers it.
    """

    what: str
    source: str
    test: str


SAFEGUARDS: Final[tuple[Safeguard, ...]] = (
    Safeguard(
        "Images are processed in memory. A session writes predictions and a summary, and images only as screenshots",
        "mien/session.py",
        "tests/test_cli.py::test_a_run_writes_nowhere_else",
    ),
    Safeguard(
        "Faces in screenshots are blurred, unless the setting keep_faces is on",
        "mien/session.py",
        "tests/test_session.py::test_a_screenshot_hides_faces_unless_asked",
    ),
    Safeguard(
        "Nobody is identified: a face gets a random name that is unrelated to the person",
        "mien/vision/tracker.py",
        "tests/test_vision.py::test_names_are_random_but_the_same_seed_gives_the_same",
    ),
    Safeguard(
        "No network connection is opened unless the source is a stream; `mien doctor --fetch` downloads the detector",
        "mien/vision/weights.py",
        "tests/test_network.py::test_live_runs_where_every_socket_is_forbidden",
    ),
    Safeguard(
        "Model files cannot execute code: bundles are ONNX graphs, checkpoints are loaded as plain weights",
        "mien/training/checkpoint.py",
        "tests/test_security.py::test_a_checkpoint_that_carries_code_is_refused_unrun",
    ),
    Safeguard(
        "Consent is recorded per purpose and version of the notice; a withdrawal erases the person's sessions at once",
        "mien/privacy/consent.py",
        "tests/test_rights.py::test_taking_a_yes_back_erases_at_once",
    ),
    Safeguard(
        "Access and portability: all stored data of a person as one JSON file (`mien privacy export`)",
        "mien/sessions/rights.py",
        "tests/test_rights.py::test_a_copy_holds_everything_of_that_person_and_nothing_of_another",
    ),
    Safeguard(
        "Erasure leaves no bytes of the session in the sessions folder (`mien privacy erase`)",
        "mien/sessions/erasure.py",
        "tests/test_rights.py::test_erasing_a_person_leaves_no_byte_of_them",
    ),
    Safeguard(
        "Sessions older than the retention period are erased by `mien privacy retention`, which the operator must schedule",
        "mien/sessions/rights.py",
        "tests/test_rights.py::test_retention_erases_what_is_too_old_and_no_more",
    ),
    Safeguard(
        "Consents, exports and erasures are recorded in a tamper-evident audit log without names (`mien privacy log verify`)",
        "mien/privacy/audit_log.py",
        "tests/test_audit_log.py::test_an_attack_is_found_at_its_line",
    ),
)
"""The safeguards of this version, each with its test."""


def open_point(what: str) -> str:
    """Return a mark for something that only the operator can fill in."""
    return OPEN.format(what)


def or_open(value: str, what: str) -> str:
    """Return ``value``, or a mark for ``what`` if it is blank."""
    return value if value.strip() else open_point(what)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        *("| " + " | ".join(plain(cell).replace("|", "\\|") for cell in row) + " |" for row in rows),
    ]


def measures_table() -> list[str]:
    """Return the table of safeguards with their sources and tests."""
    return table(("measure", "source", "test"), ((m.what, f"`{m.source}`", f"`{m.test}`") for m in SAFEGUARDS))


def model_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Return rows about the model: property, value, source."""
    card = facts.card
    rows = [("model", f"{card.name}, SHA-256 {facts.sha256 or 'not recorded'}", "record of the bundle")]
    for split, numbers in {**card.metrics, **facts.evaluations}.items():
        for truth, found in results_by_truth(numbers).items():
            low, high = found["accuracy_ci"]
            right = f"{found['accuracy']:.1%} ({low:.1%} to {high:.1%}) of {found['n']:,} images"
            rest = f"macro-F1 {found['macro_f1']:.2f}, calibration error {found['ece']:.1%}"
            against = _AGAINST.get(truth, "the labels of these images")
            rows.append((f"accuracy on {split}", f"{right}, against {against}; {rest}", f"card and record of {card.name}"))
    return rows


def settings_rows(facts: Facts) -> list[tuple[str, str, str]]:
    """Return rows about the session settings: name, value, source."""
    chosen = {name: value for name, value in facts.settings.items() if name != "out" and value is not None}
    return [(f"`{name}`", f"`{value}`", "session settings") for name, value in chosen.items()]


def ending(text: str) -> str:
    """Return ``text`` with a footer that counts the open points."""
    n = text.count("[[OPERATOR:")
    points = "no open points" if n == 0 else f"{n} points are open; each is marked with OPERATOR in double brackets"
    return f"{text}\n---\n\n{points[0].upper()}{points[1:]}.\n"


def plain(text: str) -> str:
    """Return text that contains neither HTML tags nor line breaks."""
    return text.replace("<", "&lt;").replace("\n", " ")
