"""Deep linking: a teacher adds one link to a class to a course."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from mien.errors import UsageError
from mien.web.lti.errors import LtiError
from mien.web.lti.keys import ToolKeys
from mien.web.lti.messages import CLAIM, DEEP_LINKING_CLAIM, VERSION, short_title
from mien.web.lti.platforms import Platform
from mien.web.lti.settings import LtiSettings

_VALID_S: Final = 600
_ITEM: Final = "ltiResourceLink"


@dataclass(frozen=True, slots=True)
class LinkOffer:
    """A platform's request for a link.

    Attributes:
        return_url: address of the platform that takes the response.
        title: title that the platform suggests; "" if none.
        data: value that the response must repeat; None if there is none.
    """

    return_url: str
    title: str
    data: str | None


def read_offer(claims: Mapping[str, Any], settings: LtiSettings) -> LinkOffer:
    """Return the link that a deep linking request asks for.

    Raises:
        LtiError: no link to a tool is accepted, or the address for the response is not allowed.
    """
    found = claims.get(f"{DEEP_LINKING_CLAIM}deep_linking_settings")
    asked: Mapping[str, Any] = found if isinstance(found, dict) else {}
    accepted = asked.get("accept_types")
    if not isinstance(accepted, list) or _ITEM not in accepted:
        raise LtiError("link-not-accepted", "A link to a class cannot be added here.")
    url, title, data = (asked.get(key) for key in ("deep_link_return_url", "title", "data"))
    try:
        settings.check_address(url if isinstance(url, str) else "", "deep_link_return_url")
    except UsageError as error:
        raise LtiError("return-url", f"The link cannot be added: {error}.") from None
    return LinkOffer(str(url), short_title(title) if isinstance(title, str) else "", data if isinstance(data, str) else None)


def response_token(
    offer: LinkOffer, platform: Platform, deployment: str, keys: ToolKeys, settings: LtiSettings, now: float
) -> str:
    """Return the signed response with one link to a class."""
    item = {"type": _ITEM, "title": offer.title or f"{settings.name} class", "url": settings.url("launch")}
    claims: dict[str, Any] = {
        "iss": platform.client_id,
        "aud": platform.issuer,
        "iat": int(now),
        "exp": int(now) + _VALID_S,
        "nonce": secrets.token_hex(16),
        f"{CLAIM}message_type": "LtiDeepLinkingResponse",
        f"{CLAIM}version": VERSION,
        f"{CLAIM}deployment_id": deployment,
        f"{DEEP_LINKING_CLAIM}content_items": [item],
    }
    if offer.data is not None:
        claims[f"{DEEP_LINKING_CLAIM}data"] = offer.data
    return keys.sign(claims)
