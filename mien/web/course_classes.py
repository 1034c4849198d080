"""Opens classes of the class server for links in the courses of a learning platform.

The lessons of a link form a series whose name is derived from the link. Nothing is stored about courses, and every
process finds the same classes.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from mien.errors import UsageError
from mien.loopback import is_loopback
from mien.privacy.lesson_bins import LessonPlan
from mien.privacy.level import Level
from mien.privacy.policy import decide, permit_expressions
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind
from mien.web.classroom.operation import Metrics
from mien.web.classroom.settings import ClassSettings
from mien.web.classroom.store import DAY_S, MAX_TITLE, SHORT_LINK_S, ClassRecord, ClassStore
from mien.web.lti.launch import Launch, Role
from mien.web.lti.routes import LtiTool
from mien.web.lti.settings import LtiSettings

_LOOK_S: Final = 5.0
"""Time for which the origins of registered platforms are cached, in seconds."""
_PATHS: Final = {LinkKind.TEACH: "/teach", LinkKind.JOIN: "/join"}


class LearningPlatforms:
    """The LTI tool of a class server.

    Args:
        database: the class server's database.
        settings: settings of the class server.
        metrics: counts launches, registrations and refused requests.
        clock: time in seconds since 1970.

    Attributes:
        tool: the tool.
        routes: its routes.

    Raises:
        NotPermittedError: the server's declaration does not permit classes.
        DeviceError: the database cannot be used.
    """

    def __init__(
        self, database: ClassDatabase, settings: ClassSettings, metrics: Metrics, clock: Callable[[], float] = time.time
    ) -> None:
        policy, _ = settings.policy()
        store = ClassStore(database, retention_s=policy.deployment.retention_days * DAY_S, clock=clock)
        usual = LessonPlan(budget=settings.budget, expressions=permit_expressions(policy) is not None)
        used = LtiSettings(base_url=settings.url, allow_loopback=is_loopback(settings.host))
        self.tool = LtiTool(database.engine, used, CourseClasses(store, usual), metrics.count, clock)
        self.routes = self.tool.routes
        self._origins: list[str] = []
        self._looked_at_s = float("-inf")

    def embedders(self) -> list[str]:
        """Return the origins of pages that may embed classes; the last known ones if the database cannot be used."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= _LOOK_S:
            self._looked_at_s = now_s
            with suppress(SQLAlchemyError):
                self._origins = self.tool.platforms.origins()
        return self._origins


class CourseClasses:
    """Opens the newest class of a link in a course; the first launch by a teacher creates it.

    Args:
        store: the classes.
        usual: the server's default plan; if it excludes expressions, no class reads them.
    """

    def __init__(self, store: ClassStore, usual: LessonPlan) -> None:
        self._store, self._usual = store, usual
        self._opening = threading.Lock()

    def __call__(self, launch: Launch, /) -> str:
        """Return the path of a class with a new link to teach or to join.

        Raises:
            UsageError: a learner launches the link, and no class is waiting or running.
            DeviceError: the database cannot be used.
        """
        series = series_of(launch)
        record = self._newest(series)
        if launch.role is Role.TEACHER:
            kind, record, person = LinkKind.TEACH, record or self._first(launch, series), None
        else:
            kind = LinkKind.JOIN
            if record is None:
                raise UsageError("your teacher has not opened this class yet. Open it again later")
            if record.state == "ended":
                raise UsageError("this lesson is over. Your teacher opens the next one")
            person = person_in(launch, record.class_id)
        token = self._store.issue(kind, record.class_id, SHORT_LINK_S, person)
        return f"{_PATHS[kind]}#{token}"

    def _newest(self, series: str) -> ClassRecord | None:
        lessons = self._store.series(series)
        return lessons[-1] if lessons else None

    def _first(self, launch: Launch, series: str) -> ClassRecord:
        """Open the first class of a link, unless another teacher has just opened it."""
        with self._opening:
            found = self._newest(series)
            if found is not None:
                return found
            plan = replace(self._usual, expressions=self._usual.expressions and decide(launch.declaration).level is Level.FULL)
            title = launch.title[:MAX_TITLE] or "Class"
            opened = self._store.open_class(title, plan=plan, series=series, declaration=launch.declaration)
            found = self._newest(series) or self._store.get(opened.class_id)
            if found is not None and found.class_id != opened.class_id:  # another process opened one too
                self._store.erase(opened.class_id)
        assert found is not None
        return found


def person_in(launch: Launch, class_id: str) -> str:
    """Return the keyed hash of a launch's person in a class, 32 hexadecimal digits.

    The key is ``launch.person``, which is derived from the server's key and is not stored, so hashes in different classes
    cannot be linked.
    """
    return hmac.new(launch.person.encode(), class_id.encode(), hashlib.sha256).hexdigest()[:32]


def series_of(launch: Launch) -> str:
    """Return the name of the series of a link's lessons, 32 hexadecimal digits; it grants no access."""
    place = json.dumps([launch.platform, launch.deployment, launch.context, launch.resource])
    return hashlib.sha256(place.encode()).hexdigest()[:32]
