"""Settings of the LTI tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mien.errors import UsageError
from mien.messaging.http import check_url, is_local_url
from mien.web.lti.origins import origin_of

PREFIX: Final = "/lti"
"""Path prefix of all routes of the tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LtiSettings:
    """Settings of the LTI tool.

    Attributes:
        base_url: public address of the server without a path, such as ``https://mien.example.org``; "" if only
            registrations and keys are managed.
        name: name of the tool in the learning platform.
        allow_loopback: accept platforms at ``http`` loopback addresses; for tests.
        state_s: time from login to launch, in seconds.
        clock_skew_s: tolerated difference between the clocks of platform and server, in seconds.
        max_age_s: maximum age of an ID token, in seconds.
        keys_ttl_s: time after which a platform's keys are fetched again, in seconds.
        refetch_s: minimum time between two attempts to fetch a platform's keys, in seconds.
        rotate_s: time after which the tool's signing key is rotated, in seconds.
        retire_s: time for which a retired key stays published, in seconds.

    Raises:
        UsageError: the address is not valid, or a time is not positive.
    """

    base_url: str = ""
    name: str = "Mien"
    allow_loopback: bool = False
    state_s: float = 600
    clock_skew_s: float = 60
    max_age_s: float = 3600
    keys_ttl_s: float = 86_400
    refetch_s: float = 30
    rotate_s: float = 90 * 86_400
    retire_s: float = 86_400

    def __post_init__(self) -> None:
        if self.base_url:
            parts = urlsplit(check_url(self.base_url, "the server's public address"))
            origin = origin_of(self.base_url)
            if not origin or parts.path or parts.query or parts.fragment:
                raise UsageError(f"the server's public address is {self.base_url}; write it without a path, like https://HOST")
            if parts.scheme != "https" and not self.allow_loopback:
                raise UsageError(f"the server's public address is {self.base_url}; learning platforms require https://")
            object.__setattr__(self, "base_url", origin)
        for name in ("state_s", "max_age_s", "keys_ttl_s", "refetch_s", "rotate_s", "retire_s"):
            if getattr(self, name) <= 0:
                raise UsageError(f"{name} is {getattr(self, name):g}; it must be greater than 0")

    def url(self, path: str) -> str:
        """Return the URL of a route of the tool, such as ``launch``.

        Raises:
            UsageError: the public address of the server is not set.
        """
        if not self.base_url:
            raise UsageError("the server's public address is not set. Name it like https://HOST")
        return f"{self.base_url}{PREFIX}/{path}"

    def check_address(self, url: str, name: str) -> str:
        """Return a platform's address after checking that it is https, or http to a loopback address if that is allowed.

        Pages of its origin may embed classes, so the origin must be safe in a content security policy.

        Raises:
            UsageError: the address is neither, or its host is not a valid name or IP address.
        """
        check_url(url, name)
        if not origin_of(url):
            raise UsageError(f"the host of {name} must be an IP address, or a name of letters, digits, hyphens and dots")
        if urlsplit(url).scheme != "https" and not (self.allow_loopback and is_local_url(url)):
            raise UsageError(f"{name} must begin with https://")
        if len(url) > 2000:
            raise UsageError(f"{name} has {len(url)} characters; at most 2000 are allowed")
        return url
