"""Links as capabilities: a holder may do what the link permits, and nobody needs an account.

A link carries a random secret of 128 bits in its fragment, which browsers do not send to servers and which therefore is
in no log. The database has a hash of it only.
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


def new_token() -> str:
    """Return a new random token of 128 bits, as 22 characters that need no quoting in a URL."""
    return secrets.token_urlsafe(_BYTES)


def token_hash(token: str) -> str:
    """Return the hash under which a token is stored; "" for a text that is no token.

    Tokens are random, so a plain hash cannot be reversed by trying likely values.
    """
    return hashlib.sha256(token.encode()).hexdigest()[:40] if _FORM.fullmatch(token) else ""


def is_same(one: str, other: str) -> bool:
    """Return whether two hashes are the same, in a time that does not depend on where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())
