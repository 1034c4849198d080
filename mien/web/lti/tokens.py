"""Verification of ID tokens: signature, issuer, audience, times and nonce."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from joserfc import jws
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import RSAKey

from mien.documents import parse_json
from mien.web.lti.errors import LtiError
from mien.web.lti.keys import ALGORITHM
from mien.web.lti.platforms import Platform
from mien.web.lti.settings import LtiSettings

MAX_TOKEN: Final = 32 * 1024
"""Maximum size of an ID token in bytes; those of common platforms are 2 to 6 KiB."""
_REGISTRY: Final = jws.JWSRegistry(algorithms=[ALGORITHM], strict_check_header=False)
_REGISTRY.max_header_length = 4096  # some platforms include certificates; the library's default is 512


def key_id_of(token: str) -> str:
    """Return the id of the key that signed a token, without checking its signature.

    Raises:
        LtiError: the token is too large, is not a signed JWT, names no key, or uses another algorithm.
    """
    if len(token) > MAX_TOKEN:
        raise LtiError("token-too-large", f"The ID token is larger than {MAX_TOKEN // 1024} KiB.", 413)
    try:
        header = jws.extract_compact(token.encode("ascii"), registry=_REGISTRY).headers()
    except (JoseError, ValueError, binascii.Error):
        raise LtiError("token-malformed", "The ID token is not a signed JWT.") from None
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm != ALGORITHM:
        raise LtiError("algorithm", f"The ID token must be signed with {ALGORITHM}.", 401)
    if not isinstance(kid, str) or not 0 < len(kid) <= 500:
        raise LtiError("kid-missing", "The ID token does not name the key that signed it.", 401)
    return kid


def read_claims(token: str, key: RSAKey) -> dict[str, Any]:
    """Return the claims of a token after verifying its signature.

    Raises:
        LtiError: the signature is invalid, or the claims are not a JSON object.
    """
    try:
        payload = jws.deserialize_compact(token, key, registry=_REGISTRY).payload
    except BadSignatureError:
        raise LtiError("signature", "The signature of the ID token is wrong.", 401) from None
    except (JoseError, ValueError):
        raise LtiError("token-malformed", "The ID token is not a signed JWT.") from None
    try:
        claims = parse_json(payload)
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        raise LtiError("token-malformed", "The ID token does not contain a JSON object.")
    return claims


def check_claims(claims: Mapping[str, Any], platform: Platform, nonce: str, now: float, settings: LtiSettings) -> None:
    """Verify the OpenID Connect claims: issuer, audience, times and nonce.

    Follows the 1EdTech Security Framework 1.0, section 5.1.3.

    Args:
        claims: claims of a token with a verified signature.
        platform: the platform to which the login was sent.
        nonce: the nonce of the login.
        now: time in seconds since 1970.
        settings: tolerated times.

    Raises:
        LtiError: a claim is missing or invalid.
    """
    if claims.get("iss") != platform.issuer:
        raise LtiError("issuer", "The ID token is from another learning platform.", 401)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", None if len(audiences) > 1 else platform.client_id)
    if platform.client_id not in audiences or party != platform.client_id:
        raise LtiError("audience", "The ID token is for another tool.", 401)
    expires, issued = claims.get("exp"), claims.get("iat")
    if not _is_time(expires) or not _is_time(issued):
        raise LtiError("times-missing", "The ID token does not say when it was issued and when it expires.", 401)
    if expires <= now - settings.clock_skew_s:
        raise LtiError("expired", "The ID token has expired. Open the class again from your course.", 401)
    if issued > now + settings.clock_skew_s:
        raise LtiError("issued-in-future", "The ID token was issued in the future. Check the clocks of platform and server.", 401)
    if issued < now - settings.clock_skew_s - settings.max_age_s:
        raise LtiError("expired", "The ID token is too old. Open the class again from your course.", 401)
    if claims.get("nonce") != nonce:
        raise LtiError("nonce", "The ID token belongs to another launch. Open the class again from your course.", 401)


def _is_time(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
