"""Errors of requests that are refused, with a code for logs and counters."""

from __future__ import annotations

from mien.errors import MienError


class LtiError(MienError):
    """A request that is refused.

    Args:
        code: short constant for logs, counters and tests; it contains nothing from the request.
        message: a sentence for the user.
        status: HTTP status.
    """

    exit_code = 3

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
