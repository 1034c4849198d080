"""The consent ledger: who agreed to what, when, after reading which notice; and what follows when somebody takes it back.

The ledger is a chain of lines that can only grow (``chain``). Its lines name nobody: they carry
a random name, and which person that is stands in a file of its own, ``people.json``. Erasing a
person removes them from that file; what stays is proof that somebody agreed, and no longer who.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, UsageError
from mien.files import write_json
from mien.locks import one_writer
from mien.privacy.chain import Chain
from mien.privacy.notice import Notice

LEDGER_NAME: Final = "consents.jsonl"
PEOPLE_NAME: Final = "people.json"
PURPOSES: Final[Mapping[str, str]] = {
    "show": "reading my face while the session runs, and showing me the result",
    "keep": "keeping the session's files after it ends",
    "groups": "counting me in numbers about groups",
    "research": "using my sessions in a study",
}
STATES: Final = ("granted", "refused", "withdrawn")
NEEDS: Final[Mapping[str, tuple[str, ...]]] = {"show": (), "keep": ("show",), "groups": ("show",), "research": ("show", "keep")}
"""Purposes without which another one cannot be served."""


@dataclass(frozen=True, slots=True)
class Consequences:
    """What a refusal or a withdrawal means.

    Attributes:
        stop: purposes that must stop now.
        erase_sessions: whether the person's sessions must be erased.
        recall: whether copies that were handed to a study must be called back.
    """

    stop: tuple[str, ...] = ()
    erase_sessions: bool = False
    recall: bool = False


class ConsentLedger:
    """The ledger in a folder.

    Args:
        folder: where ``consents.jsonl`` and ``people.json`` stand, or will.
    """

    def __init__(self, folder: Path) -> None:
        self._chain = Chain(folder / LEDGER_NAME)
        self._people_path = folder / PEOPLE_NAME

    def record(self, person: str, purpose: str, state: str, notice: Notice, at: datetime | None = None) -> Consequences:
        """Add a line, and return what must stop and be erased because of it.

        Args:
            person: how the operator calls the person.
            purpose: one of ``PURPOSES``.
            state: one of ``STATES``.
            notice: what the person read.
            at: when; now if not given.

        Raises:
            UsageError: an unknown purpose or state, or a name that is none.
            DataError: the ledger is broken.
        """
        if purpose not in PURPOSES:
            raise UsageError(f"purpose is {purpose!r}; it must be one of {', '.join(PURPOSES)}")
        if state not in STATES:
            raise UsageError(f"consent is {state!r}; it must be one of {', '.join(STATES)}")
        studied = self.states(person).get("research", ("", ""))[0] == "granted"
        name = self.random_name(person) or self._enrol(person)
        when = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._chain.append({"at": when, "person": name, "purpose": purpose, "state": state, "notice": notice.hash})
        if state == "granted":
            return Consequences()
        stop = tuple(each for each in PURPOSES if each == purpose or purpose in NEEDS[each])
        return Consequences(stop, erase_sessions="keep" in stop, recall="research" in stop and studied)

    def states(self, person: str) -> dict[str, tuple[str, str]]:
        """Return by purpose what a person said last, and the hash of the notice they had read; purposes never asked are missing.

        Raises:
            DataError: the ledger is broken.
        """
        name = self.random_name(person)
        return {row["purpose"]: (row["state"], row["notice"]) for row in self._chain.rows() if row["person"] == name}

    def allows(self, person: str, purpose: str, notice: Notice) -> bool:
        """Return whether a person agreed to ``purpose``, and to all it needs, having read this very notice.

        Silence is no consent, and neither is consent to another notice.
        """
        said = self.states(person)
        return all(said.get(each) == ("granted", notice.hash) for each in (purpose, *NEEDS[purpose]))

    def history(self, person: str) -> list[dict[str, Any]]:
        """Return all that a person said, oldest first: when, purpose, state and notice."""
        name = self.random_name(person)
        keys = ("at", "purpose", "state", "notice")
        return [{key: row[key] for key in keys} for row in self._chain.rows() if row["person"] == name]

    def random_name(self, person: str) -> str:
        """Return the ledger's name of a person, "" where the ledger knows no such person."""
        return self._people().get(person, "")

    def people(self) -> dict[str, str]:
        """Return the ledger's names by person."""
        return self._people()

    def forget(self, person: str) -> bool:
        """Remove who is behind a random name; return whether the person was known. The lines stay, and name nobody."""
        with one_writer(self._people_path):
            people = self._people()
            known = people.pop(person, None) is not None
            if known:
                write_json(self._people_path, people)
        return known

    def _enrol(self, person: str) -> str:
        if not person.strip() or len(person) > 200 or not person.isprintable():
            raise UsageError(f"person is {person[:50]!r}; it must be one line of 1 to 200 printable characters")
        with one_writer(self._people_path):
            people = self._people()
            name = people.setdefault(person, secrets.token_hex(8))
            write_json(self._people_path, people)
            self._people_path.chmod(0o600)
        return name

    def _people(self) -> dict[str, str]:
        try:
            people = json.loads(self._people_path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self._people_path} ({error}). Put a copy of it back") from error
        if not isinstance(people, dict) or not all(isinstance(name, str) for name in people.values()):
            raise DataError(f"{self._people_path} is not the ledger's list of people. Put a copy of it back")
        return people
