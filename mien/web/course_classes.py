"""Opens classes of the class server for links in courses of a learning platform.

The lessons of one link are one series, whose name follows from the link. So nothing is stored about
courses, and any process finds the same classes.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import replace
from typing import Final

from mien.errors import UsageError
from mien.privacy.lesson_bins import LessonPlan
from mien.privacy.level import Level
from mien.web.classroom.links import Kind
from mien.web.classroom.store import MAX_TITLE, SHORT_LINK_S, ClassRecord, ClassStore
from mien.web.lti.launch import Launch, Role

_PATHS: Final = {Kind.TEACH: "/teach", Kind.JOIN: "/join"}


class CourseClasses:
    """Opens the newest class of a link in a course; a teacher's launch opens the first one.

    Args:
        store: the classes.
        usual: the server's usual plan; without expressions in it, none is read in any class.
    """

    def __init__(self, store: ClassStore, usual: LessonPlan) -> None:
        self._store, self._usual = store, usual
        self._opening = threading.Lock()

    def __call__(self, launch: Launch, /) -> str:
        """Return the path of a class with a new link to teach or to join.

        Raises:
            UsageError: a learner comes, and no class waits or runs.
            DeviceError: the database cannot be used.
        """
        series = series_of(launch)
        record = self._newest(series)
        if launch.role is Role.TEACHER:
            kind, record = Kind.TEACH, record or self._first(launch, series)
        else:
            kind = Kind.JOIN
            if record is None:
                raise UsageError("your teacher has not opened this class yet. Open it again later")
            if record.state == "ended":
                raise UsageError("this lesson is over. Your teacher opens the next one")
        token = self._store.issue(kind, record.class_id, SHORT_LINK_S)
        return f"{_PATHS[kind]}#{token}"

    def _newest(self, series: str) -> ClassRecord | None:
        lessons = self._store.series(series)
        return lessons[-1] if lessons else None

    def _first(self, launch: Launch, series: str) -> ClassRecord:
        """Open the first class of a link, unless another teacher was faster."""
        with self._opening:
            found = self._newest(series)
            if found is not None:
                return found
            plan = replace(self._usual, expressions=self._usual.expressions and launch.level is Level.FULL)
            opened = self._store.open_class(launch.title[:MAX_TITLE] or "Class", plan=plan, series=series)
            found = self._newest(series) or self._store.get(opened.class_id)
            if found is not None and found.class_id != opened.class_id:  # another process opened one a moment later
                self._store.erase(opened.class_id)
        assert found is not None
        return found


def series_of(launch: Launch) -> str:
    """Return the name of the series of a link's lessons, 32 hexadecimal digits; it permits nothing."""
    place = json.dumps([launch.platform, launch.deployment, launch.context, launch.resource])
    return hashlib.sha256(place.encode()).hexdigest()[:32]
