"""Dynamic registration: platform and tool exchange their configurations, and the institution declares the deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mien.errors import UsageError
from mien.privacy.deployment import Deployment, declare
from mien.visible import visible
from mien.web.lti.errors import LtiError
from mien.web.lti.fetching import request_json
from mien.web.lti.keys import ALGORITHM
from mien.web.lti.messages import DEEP_LINKING, RESOURCE_LINK
from mien.web.lti.origins import origin_of
from mien.web.lti.platforms import Invitation, Platform, Platforms, check_declaration
from mien.web.lti.settings import LtiSettings

TOOL_CONFIGURATION: Final = "https://purl.imsglobal.org/spec/lti-tool-configuration"
PLATFORM_CONFIGURATION: Final = "https://purl.imsglobal.org/spec/lti-platform-configuration"
_CANVAS_PRIVACY: Final = "https://canvas.instructure.com/lti/privacy_level"
_ADDRESSES: Final = ("issuer", "authorization_endpoint", "jwks_uri", "registration_endpoint")


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """A platform's registration request, sent through the administrator's browser.

    Attributes:
        invitation: token in the path of the registration link.
        configuration_url: address of the platform's OpenID configuration.
        token: the platform's token for the registration; "" if it needs none.
    """

    invitation: str
    configuration_url: str
    token: str


def check_request(request: RegistrationRequest, platforms: Platforms, settings: LtiSettings) -> Invitation:
    """Return the invitation after checking that the request is from the invited platform.

    Raises:
        LtiError: the invitation is unknown or is for another platform.
    """
    invitation = platforms.invited(request.invitation)
    try:
        settings.check_address(request.configuration_url, "openid_configuration")
    except UsageError as error:
        raise LtiError("configuration-url", f"Open this link from your learning platform's registration page: {error}.") from None
    if origin_of(request.configuration_url) != invitation.origin:
        message = f"This registration link is for {invitation.origin} only. Ask the operator of Mien for another one."
        raise LtiError("configuration-origin", message, 403)
    return invitation


def register(request: RegistrationRequest, answers: Mapping[str, str], platforms: Platforms, settings: LtiSettings) -> Platform:
    """Register the tool in a platform, and the platform here.

    Args:
        request: what the platform sent.
        answers: the institution's declaration by key, and ``origins``, one address per line.
        platforms: where the platform is stored.
        settings: settings of the tool.

    Raises:
        UsageError: the declaration is invalid or permits nothing.
        LtiError: the invitation or a response of the platform is not valid.
    """
    invitation = check_request(request, platforms, settings)
    declaration = read_declaration(answers)
    check_declaration(declaration)
    bearer = {"Authorization": f"Bearer {request.token}"} if request.token else {}
    found = request_json(settings, "GET", request.configuration_url, "its configuration", bearer)
    addresses = _addresses(found, settings, invitation.issuer)
    body = json.dumps(tool_configuration(settings)).encode()
    headers = {"Content-Type": "application/json", **bearer}
    answer = request_json(settings, "POST", addresses["registration_endpoint"], "a registration", headers, body)
    client_id = answer.get("client_id")
    if not isinstance(client_id, str):
        raise LtiError("platform-invalid", "The learning platform's registration contains no client_id.", 502)
    configured = answer.get(TOOL_CONFIGURATION)
    deployment = configured.get("deployment_id") if isinstance(configured, dict) else None
    return platforms.add(
        issuer=addresses["issuer"],
        client_id=client_id,
        authorization_endpoint=addresses["authorization_endpoint"],
        jwks_uri=addresses["jwks_uri"],
        declaration=declaration,
        name=_product(found, addresses["issuer"]),
        origins=[each.strip() for each in answers.get("origins", "").splitlines() if each.strip()],
        deployment_ids=[deployment] if isinstance(deployment, str) else [],
        invitation=request.invitation,
    )


def read_declaration(answers: Mapping[str, str]) -> Deployment:
    """Return the declaration in the answers to a form.

    Raises:
        UsageError: an answer is missing or invalid.
    """
    texts = ("context", "jurisdiction", "purpose", "operator", "contact", "legal_basis", "approval")
    values: dict[str, Any] = {key: answers[key] for key in texts if answers.get(key)}
    values["minors"] = answers.get("minors") == "yes"
    return declare(values)


def tool_configuration(settings: LtiSettings) -> dict[str, Any]:
    """Return the tool's configuration for a platform.

    It requests no scopes, hence no grades and no membership list, and of the user's claims only ``sub``.
    """
    launch = settings.url("launch")
    return {
        "application_type": "web",
        "response_types": ["id_token"],
        "grant_types": ["implicit", "client_credentials"],
        "initiate_login_uri": settings.url("login"),
        "redirect_uris": [launch],
        "client_name": settings.name,
        "jwks_uri": settings.url("jwks.json"),
        "token_endpoint_auth_method": "private_key_jwt",
        "id_token_signed_response_alg": ALGORITHM,
        "scope": "",
        TOOL_CONFIGURATION: {
            "domain": urlsplit(settings.base_url).netloc,
            "description": "Shows aggregates of a class, never data of individuals.",
            "target_link_uri": launch,
            "claims": ["iss", "sub"],
            "messages": [
                {"type": RESOURCE_LINK, "target_link_uri": launch, "label": settings.name},
                {"type": DEEP_LINKING, "target_link_uri": launch, "label": f"{settings.name} class"},
            ],
            _CANVAS_PRIVACY: "anonymous",
        },
    }


def _addresses(found: Mapping[str, Any], settings: LtiSettings, issuer: str) -> dict[str, str]:
    """Return the addresses in a platform's configuration.

    Raises:
        LtiError: an address is missing or not allowed, or the issuer is another host.
    """
    for name in _ADDRESSES:
        value = found.get(name)
        if not isinstance(value, str):
            raise LtiError("platform-invalid", f"The learning platform's configuration contains no {name}.", 502)
        try:
            settings.check_address(value, name)
        except UsageError as error:
            raise LtiError("platform-invalid", f"The learning platform's configuration is not valid: {error}.", 502) from None
    if origin_of(found["issuer"]) != issuer:
        message = f"The learning platform names {visible(found['issuer'])[:200]} as issuer, and not {issuer}."
        raise LtiError("issuer", message, 502)
    return {name: str(found[name]) for name in _ADDRESSES}


def _product(found: Mapping[str, Any], issuer: str) -> str:
    configured = found.get(PLATFORM_CONFIGURATION)
    product = configured.get("product_family_code") if isinstance(configured, dict) else None
    return f"{product} at {issuer}" if isinstance(product, str) and product else issuer
