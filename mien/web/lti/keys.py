"""The tool's own keys: the signing key and the next one, both of which are published.

Platforms cache the published keys. The next key has been published for the whole life of the signing key when it takes
over, so a rotation never breaks a launch, not even an immediate one. After a leak, both are replaced, because they are
stored together: platforms must then fetch the keys again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey
from sqlalchemy import Connection, Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mien.web.lti.settings import LtiSettings
from mien.web.lti.tables import keys, writing

ALGORITHM: Final = "RS256"
"""The algorithm required by LTI 1.3; no other is accepted or used."""
_BITS: Final = 2048
_SIGNING: Final = "signing"
_NEXT: Final = "next"
_MINUTE_S: Final = 60.0


class ToolKeys:
    """The keys of the tool in a database.

    Args:
        engine: the database.
        settings: times of rotation and retirement.
        clock: time in seconds since 1970.
    """

    def __init__(self, engine: Engine, settings: LtiSettings, clock: Callable[[], float]) -> None:
        self._engine, self._settings, self._clock = engine, settings, clock

    def published(self) -> dict[str, Any]:
        """Return the public keys as a JWK set, after rotating and deleting keys that are due."""
        self._maintain()
        with self._engine.connect() as connection:
            rows = connection.execute(select(keys.c.private_jwk).order_by(keys.c.since, keys.c.kid)).scalars().all()
        return {"keys": [RSAKey.import_key(row).as_dict(private=False) for row in rows]}

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with these claims, signed with the current key."""
        self._maintain()
        with self._engine.connect() as connection:
            row = connection.execute(select(keys.c.private_jwk).where(keys.c.place == _SIGNING)).scalar_one()
        key = RSAKey.import_key(row)
        return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, dict(claims), key, algorithms=[ALGORITHM])

    def rotate(self, *, compromised: bool = False) -> str:
        """Make the next key the signing key and create a new next key.

        Args:
            compromised: delete all keys and create new ones, which platforms do not know yet.

        Returns:
            The id of the new signing key.
        """
        self._maintain()
        new = [_new_key(place, self._clock()) for place in (_SIGNING, _NEXT)] if compromised else []
        with writing(self._engine) as connection:
            if compromised:
                connection.execute(delete(keys))
                connection.execute(insert(keys), new)
            else:
                former = connection.execute(select(keys.c.kid).where(keys.c.place == _SIGNING)).scalar_one()
                self._take_over(connection, former)
        self._maintain()
        with self._engine.connect() as connection:
            return str(connection.execute(select(keys.c.kid).where(keys.c.place == _SIGNING)).scalar_one())

    def _maintain(self) -> None:
        """Create missing keys, rotate expired ones and delete retired ones."""
        now = self._clock()
        with self._engine.connect() as connection:
            rows = {row.place: row for row in connection.execute(select(keys.c.kid, keys.c.place, keys.c.since))}
        signing = rows.get(_SIGNING)
        if signing is not None and _NEXT in rows and now - signing.since >= self._settings.rotate_s:
            with writing(self._engine) as connection:
                self._take_over(connection, signing.kid)
            rows.pop(_NEXT)
        for place in (_SIGNING, _NEXT):
            if place not in rows:
                self._make(place, now)
        # one minute more, because the clocks of processes differ slightly
        due = now - self._settings.retire_s - _MINUTE_S
        if any(place not in (_SIGNING, _NEXT) and row.since <= due for place, row in rows.items()):
            with writing(self._engine) as connection:
                connection.execute(delete(keys).where(keys.c.place.not_in((_SIGNING, _NEXT)), keys.c.since <= due))

    def _take_over(self, connection: Connection, former: str) -> None:
        """Retire the signing key and promote the next one, unless another process has done so."""
        now = self._clock()
        retired = update(keys).where(keys.c.kid == former, keys.c.place == _SIGNING)
        if connection.execute(retired.values(place=f"retired:{former}", since=now)).rowcount:
            connection.execute(update(keys).where(keys.c.place == _NEXT).values(place=_SIGNING, since=now))

    def _make(self, place: str, now: float) -> None:
        """Store a new key, unless another process has already taken the place."""
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(keys), _new_key(place, now))
        except IntegrityError:
            return


def _new_key(place: str, now: float) -> dict[str, Any]:
    """Return the row of a new key."""
    key = RSAKey.generate_key(_BITS, {"use": "sig", "alg": ALGORITHM}, auto_kid=True)
    return {"kid": key.kid, "place": place, "private_jwk": key.as_dict(private=True), "since": now}
