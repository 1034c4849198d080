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
    """Settings of a class server.

    Attributes:
        url: public address of the server, without a path.
        model: name of a packaged bundle, or path of a bundle.
        deployment: declaration of the deployment; None for the one that applies on this computer.
        budget: privacy budget of each participant for a lesson, in rho.
        embedders: origins of pages that may embed the server's pages, such as a learning platform.
        metrics_token: token for ``/metrics``; "" to disable that page.

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
                raise UsageError(f"{name} is {url!r}; it must be an origin, such as https://class.example.org")
        if self.metrics_token and len(self.metrics_token) < 16:
            raise UsageError("MIEN_CLASS_METRICS_TOKEN is too short; it must have 16 characters or more")
        LessonPlan(budget=self.budget)

    @property
    def host(self) -> str:
        """The host name in ``url``."""
        return urlsplit(self.url).hostname or ""

    def policy(self) -> tuple[Policy, list[str]]:
        """Return the policy that applies and the notices to print when the server starts.

        Raises:
            NotPermittedError: the declaration permits nothing, or data may not leave a learner's computer.
            DataError: the declaration cannot be read.
            UsageError: the declaration is invalid.
        """
        policy, notice = policy_here(self.deployment)
        notices = [notice] if notice else []
        if policy.leaves_machine:
            return policy, notices
        if not is_loopback(self.host):
            raise NotPermittedError(
                f"a class server at {self.url} receives data about other people, but under the rule {policy.rule.name} data must "
                "stay on each computer. Declare the deployment: mien policy init"
            )
        return policy, [*notices, "Without a declaration, this server may only be tried out on this computer"]


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
