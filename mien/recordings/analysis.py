"""An analysis of one or more recordings."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mien.errors import MienError, NotPermittedError, StorageError
from mien.files import file_hash
from mien.insight import Insight
from mien.pipeline import model_name, open_reader
from mien.privacy.oversight import Oversight
from mien.recordings.frame_times import estimated_frame_count
from mien.recordings.reading import ReadingOptions
from mien.recordings.recording import Recording, RecordingReport
from mien.recordings.settings import AnalyzeSettings, named_recordings, skipped_notices
from mien.recordings.workers import Job, open_workers
from mien.sessions.layout import SESSIONS
from mien.stops import ending
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import detector_notice, open_detector
from mien.vision.predictor import Predictor


@dataclass(frozen=True, slots=True)
class RunReport:
    """Result of an analysis.

    Attributes:
        recordings: the result of each recording, in the order given.
        wall_s: wall time in seconds.
        policy: what could be read, "full" or "observables".
        audit_error: why the end of the run could not be written to the audit log, or "".
    """

    recordings: tuple[RecordingReport, ...]
    wall_s: float
    policy: str
    audit_error: str = ""

    @property
    def times_real_time(self) -> float:
        """Seconds of recordings read by this run per second of wall time."""
        return sum(recording.read_s for recording in self.recordings) / max(1e-9, self.wall_s)

    @property
    def failed(self) -> tuple[RecordingReport, ...]:
        """The recordings that could not be read completely."""
        return tuple(recording for recording in self.recordings if recording.error or recording.damage)

    @property
    def missing(self) -> tuple[str, ...]:
        """Error messages for everything that could not be stored."""
        return tuple(recording.error for recording in self.recordings if recording.storage_failed) + (
            (self.audit_error,) if self.audit_error else ()
        )


class Analysis:
    """An analysis of recordings.

    Args:
        settings: the recordings and the options.

    Attributes:
        notices: notices for the user before the run.

    Raises:
        NotPermittedError: the declared deployment or the participant's consent does not permit it.
        FaultsError: the rules are invalid.
        UsageError: two recordings have the same name, or an existing analysis was made with other options.
        MienError: a file, the model or the detector is unavailable.
    """

    def __init__(self, settings: AnalyzeSettings) -> None:
        self._settings = settings
        self._oversight = Oversight(settings.deployment, SESSIONS, settings.person)
        if not self._oversight.keeps:
            raise NotPermittedError(f"{settings.person} has not consented to storage, which an analysis requires")
        bundle = bundle_path(settings.model)
        model = model_name(open_reader(self._oversight.policy, lambda: Predictor(bundle)))
        detector = open_detector()
        insight = Insight(settings.rules, settings.states, self._oversight.policy, None)  # fails early on invalid rules
        skipped = skipped_notices(settings.recordings)
        notices = (*self._oversight.sentences, *insight.notices, *skipped, detector_notice(detector.name))
        self.notices = [notice for notice in notices if notice]
        options = ReadingOptions(
            model=settings.model if str(bundle) != settings.model else str(bundle.resolve()),
            model_hash=file_hash(bundle),
            detector=detector.name,
            smoothing_s=settings.smoothing_s,
            deployment=self._oversight.policy.deployment,
        )
        self._options = options
        named = named_recordings(settings.recordings, settings.out)
        self._recordings = [
            Recording(path, folder, settings, options, self._oversight, model, self._add_frames) for path, folder in named
        ]
        for recording in self._recordings:
            recording.check()
        self._expected = {recording.report.path: estimated_frame_count(recording.report.path) for recording in self._recordings}
        self._done = 0
        self._progress: Callable[[int, int], None] | None = None
        self._jobs: deque[Job] = deque()
        self._waiting = deque(self._recordings)
        self._withdrawn = False
        self._not_erased: list[str] = []
        self._erasure_error = ""  # why it was not logged

    def run(self, progress: Callable[[int, int], None] | None = None) -> RunReport:
        """Analyse all recordings. A recording that cannot be read does not stop the others.

        Args:
            progress: called with the number of processed frames and the estimated total.

        Raises:
            DeviceError: the cluster cannot be reached, or the connection to it was lost.
            NotPermittedError: consent was withdrawn during the run; the results of these recordings have been erased.
            StorageError: as before, but some results could not be erased, or the erasure could not be logged.
            KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP; finished segments and recordings are kept.
        """
        self._progress = progress
        started = time.monotonic()
        self._oversight.begin(self._options.model_hash)
        try:
            with open_workers(self._settings.workers, self._settings.dask) as workers:
                workers.run(self._jobs, self._begin_next)
            self._check_consent()
        finally:
            ending()
            for recording in self._recordings:
                recording.close()
            reports = tuple(recording.report for recording in self._recordings)
            audit_error = self._erasure_error
            try:
                self._oversight.end(sum(report.read_s for report in reports), sum(report.frames for report in reports))
            except MienError as error:
                audit_error = str(error)
        if self._not_erased:
            raise StorageError(f"{self._settings.person} withdrew consent. Not erased: {'; '.join(self._not_erased)}")
        if self._withdrawn and audit_error:
            raise StorageError(f"{self._settings.person} withdrew consent; the results have been erased. {audit_error}")
        if self._withdrawn:
            raise NotPermittedError(f"{self._settings.person} withdrew consent; the results of these recordings have been erased")
        return RunReport(reports, time.monotonic() - started, self._oversight.policy.level.value, audit_error)

    def _begin_next(self) -> bool:
        """Queue the first jobs of the next recording; return False if there is none."""
        if not self._waiting:
            return False
        recording = self._waiting.popleft()
        recording.next_jobs = self._queue_first
        try:
            self._jobs.extend(recording.begin())
        except MienError as error:
            recording.fail(error)
        return True

    def _queue_first(self, jobs: Sequence[Job]) -> None:
        """Queue the next jobs of a recording before those of later recordings."""
        self._jobs.extendleft(reversed(jobs))

    def _add_frames(self, frames: int) -> None:
        """Count processed frames, report progress and check consent."""
        self._done += frames
        if self._progress is not None:
            self._progress(self._done, max(self._done, sum(self._expected.values())))
        self._check_consent()

    def _check_consent(self) -> None:
        """Stop and erase everything if consent was withdrawn; a recording that cannot be erased does not stop the others."""
        if not self._withdrawn and self._oversight.withdrawn():
            self._withdrawn = True
            self._jobs.clear()
            self._waiting.clear()
            erased = []
            for recording in self._recordings:
                try:
                    erased.append(recording.erase())
                except MienError as error:
                    self._not_erased.append(str(error))
            sessions = sum(files > 0 for files in erased)
            if sessions:
                self._erasure_error = self._oversight.erased(sum(erased), sessions)
