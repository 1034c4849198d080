"""Settings of a class server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mien.errors import NotPermittedError, UsageError
from mien.loopback import is_loopback
from mien.privacy.lesson_bins import LESSON_BUDGET, LessonPlan
from mien.privacy.policy import Policy, policy_here


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSettings:
    """What a class server is started with.

    Attributes:
        url: address under which browsers reach the server, without a path.
        model: a packaged bundle's name or a bundle's path.
        deployment: the declaration of who uses it on whom; None for the one that holds here.
        budget: privacy budget of each participant for a lesson, in rho.
        embedders: origins of pages that may embed the server's pages, as of a learning platform.
        metrics_token: token that reads ``/metrics``; "" to have no such page.

    Raises:
        UsageError: a value is invalid.
    """

    url: str
    model: str = "mien-xs"
    deployment: Path | None = None
    budget: float = LESSON_BUDGET
    embedders: tuple[str, ...] = ()
    metrics_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, url in (("the server's address", self.url), *(("an embedding page's origin", each) for each in self.embedders)):
            if url != origin_of(url):
                raise UsageError(f"{name} is {url!r}; it must be an origin, as in https://class.example.org")
        if self.metrics_token and len(self.metrics_token) < 16:
            raise UsageError("MIEN_CLASS_METRICS_TOKEN is too short; it must have 16 characters or more")
        LessonPlan(budget=self.budget)

    @property
    def host(self) -> str:
        """The host's name in ``url``."""
        return urlsplit(self.url).hostname or ""

    def policy(self) -> tuple[Policy, list[str]]:
        """Return the policy that applies, and notices for the person who starts the server.

        Raises:
            NotPermittedError: the declaration permits nothing, or data may not leave a learner's machine.
            DataError: the declaration cannot be read.
            UsageError: the declaration is invalid.
        """
        policy, notice = policy_here(self.deployment)
        notices = [notice] if notice else []
        if policy.leaves_machine:
            return policy, notices
        if not is_loopback(self.host):
            raise NotPermittedError(
                f"a class server at {self.url} receives data of other people, and under the rule {policy.rule.name} data must "
                "stay on each machine. Declare who uses it on whom: mien policy init"
            )
        return policy, [*notices, "Without a declaration this server is for trying it out on this computer only"]


def origin_of(url: str) -> str:
    """Return the origin of an HTTP URL; "" for anything else."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{port}"
