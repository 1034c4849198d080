"""A stream of faces in, a verdict for every window out: all detectors, their limits, and their memory.

State is the last four chunks, the newest readings and the flags of the last windows. It knows
neither where faces come from nor what happens to a verdict.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mien.errors import DataError, UsageError
from mien.monitoring.accuracy_estimate import EstimatedAccuracy
from mien.monitoring.baseline import Window
from mien.monitoring.change_points import ChangePoint, ChangePoints
from mien.monitoring.chunks import CHUNK_BLOCKS, WINDOW_CHUNKS, Chunk, Chunks
from mien.monitoring.column_drift import ColumnDrift
from mien.monitoring.detectors import make_detectors
from mien.monitoring.features import COLUMNS, answers, averages, distribution, quantile
from mien.monitoring.observation import FaceObservation
from mien.monitoring.persistence import Persistence, Persistent
from mien.monitoring.reference import Reference
from mien.monitoring.sight import Sight
from mien.monitoring.verdict import WindowVerdict


class DriftMonitor:
    """Judges every window of a stream.

    Args:
        reference: what to hold the stream against.
        false_alarm_every_h: hours from one false alarm to the next, on average, that are accepted.
        faces_per_h: how many looks at faces (``Chunks``) an hour brings. The promise is kept by counting faces:
            an estimate that is too high costs power, one that is too low costs false alarms.
        rule: how many flagged windows last.
        sight: how much of a face is given.
        date_changes: look for change points as well, which needs river.

    Attributes:
        level: the surprise from which on a window is flagged.
        sight: how much of a face is given.

    Raises:
        UsageError: a promise that cannot be kept.
        DataError: the reference has no limits for that sight.
    """

    def __init__(
        self,
        reference: Reference,
        false_alarm_every_h: float,
        faces_per_h: float,
        rule: Persistence | None = None,
        sight: Sight = "all",
        date_changes: bool = True,
    ) -> None:
        if sight not in reference.calibrations:
            raise DataError(
                f"the reference ({reference.source}) has no limits for {sight!r}, only {', '.join(reference.calibrations)}"
            )
        self.sight: Sight = sight
        self._dated = ("confidence", "entropy") if date_changes and sight != "picture" else ()
        self._calibration = reference.calibrations[sight]
        for name, value in (("false_alarm_every_h", false_alarm_every_h), ("faces_per_h", faces_per_h)):
            if not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value}; a number above 0 is needed")
        self._rule = rule or Persistence()
        self._faces_between = false_alarm_every_h * faces_per_h
        self.level = self._calibration.level(self._faces_between / CHUNK_BLOCKS, self._rule)
        self._reference = reference
        self.restart()

    def restart(self) -> None:
        """Forget the stream: the next face is the first one."""
        self._chunks = Chunks(self._reference.features, self._reference.repeat_s, sight=self.sight)
        self._detectors = make_detectors(self._reference.baseline, self.sight)
        self._estimate = EstimatedAccuracy(self._reference.accuracy)
        self._persistent = Persistent(self._rule, len(self._detectors))
        self._lately: deque[Chunk] = deque(maxlen=WINDOW_CHUNKS)
        self._changes = [self._watch(name) for name in self._dated]
        self._verdict: WindowVerdict | None = None

    @property
    def verdict(self) -> WindowVerdict | None:
        """The newest window's; None until there is one."""
        return self._verdict

    @property
    def waiting(self) -> int:
        """How many more looks the next verdict needs."""
        return CHUNK_BLOCKS * max(1, WINDOW_CHUNKS - len(self._lately)) - self._chunks.waiting

    @property
    def changes(self) -> tuple[ChangePoint, ...]:
        """Change points of confidence and entropy, in the order of time."""
        return tuple(sorted((point for watch in self._changes for point in watch.found), key=lambda point: point.noticed_s))

    @property
    def unread(self) -> int:
        """Faces left out because the model's answer was not a number."""
        return self._chunks.unread

    @property
    def breaks(self) -> int:
        """How often the clock ran back or the stream stood still for an hour; windows begin anew there."""
        return self._chunks.breaks

    def update(self, face: FaceObservation) -> WindowVerdict | None:
        """Take in a face; return the verdict of the window that it completes, None as a rule."""
        chunk = self._chunks.update(face)
        if chunk is None:
            return None
        if not chunk.follows:
            self._lately.clear()
            self._persistent.reset()
        self._lately.append(chunk)
        for k, t_s in enumerate(np.linspace(chunk.from_s, chunk.to_s, CHUNK_BLOCKS)):
            for watch, values in zip(self._changes, (chunk.confidence, chunk.entropy), strict=False):
                watch.update(float(t_s), float(values[k]))
        if len(self._lately) < WINDOW_CHUNKS:
            return None
        self._verdict = self._judge(Window.of(list(self._lately), self._reference.baseline, self.sight))
        return self._verdict

    def _watch(self, column: str) -> ChangePoints:
        """Return the tests that watch one column of single faces."""
        shares = distribution(self._reference.baseline.overall, (column,))[0]
        grid = self._reference.features.grid[COLUMNS.index(column)]
        deviation = (quantile(shares, grid, 0.84) - quantile(shares, grid, 0.16)) / 2
        return ChangePoints(column, quantile(shares, grid), deviation, self._faces_between)

    def _judge(self, window: Window) -> WindowVerdict:
        readings, surprises, stability = {}, {}, {}
        flags = np.zeros(len(self._detectors), np.bool_)
        for j, detector in enumerate(self._detectors):
            detector.update(window)
            reading = detector.reading
            assert reading is not None
            readings[detector.name] = reading
            surprises[detector.name] = self._calibration.surprise(j, reading.score)
            flags[j] = surprises[detector.name] >= self.level and reading.effect >= detector.least_effect
            if isinstance(detector, ColumnDrift) and detector.name == "quality":
                stability = detector.stability
        self._estimate.update(window)
        lasting = self._persistent.update(flags)
        names = [detector.name for detector in self._detectors]
        return WindowVerdict(
            from_s=window.from_s,
            to_s=window.to_s,
            blocks=window.blocks,
            readings=readings,
            surprises=surprises,
            flagged=tuple(name for name, flag in zip(names, flags, strict=True) if flag),
            lasting=tuple(name for name, flag in zip(names, lasting, strict=True) if flag),
            mix=window.mix,
            shown=answers(window.mean),
            averages=averages(window.mean),
            stability=stability,
            confidence=self._estimate.confidence,
            accuracy=self._estimate.accuracy,
        )
