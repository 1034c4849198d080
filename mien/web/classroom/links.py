"""Links as capabilities: anyone who has a link may do what it permits; no accounts are needed.

A link has a random 128-bit token in its fragment. Browsers do not send fragments to servers, so tokens do not appear in
logs. The database stores only a hash.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from enum import StrEnum
from typing import Final

_BYTES: Final = 16
_FORM: Final = re.compile(r"[A-Za-z0-9_-]{22}")


class LinkKind(StrEnum):
    """What a link permits.

    Attributes:
        OPEN: opening classes.
        TEACH: seeing what is published about a class, and managing it.
        JOIN: joining a class as a learner.
    """

    OPEN = "open"
    TEACH = "teach"
    JOIN = "join"


_PATHS: Final = {LinkKind.OPEN: "new", LinkKind.TEACH: "teach", LinkKind.JOIN: "join"}


def link_url(url: str, kind: LinkKind, token: str) -> str:
    """Return the URL of a link; the token is in the fragment."""
    return f"{url}/{_PATHS[kind]}#{token}"


def new_token() -> str:
    """Return a new random token of 128 bits, as 22 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(_BYTES)


def token_hash(token: str) -> str:
    """Return the hash under which a token is stored; "" if the text is not a token.

    Tokens are random, so an unsalted hash is sufficient.
    """
    return hashlib.sha256(token.encode()).hexdigest()[:40] if _FORM.fullmatch(token) else ""


def is_same(one: str, other: str) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
