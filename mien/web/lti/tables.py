"""Tables of the LTI tool, in the database of the class server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    func,
    select,
)

_LOCK: Final = 0x6C7469  # "lti": advisory lock held while tables are created in PostgreSQL
metadata: Final = MetaData()

platforms: Final = Table(
    "lti_platforms",
    metadata,
    Column("id", String, primary_key=True),
    Column("issuer", String, nullable=False),
    Column("client_id", String, nullable=False),
    Column("name", String, nullable=False),
    Column("authorization_endpoint", String, nullable=False),
    Column("jwks_uri", String, nullable=False),
    Column("origins", JSON, nullable=False),
    Column("declaration", JSON, nullable=False),
    Column("registered_at", Float, nullable=False),
    Column("jwks", JSON),
    Column("fetched_at", Float, nullable=False, default=0.0),
    Column("tried_at", Float, nullable=False, default=0.0),
    UniqueConstraint("issuer", "client_id"),
)
"""Registered platforms. ``jwks`` contains the cached keys, ``tried_at`` the time of the last attempt to fetch them."""
deployments: Final = Table(
    "lti_deployments",
    metadata,
    Column("platform", String, ForeignKey("lti_platforms.id", ondelete="CASCADE"), primary_key=True),
    Column("deployment", String, primary_key=True),
)
invitations: Final = Table(
    "lti_invitations",
    metadata,
    Column("token_hash", String, primary_key=True),
    Column("origin", String, nullable=False),
    Column("issuer", String, nullable=False),
    Column("expires_at", Float, nullable=False),
)
"""Registration links by the SHA-256 of their token, with the origins of the platform's configuration and issuer."""
keys: Final = Table(
    "lti_keys",
    metadata,
    Column("kid", String, primary_key=True),
    Column("place", String, nullable=False, unique=True),
    Column("private_jwk", JSON, nullable=False),
    Column("since", Float, nullable=False),
)
"""The tool's own keys. ``place`` is ``signing``, ``next`` or ``retired:KID``; ``since`` is the time of that state."""
secrets: Final = Table(
    "lti_secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("value", String, nullable=False),
)
used_states: Final = Table(
    "lti_used_states",
    metadata,
    Column("state", String, primary_key=True),
    Column("expires_at", Float, nullable=False, index=True),
)
"""States of accepted launches, kept until they expire."""


def create_tables(engine: Engine) -> None:
    """Create the tables that do not exist. If several processes do so at once, one creates them and the others wait."""
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        metadata.create_all(connection)


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Yield a connection in a write transaction."""
    with engine.connect() as connection:
        connection = connection.execution_options(mien_writes=True)
        with connection.begin():
            yield connection
