"""The consent ledger: who consented to what, when and after reading which notice, and the consequences of a withdrawal.

The ledger is an append-only hash chain (``chain``). Its lines are pseudonymous: they contain a random
name per person, and ``people.json`` maps people to these names. Erasing a person removes them from
that file; the lines remain as proof that somebody consented, without saying who.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.documents import conform, load_json, record_from
from mien.errors import DataError, DeviceError, UsageError
from mien.files import half_written, write_json
from mien.locks import one_writer
from mien.privacy.chain import Chain
from mien.privacy.notice import Notice

LEDGER_NAME: Final = "consents.jsonl"
PEOPLE_NAME: Final = "people.json"
_MAX_PEOPLE_BYTES: Final = 64 << 20
_LONGEST_NAME: Final = 64
PURPOSES: Final[Mapping[str, str]] = {
    "show": "reading my face while the session runs, and showing me the result",
    "keep": "keeping the session's files after it ends",
    "groups": "counting me in numbers about groups",
    "research": "using my sessions in a study",
}
STATES: Final = ("granted", "refused", "withdrawn")
REQUIRES: Final[Mapping[str, tuple[str, ...]]] = {
    "show": (),
    "keep": ("show",),
    "groups": ("show",),
    "research": ("show", "keep"),
}
"""For each purpose, the other purposes that it depends on."""


@dataclass(frozen=True, slots=True)
class Consequences:
    """Consequences of a refusal or a withdrawal.

    Attributes:
        stop: purposes that must stop now.
        erase_sessions: whether the person's sessions must be erased.
        recall: whether copies that were given to a study must be recalled.
    """

    stop: tuple[str, ...] = ()
    erase_sessions: bool = False
    recall: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of the ledger."""

    at: str
    person: str
    purpose: str
    state: str
    notice: str


def _depending_on(purpose: str) -> tuple[str, ...]:
    """Return the purposes that require a purpose."""
    return tuple(each for each in PURPOSES if purpose in REQUIRES[each])


class ConsentLedger:
    """The consent ledger in a folder.

    Args:
        folder: folder of ``consents.jsonl`` and ``people.json``, which need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._chain = Chain(folder / LEDGER_NAME)
        self._people_path = folder / PEOPLE_NAME

    @property
    def path(self) -> Path:
        """The ledger's file."""
        return self._chain.path

    def record(self, person: str, purpose: str, state: str, notice: Notice, at: datetime | None = None) -> Consequences:
        """Record a decision and return its consequences.

        Args:
            person: participant ID that the operator uses.
            purpose: one of ``PURPOSES``.
            state: one of ``STATES``.
            notice: the notice that the person read.
            at: time of the decision, default now.

        Raises:
            UsageError: unknown purpose or state, an invalid participant ID, or an unknown participant withdraws.
            DataError: the ledger is broken.
            DeviceError: the ledger cannot be written.
        """
        if purpose not in PURPOSES:
            raise UsageError(f"purpose is {purpose!r}; it must be one of {', '.join(PURPOSES)}")
        if state not in STATES:
            raise UsageError(f"consent is {state!r}; it must be one of {', '.join(STATES)}")
        if state == "withdrawn" and not self.random_name(person):
            raise UsageError(
                f"no participant {person!r} in the consent ledger {self.path.absolute()}, so no consent to withdraw. "
                "List all with: mien privacy status"
            )
        in_study = self.states(person).get("research", ("", ""))[0] == "granted"
        name = self.random_name(person) or self._enrol(person)
        when = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._chain.append({"at": when, "person": name, "purpose": purpose, "state": state, "notice": notice.hash})
        if state == "granted":
            return Consequences()
        stop = tuple(each for each in PURPOSES if each == purpose or each in _depending_on(purpose))
        return Consequences(stop, erase_sessions="keep" in stop, recall="research" in stop and in_study)

    def states(self, person: str) -> dict[str, tuple[str, str]]:
        """Return a person's last decision for each purpose and the hash of the notice; purposes never decided are missing.

        Refusing or withdrawing a purpose also ends the purposes that require it; each has to be
        granted again.

        Raises:
            DataError: the ledger is broken.
        """
        return self._decisions().get(self.random_name(person), {})

    def overview(self, notice: Notice) -> dict[str, dict[str, tuple[str, str]]]:
        """Return decisions by participant ID and purpose: the last state, and an obstacle or "".

        The obstacle says why a granted purpose has no effect under ``notice``. The ledger is read
        once.

        Raises:
            DataError: the ledger is broken.
        """
        decisions = self._decisions()
        found = {}
        for person, name in self._people().items():
            own = decisions.get(name, {})
            found[person] = {purpose: (state, _obstacle(own, purpose, notice)) for purpose, (state, _) in own.items()}
        return found

    def allows(self, person: str, purpose: str, notice: Notice) -> bool:
        """Return whether a person consented to ``purpose`` and all purposes that it requires, under exactly this notice.

        A missing decision is not consent, and neither is consent under another notice.
        """
        return _consented(self.states(person), purpose, notice)

    def consenting(self, purpose: str, notice: Notice) -> dict[str, str]:
        """Return the random names, by participant ID, of everyone for whom ``allows`` is true; the ledger is read once."""
        decisions = self._decisions()
        return {person: name for person, name in self._people().items() if _consented(decisions.get(name, {}), purpose, notice)}

    def history(self, person: str) -> list[dict[str, Any]]:
        """Return all decisions of a person, oldest first, with the keys ``at``, ``purpose``, ``state`` and ``notice``."""
        name = self.random_name(person)
        keys = ("at", "purpose", "state", "notice")
        return [{key: getattr(row, key) for key in keys} for row in self._rows() if row.person == name]

    def withdrawals(self) -> dict[str, datetime]:
        """Return when people refused or withdrew consent to storage and did not grant it again.

        Keys are random names.
        """
        needed = ("keep", *REQUIRES["keep"])
        ended: dict[str, datetime] = {}
        for row, decided in self._replayed():
            if row.state != "granted" and row.purpose in needed:
                ended[row.person] = datetime.fromisoformat(row.at)
            elif all(decided.get(each, ("", ""))[0] == "granted" for each in needed):
                ended.pop(row.person, None)
        return ended

    def random_name(self, person: str) -> str:
        """Return a person's random name in the ledger, "" for an unknown person."""
        return self._people().get(person, "")

    def people(self) -> dict[str, str]:
        """Return all random names by participant ID."""
        return self._people()

    def forget(self, person: str) -> bool:
        """Remove a person from ``people.json`` and return whether the person was known; the pseudonymous lines remain."""
        with self._people_locked() as people:
            known = people.pop(person, None) is not None
            if known:
                write_json(self._people_path, people, private=True)
        return known

    @contextmanager
    def _people_locked(self) -> Iterator[dict[str, str]]:
        """Yield all random names under a lock; copies left by killed programs are deleted."""
        with one_writer(self._people_path):
            try:
                for path in half_written(self._people_path):
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise DeviceError(f"cannot delete {error.filename} ({error.strerror}). Check its permissions") from error
            yield self._people()

    def _enrol(self, person: str) -> str:
        if not person.strip() or len(person) > 200 or not person.isprintable():
            raise UsageError(f"participant is {person[:50]!r}; it must be 1 to 200 printable characters on one line")
        with self._people_locked() as people:
            name = people.setdefault(person, secrets.token_hex(8))
            write_json(self._people_path, people, private=True)
        return name

    def _decisions(self) -> dict[str, dict[str, tuple[str, str]]]:
        """Return everyone's last decision for each purpose and the hash of the notice, by random name."""
        return {row.person: decided for row, decided in self._replayed()}

    def _replayed(self) -> Iterator[tuple[_Line, dict[str, tuple[str, str]]]]:
        """Yield all lines, each with the person's decisions so far; see ``_decisions``."""
        found: dict[str, dict[str, tuple[str, str]]] = {}
        for row in self._rows():
            own = found.setdefault(row.person, {})
            ended = () if row.state == "granted" else _depending_on(row.purpose)
            granted = [each for each in ended if own.get(each, ("", ""))[0] == "granted"]
            own |= dict.fromkeys((row.purpose, *granted), (row.state, row.notice))
            yield row, own

    def _rows(self) -> Iterator[_Line]:
        """Yield all lines; a line with a valid hash but invalid fields was not written by Mien."""
        for row in self._chain.rows():
            try:
                yield record_from(_Line, row, "the line")
            except ValueError as error:
                raise DataError(f"{self._chain.path}, line {row['n']}: {error}. Mien did not write this line") from error

    def _people(self) -> dict[str, str]:
        try:
            people: dict[str, str] = conform(load_json(self._people_path, _MAX_PEOPLE_BYTES), dict[str, str], PEOPLE_NAME)
            if strange := [name for name in people.values() if not 0 < len(name) <= _LONGEST_NAME]:
                raise ValueError(f"a random name of {len(strange[0])} characters")
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read {self._people_path} ({error}). Restore a copy of it") from error
        return people


def _obstacle(decided: Mapping[str, tuple[str, str]], purpose: str, notice: Notice) -> str:
    """Return why a granted purpose has no effect under ``notice``, or ""; a purpose that is not granted needs no reason."""
    state, read = decided[purpose]
    if state != "granted":
        return ""
    if read != notice.hash:
        return "for another version of the notice"
    lacking = [each for each in REQUIRES[purpose] if decided.get(each) != ("granted", notice.hash)]
    return f"no effect without {' and '.join(lacking)}" if lacking else ""


def _consented(decided: Mapping[str, tuple[str, str]], purpose: str, notice: Notice) -> bool:
    """Return whether a person's last decisions allow ``purpose`` and all purposes that it requires, under this notice."""
    return all(decided.get(each) == ("granted", notice.hash) for each in (purpose, *REQUIRES[purpose]))
