"""State and nonce of a login, which are signed by the server, bound to each other and accepted once.

A login stores nothing, so many logins cannot fill a table. The state contains a random id, its expiry and the platform's
registration, with a keyed hash. The nonce is derived from the id with the same key. A used state is recorded until it
expires.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from mien.web.lti.errors import LtiError
from mien.web.lti.tables import secrets as secrets_table
from mien.web.lti.tables import used_states, writing

_FORM: Final = re.compile(r"([0-9a-f]{32})\.(\d{1,12})\.([0-9a-f]{16})\.([0-9a-f]{64})")
_AGAIN: Final = "Open the class again from your course."
_PURGE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class LoginState:
    """A valid state.

    Attributes:
        id: random id.
        platform: id of the platform's registration.
        nonce: the nonce that the ID token must contain.
        expires_at: in seconds since 1970.
    """

    id: str
    platform: str
    nonce: str
    expires_at: float


class LoginStates:
    """Creates and checks the states of logins.

    Args:
        engine: the database, which contains the server's secret and the used states.
        valid_s: time from login to launch, in seconds.
        clock: time in seconds since 1970.
    """

    def __init__(self, engine: Engine, valid_s: float, clock: Callable[[], float]) -> None:
        self._engine, self._valid_s, self._clock = engine, valid_s, clock
        self._secret = _stored_secret(engine)
        self._purged_at = 0.0

    def create(self, platform: str) -> tuple[str, str]:
        """Return a new state for the platform with this id, and its nonce."""
        name = secrets.token_hex(16)
        body = f"{name}.{int(self._clock() + self._valid_s)}.{platform}"
        return f"{body}.{self._hash('state', body)}", self._hash("nonce", name)

    def check(self, text: str) -> LoginState:
        """Return the state in ``text``.

        Raises:
            LtiError: the state was not created by this server, or has expired.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise LtiError("state-unknown", f"This launch was not started here. {_AGAIN}")
        body, mark = text.rsplit(".", 1)
        if not hmac.compare_digest(mark, self._hash("state", body)):
            raise LtiError("state-unknown", f"This launch was not started here. {_AGAIN}")
        name, expires_at, platform = found[1], float(found[2]), found[3]
        if expires_at <= self._clock():
            raise LtiError("state-expired", f"This launch took too long. {_AGAIN}")
        return LoginState(name, platform, self._hash("nonce", name), expires_at)

    def use(self, state: LoginState) -> None:
        """Mark a state as used.

        Raises:
            LtiError: it has already been used, in this or another process.
        """
        now = self._clock()
        try:
            with writing(self._engine) as connection:
                if now - self._purged_at > _PURGE_S:
                    connection.execute(delete(used_states).where(used_states.c.expires_at < now - _PURGE_S))
                    self._purged_at = now
                connection.execute(insert(used_states), {"state": state.id, "expires_at": state.expires_at})
        except IntegrityError:
            raise LtiError("state-used", f"This launch was used before. {_AGAIN}") from None

    def person(self, issuer: str, deployment: str, context: str, subject: str) -> str:
        """Return the keyed hash of a platform's user within a course, 32 hexadecimal digits."""
        # length prefixes distinguish ("ab", "c") from ("a", "bc")
        parts = "".join(f"{len(part)}:{part}" for part in (issuer, deployment, context, subject))
        return self._hash("person", parts)[:32]

    def _hash(self, purpose: str, text: str) -> str:
        return hmac.new(self._secret, f"{purpose}:{text}".encode(), hashlib.sha256).hexdigest()


def _stored_secret(engine: Engine) -> bytes:
    """Return the server's secret, 32 random bytes, which is created on first use."""
    query = select(secrets_table.c.value).where(secrets_table.c.name == "hash")
    with engine.connect() as connection:
        found = connection.execute(query).scalar()
    if found is None:
        try:
            with writing(engine) as connection:
                connection.execute(insert(secrets_table), {"name": "hash", "value": secrets.token_hex(32)})
        except IntegrityError:  # another process was faster
            pass
        with engine.connect() as connection:
            found = connection.execute(query).scalar_one()
    return bytes.fromhex(str(found))
