"""Registered platforms, the declaration of each, and their signing keys."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import RSAKey
from joserfc.util import base64_to_int
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from mien.errors import NotPermittedError, UsageError
from mien.messaging.http import TIMEOUT_S
from mien.privacy.deployment import CONTEXTS_WITHOUT_OTHERS, Deployment, declare, declared_values
from mien.privacy.level import Level
from mien.privacy.policy import Policy, decide
from mien.visible import visible
from mien.web.lti.errors import LtiError
from mien.web.lti.fetching import request_json
from mien.web.lti.origins import origin_of
from mien.web.lti.settings import LtiSettings
from mien.web.lti.tables import deployments, invitations, platforms, writing

INVITATION_S: Final = 7 * 86_400.0
"""Lifetime of an invitation in seconds."""
MAX_ORIGINS: Final = 10
_MAX_TEXT: Final = 500
_MIN_BITS: Final = 2048
_WAIT_S: Final = 5.0
"""Longest time in seconds for which a launch waits while another process fetches a platform's keys."""
_LOOK_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Invitation:
    """The platform for which a registration link was issued.

    Attributes:
        origin: origin of the platform's configuration.
        issuer: origin of the issuer.
    """

    origin: str
    issuer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """A registered platform.

    Attributes:
        id: random id, 16 hexadecimal digits.
        issuer: the platform's identifier, a URL.
        client_id: the platform's identifier of this tool.
        name: display name for the operator.
        authorization_endpoint: address to which logins are sent.
        jwks_uri: address of the platform's keys.
        origins: origins of the pages that may embed this server.
        declaration: the institution's declaration.
        deployments: the platform's ids of the installations of this tool.
    """

    id: str
    issuer: str
    client_id: str
    name: str
    authorization_endpoint: str
    jwks_uri: str
    origins: tuple[str, ...]
    declaration: Deployment
    deployments: tuple[str, ...]

    @property
    def policy(self) -> Policy:
        """The policy that follows from the declaration."""
        return decide(self.declaration)


@dataclass(frozen=True, slots=True)
class _CachedKeys:
    """A platform's keys in the cache.

    Attributes:
        jwks: the keys; None if they were never fetched or are too old.
        tried_at: when a process began to fetch them, without success yet; None otherwise.
    """

    jwks: Mapping[str, Any] | None
    tried_at: float | None

    def key(self, kid: str) -> RSAKey | None:
        """Return the key with this id; None if it is not there."""
        return None if self.jwks is None else _key(self.jwks, kid)


class Platforms:
    """The platforms in a database.

    Args:
        engine: the database.
        settings: settings of the tool.
        clock: time in seconds since 1970.
    """

    def __init__(self, engine: Engine, settings: LtiSettings, clock: Callable[[], float]) -> None:
        self._engine, self._settings, self._clock = engine, settings, clock
        self._fetching: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._waited_for: dict[str, float] = {}  # by platform, the attempt to fetch its keys for which to wait no more

    def invite(self, address: str, issuer: str = "") -> str:
        """Return a registration link for a platform; it can be used once within ``INVITATION_S`` seconds.

        Args:
            address: address of the platform, such as ``https://moodle.example.org``; its configuration must be there.
            issuer: address of the issuer, if it is on another host.

        Raises:
            UsageError: an address is not valid.
        """
        self._settings.check_address(address, "the platform's address")
        self._settings.check_address(issuer or address, "the issuer")
        token = secrets.token_urlsafe(24)
        row = {"token_hash": _hash(token), "origin": origin_of(address), "issuer": origin_of(issuer or address)}
        with writing(self._engine) as connection:
            connection.execute(delete(invitations).where(invitations.c.expires_at < self._clock()))
            connection.execute(insert(invitations), row | {"expires_at": self._clock() + INVITATION_S})
        return self._settings.url(f"register/{token}")

    def invited(self, token: str) -> Invitation:
        """Return the invitation with this token.

        Raises:
            LtiError: there is no such invitation, or it was used or has expired.
        """
        query = select(invitations.c.origin, invitations.c.issuer).where(
            invitations.c.token_hash == _hash(token), invitations.c.expires_at > self._clock()
        )
        with self._engine.connect() as connection:
            found = connection.execute(query).one_or_none()
        if found is None:
            message = "This registration link is unknown, was used before or has expired. Ask the operator of Mien for a new one."
            raise LtiError("invitation-unknown", message, 403)
        return Invitation(found.origin, found.issuer)

    def add(
        self,
        *,
        issuer: str,
        client_id: str,
        authorization_endpoint: str,
        jwks_uri: str,
        declaration: Deployment,
        name: str = "",
        origins: Iterable[str] = (),
        deployment_ids: Sequence[str] = (),
        invitation: str | None = None,
    ) -> Platform:
        """Register a platform and return it.

        Args:
            issuer: the platform's identifier.
            client_id: the platform's identifier of this tool.
            authorization_endpoint: address to which logins are sent.
            jwks_uri: address of the platform's keys.
            declaration: the institution's declaration.
            name: display name for the operator; the issuer by default.
            origins: addresses of further pages that may embed this server; the platform's own are always included.
            deployment_ids: the platform's ids of the installations of this tool.
            invitation: token of the invitation, which becomes invalid.

        Raises:
            UsageError: a value is not valid, or this client id is already registered.
            NotPermittedError: the declaration permits nothing, or no data about others.
            LtiError: the invitation was used before.
        """
        check_declaration(declaration)
        for address, what in ((authorization_endpoint, "authorization_endpoint"), (jwks_uri, "jwks_uri"), (issuer, "issuer")):
            self._settings.check_address(address, what)
        for text, what in ((client_id, "client_id"), *((each, "the deployment id") for each in deployment_ids)):
            _check_text(text, what)
        embedding = list(dict.fromkeys(map(origin_of, (issuer, authorization_endpoint))))
        for each in origins:
            self._settings.check_address(each, "the address of an embedding page")
            embedding.append(origin_of(each))
        embedding = list(dict.fromkeys(embedding))
        if len(embedding) > MAX_ORIGINS:
            raise UsageError(f"{len(embedding)} addresses of embedding pages are given; at most {MAX_ORIGINS} are allowed")
        row = {
            "id": secrets.token_hex(8),
            "issuer": issuer,
            "client_id": client_id,
            "name": visible(name)[:_MAX_TEXT] or issuer,
            "authorization_endpoint": authorization_endpoint,
            "jwks_uri": jwks_uri,
            "origins": embedding,
            "declaration": declared_values(declaration),
            "registered_at": self._clock(),
        }
        try:
            with writing(self._engine) as connection:
                if invitation is not None:
                    used = connection.execute(delete(invitations).where(invitations.c.token_hash == _hash(invitation)))
                    if not used.rowcount:
                        raise LtiError("invitation-unknown", "This registration link was used before.", 403)
                connection.execute(insert(platforms), row)
                for each in dict.fromkeys(deployment_ids):
                    connection.execute(insert(deployments), {"platform": row["id"], "deployment": each})
        except IntegrityError as error:
            raise UsageError(f"the client id {client_id!r} of {issuer} is already registered. Remove it first") from error
        return self.get(str(row["id"]))

    def add_deployment(self, platform: str, deployment: str) -> None:
        """Accept launches from another installation of the tool.

        Raises:
            UsageError: there is no such platform, or the id is not valid or already known.
        """
        self.get(platform)
        _check_text(deployment, "the deployment id")
        try:
            with writing(self._engine) as connection:
                connection.execute(insert(deployments), {"platform": platform, "deployment": deployment})
        except IntegrityError as error:
            raise UsageError(f"the deployment {deployment!r} of the platform {platform} is already known") from error

    def remove(self, platform: str) -> None:
        """Remove a platform; its users can no longer open classes.

        Raises:
            UsageError: there is no such platform.
        """
        with writing(self._engine) as connection:
            connection.execute(delete(deployments).where(deployments.c.platform == platform))
            if not connection.execute(delete(platforms).where(platforms.c.id == platform)).rowcount:
                raise _unknown(platform)

    def get(self, platform: str) -> Platform:
        """Return the platform with this id.

        Raises:
            UsageError: there is none.
        """
        found = self._select(platforms.c.id == platform)
        if not found:
            raise _unknown(platform)
        return found[0]

    def all(self) -> list[Platform]:
        """Return all platforms, oldest first."""
        return self._select()

    def find(self, issuer: str, client_id: str) -> Platform:
        """Return the platform that starts a login.

        Args:
            issuer: the platform's identifier.
            client_id: the platform's identifier of this tool; "" if the login does not contain it.

        Raises:
            LtiError: no platform matches, or several do.
        """
        named = [platforms.c.issuer == issuer, *([platforms.c.client_id == client_id] if client_id else [])]
        found = [] if "\x00" in issuer + client_id else self._select(*named)  # PostgreSQL refuses the character
        if len(found) != 1:
            message = "This learning platform is not registered here." if not found else "The login contains no client_id."
            raise LtiError("platform-unknown", f"{message} Ask the operator of Mien.", 403)
        return found[0]

    def origins(self) -> list[str]:
        """Return the origins of all pages that may embed this server, sorted."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(platforms.c.origins)).scalars().all()
        return sorted({str(origin) for row in rows for origin in row})

    def key(self, platform: Platform, kid: str) -> RSAKey:
        """Return a platform's public key.

        The keys are fetched if the key is not in the cache or the cache is too old, but not more often than the settings
        allow. While another process fetches them, this one waits.

        Raises:
            LtiError: the platform has no such key, or its keys cannot be fetched.
        """
        found = self._cached(platform).key(kid)
        if found is not None:
            return found
        with self._fetching[platform.id]:  # of several concurrent launches, one fetches
            cached = self._cached(platform)
            found = cached.key(kid)
            if found is None:
                cached = self._fetched(platform)
                found = cached.key(kid)
        if found is None and cached.jwks is None:
            raise LtiError("platform-unreachable", "The learning platform does not send its keys. Try again in a minute.", 502)
        if found is None:
            raise LtiError("kid-unknown", "The launch is signed with a key that the learning platform does not publish.", 401)
        return found

    def _cached(self, platform: Platform) -> _CachedKeys:
        query = select(platforms.c.jwks, platforms.c.fetched_at, platforms.c.tried_at).where(platforms.c.id == platform.id)
        with self._engine.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return _CachedKeys(None, None)
        is_fresh = self._clock() - row.fetched_at <= self._settings.keys_ttl_s
        return _CachedKeys(row.jwks if is_fresh else None, row.tried_at if row.fetched_at < row.tried_at else None)

    def _fetched(self, platform: Platform) -> _CachedKeys:
        """Fetch and store a platform's keys, unless this was attempted less than ``refetch_s`` seconds ago; return them."""
        now = self._clock()
        tried = update(platforms).where(platforms.c.id == platform.id, platforms.c.tried_at <= now - self._settings.refetch_s)
        with writing(self._engine) as connection:
            is_due = connection.execute(tried.values(tried_at=now)).rowcount
        if is_due:
            self._waited_for[platform.id] = now
            self._fetch_keys(platform, now)
        cached = self._cached(platform)
        if cached.tried_at in (None, self._waited_for.get(platform.id)) or now - cached.tried_at > TIMEOUT_S:
            return cached  # nobody is fetching
        self._waited_for[platform.id] = cached.tried_at
        until_s = time.monotonic() + _WAIT_S
        while cached.tried_at is not None and time.monotonic() < until_s:
            time.sleep(_LOOK_AGAIN_S)
            cached = self._cached(platform)
        return cached

    def _fetch_keys(self, platform: Platform, now: float) -> None:
        found = request_json(self._settings, "GET", platform.jwks_uri, "its keys")
        with writing(self._engine) as connection:
            connection.execute(update(platforms).where(platforms.c.id == platform.id).values(jwks=found, fetched_at=now))

    def _select(self, *conditions: Any) -> list[Platform]:
        query = select(platforms).where(*conditions).order_by(platforms.c.registered_at, platforms.c.id)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
            names = [row["id"] for row in rows]
            pairs = connection.execute(
                select(deployments).where(deployments.c.platform.in_(names)).order_by(deployments.c.deployment)
            ).all()
        return [_platform(dict(row), tuple(pair.deployment for pair in pairs if pair.platform == row["id"])) for row in rows]


def check_declaration(declaration: Deployment) -> Policy:
    """Return the policy of an institution's declaration.

    Raises:
        NotPermittedError: it permits nothing, or only personal use.
    """
    policy = decide(declaration)
    policy.require(Level.OBSERVABLES)
    if declaration.context in CONTEXTS_WITHOUT_OTHERS:
        raise NotPermittedError(f"the context {declaration.context} permits no data about others. Declare the actual use")
    return policy


def _platform(row: Mapping[str, Any], installed: tuple[str, ...]) -> Platform:
    values = {key: row[key] for key in ("id", "issuer", "client_id", "name", "authorization_endpoint", "jwks_uri")}
    return Platform(**values, origins=tuple(row["origins"]), declaration=declare(row["declaration"]), deployments=installed)


def _key(jwks: Mapping[str, Any], kid: str) -> RSAKey | None:
    """Return the key with this id from a JWK set; keys of other types and short keys are ignored."""
    rows = jwks.get("keys")
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, dict) or row.get("kid") != kid or row.get("kty") != "RSA":
            continue
        if row.get("use", "sig") != "sig" or row.get("alg", "RS256") != "RS256":
            continue
        try:
            if base64_to_int(row["n"]).bit_length() >= _MIN_BITS:
                return RSAKey.import_key({name: row[name] for name in ("kty", "kid", "n", "e")})
        except (JoseError, LookupError, ValueError, TypeError):
            continue
    return None


def _check_text(text: str, what: str) -> None:
    if not text or len(text) > _MAX_TEXT or visible(text) != text:
        raise UsageError(f"{what} has {len(text)} characters; 1 to {_MAX_TEXT} printable ones are allowed")


def _unknown(platform: str) -> UsageError:
    return UsageError(f"no platform {platform!r} is registered. List them with: mien class platforms list")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
