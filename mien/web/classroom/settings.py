"""Settings of a class server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from mien.errors import NotPermittedError, UsageError
from mien.loopback import is_loopback
from mien.privacy.lesson_bins import LESSON_BUDGET, LessonPlan
from mien.privacy.policy import Policy, policy_here
from mien.web.lti.origins import origin_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassSettings:
    """Settings of a class server.

    Addresses are kept as browsers write them: without the usual port, and with the ASCII form of the host.

    Attributes:
        url: public address of the server, without a path.
        listen_host: address on which it accepts connections.
        model: name of a packaged bundle, or path of a bundle.
        deployment: declaration of the deployment; None for the one that applies on this computer.
        budget: privacy budget of each participant for a lesson, in rho.
        embedders: origins of pages that may embed the server's pages, such as a learning platform.
        metrics_token: token for ``/metrics``; "" to disable that page.

    Raises:
        UsageError: a value is invalid.
    """

    url: str
    listen_host: str = "127.0.0.1"
    model: str = "mien-xs"
    deployment: Path | None = None
    budget: float = LESSON_BUDGET
    embedders: tuple[str, ...] = ()
    metrics_token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _origin(self.url, "the server's address"))
        embedders = tuple(_origin(each, "an embedding page's origin") for each in self.embedders)
        object.__setattr__(self, "embedders", embedders)
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
            NotPermittedError: the declaration permits nothing, or data must stay on each computer
                and the server can be reached from other computers.
            DataError: the declaration cannot be read.
            UsageError: the declaration is invalid.
        """
        policy, notice = policy_here(self.deployment)
        notices = [notice] if notice else []
        if policy.leaves_machine:
            return policy, notices
        if not is_loopback(self.listen_host):  # checking the Host header would stop browsers only
            raise NotPermittedError(
                f"with --host {self.listen_host} other computers could connect to the class "
                f"server, but the rule {policy.rule.name} keeps data on each computer. Omit "
                "--host, or declare the deployment: mien policy init"
            )
        if not is_loopback(self.host):
            raise NotPermittedError(
                f"a class server at {self.url} receives data about other people, but under the rule {policy.rule.name} data must "
                "stay on each computer. Declare the deployment: mien policy init"
            )
        return policy, [*notices, "Without a declaration, this server may only be tried out on this computer"]


def _origin(url: str, name: str) -> str:
    """Return an origin as browsers write it.

    Raises:
        UsageError: the address is not an origin, or has a path.
    """
    found = origin_of(url)
    if not found or set(url.partition("://")[2]) & set("/?#"):
        raise UsageError(f"{name} is {url!r}; it must be an origin, such as https://class.example.org")
    return found
