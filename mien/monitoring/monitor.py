"""Drift monitor: runs all detectors on a stream of faces and returns a verdict for every window.

State is the last four chunks, the newest results and the flags of the last windows.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from mien.errors import DataError, UsageError
from mien.monitoring.accuracy_estimate import AccuracyEstimator
from mien.monitoring.baseline import FaceWindow
from mien.monitoring.change_points import ChangePoint, ChangePoints
from mien.monitoring.chunks import CHUNK_BLOCKS, WINDOW_CHUNKS, Chunk, Chunks
from mien.monitoring.detectors import ColumnDrift, make_detectors
from mien.monitoring.features import COLUMNS, averages, distribution, predicted_shares, quantile
from mien.monitoring.observation import FaceObservation, Scope
from mien.monitoring.persistence import PersistenceFilter, PersistenceRule
from mien.monitoring.reference import Reference
from mien.monitoring.verdict import WindowVerdict


class DriftMonitor:
    """Compares every window of a stream with a reference.

    Args:
        reference: the reference.
        false_alarm_every_h: mean hours between false alarms.
        faces_per_h: face samples (``Chunks``) per hour. The false-alarm interval is converted to a number of faces: too
            high an estimate lowers the power, too low an estimate raises the false-alarm rate.
        rule: number of flagged windows for an alarm.
        scope: the part of a face that is used.
        date_changes: whether to detect change points as well, which needs river.

    Attributes:
        level: surprise from which a window is flagged.
        scope: the part of a face that is used.

    Raises:
        UsageError: a setting is out of range, or the false-alarm interval is too short.
        DataError: the reference has no limits for the scope.
        DeviceError: a package of the ``monitor`` extra is missing.
    """

    def __init__(
        self,
        reference: Reference,
        false_alarm_every_h: float,
        faces_per_h: float,
        rule: PersistenceRule | None = None,
        scope: Scope = "all",
        date_changes: bool = True,
    ) -> None:
        if scope not in reference.calibrations:
            raise DataError(
                f"the reference ({reference.source}) has no limits for {scope!r}, only {', '.join(reference.calibrations)}"
            )
        self.scope: Scope = scope
        self._change_signals = ("confidence", "entropy") if date_changes and scope != "picture" else ()
        self._calibration = reference.calibrations[scope]
        for name, value in (("false_alarm_every_h", false_alarm_every_h), ("faces_per_h", faces_per_h)):
            if not 0 < value < float("inf"):
                raise UsageError(f"{name} is {value}; it must be above 0")
        self._rule = rule or PersistenceRule()
        self._faces_between = false_alarm_every_h * faces_per_h
        self.level = self._calibration.level(self._faces_between / CHUNK_BLOCKS, self._rule)
        self._reference = reference
        self.restart()

    def restart(self) -> None:
        """Reset all state; the next face starts a new stream."""
        self._chunks = Chunks(self._reference.features, self._reference.repeat_s, scope=self.scope)
        self._detectors = make_detectors(self._reference.baseline, self.scope)
        self._estimator = AccuracyEstimator(self._reference.accuracy)
        self._filter = PersistenceFilter(self._rule, len(self._detectors))
        self._newest: deque[Chunk] = deque(maxlen=WINDOW_CHUNKS)
        self._changes = [self._watch(name) for name in self._change_signals]
        self._verdict: WindowVerdict | None = None

    @property
    def verdict(self) -> WindowVerdict | None:
        """Verdict of the newest window; None before the first."""
        return self._verdict

    @property
    def waiting(self) -> int:
        """Number of samples until the next verdict."""
        return CHUNK_BLOCKS * max(1, WINDOW_CHUNKS - len(self._newest)) - self._chunks.waiting

    @property
    def changes(self) -> tuple[ChangePoint, ...]:
        """Change points of confidence and entropy, by time of detection."""
        return tuple(sorted((point for watch in self._changes for point in watch.found), key=lambda point: point.noticed_s))

    @property
    def unread(self) -> int:
        """Number of faces ignored because of NaN or infinite values."""
        return self._chunks.unread

    @property
    def breaks(self) -> int:
        """Number of backward jumps and gaps of over an hour; windows restart at each."""
        return self._chunks.breaks

    def update(self, face: FaceObservation) -> WindowVerdict | None:
        """Process a face; return the verdict of the window it completes, usually None."""
        chunk = self._chunks.update(face)
        if chunk is None:
            return None
        if not chunk.contiguous:
            self._newest.clear()
            self._filter.reset()
        self._newest.append(chunk)
        for k, t_s in enumerate(np.linspace(chunk.from_s, chunk.to_s, CHUNK_BLOCKS)):
            for watch, values in zip(self._changes, (chunk.confidence, chunk.entropy), strict=False):
                watch.update(float(t_s), float(values[k]))
        if len(self._newest) < WINDOW_CHUNKS:
            return None
        self._verdict = self._evaluate(FaceWindow.of(list(self._newest), self._reference.baseline, self.scope))
        return self._verdict

    def _watch(self, column: str) -> ChangePoints:
        """Return the change-point tests for one column."""
        shares = distribution(self._reference.baseline.overall, (column,))[0]
        grid = self._reference.features.grid[COLUMNS.index(column)]
        deviation = (quantile(shares, grid, 0.84) - quantile(shares, grid, 0.16)) / 2
        return ChangePoints(column, quantile(shares, grid), deviation, self._faces_between)

    def _evaluate(self, window: FaceWindow) -> WindowVerdict:
        results, surprises, stability = {}, {}, {}
        flags = np.zeros(len(self._detectors), np.bool_)
        for j, detector in enumerate(self._detectors):
            detector.update(window)
            result = detector.result
            assert result is not None
            results[detector.name] = result
            surprises[detector.name] = self._calibration.surprise(j, result.score)
            flags[j] = surprises[detector.name] >= self.level and result.effect >= detector.min_effect
            if isinstance(detector, ColumnDrift) and detector.name == "quality":
                stability = detector.stability
        self._estimator.update(window)
        persistent = self._filter.update(flags)
        names = [detector.name for detector in self._detectors]
        return WindowVerdict(
            from_s=window.from_s,
            to_s=window.to_s,
            blocks=window.blocks,
            results=results,
            surprises=surprises,
            flagged=tuple(name for name, flag in zip(names, flags, strict=True) if flag),
            persistent=tuple(name for name, flag in zip(names, persistent, strict=True) if flag),
            mix=window.mix,
            shown=predicted_shares(window.mean),
            averages=averages(window.mean),
            stability=stability,
            confidence=self._estimator.confidence,
            accuracy=self._estimator.accuracy,
        )
