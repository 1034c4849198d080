"""A run over recordings: which there are, who reads them, and the result of each."""

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
from mien.recordings.settings import AnalyzeSettings, named_recordings
from mien.recordings.workers import Job, open_workers
from mien.sessions.layout import SESSIONS
from mien.stops import ending
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import detector_notice, open_detector
from mien.vision.predictor import Predictor


@dataclass(frozen=True, slots=True)
class RunReport:
    """Result of a run.

    Attributes:
        recordings: of each recording, in the order given.
        wall_s: how long it took.
        policy: what was read, "full" or "observables".
        unlogged: why the end of the run is not in the audit log, "" where it is, or where there is none.
    """

    recordings: tuple[RecordingReport, ...]
    wall_s: float
    policy: str
    unlogged: str = ""

    @property
    def times_real_time(self) -> float:
        """Seconds of recordings read by this run in a second of it."""
        return sum(recording.read_s for recording in self.recordings) / max(1e-9, self.wall_s)

    @property
    def failed(self) -> tuple[RecordingReport, ...]:
        """The recordings that could not be read, or not wholly."""
        return tuple(recording for recording in self.recordings if recording.error or recording.damage)

    @property
    def missing(self) -> tuple[str, ...]:
        """What was to be kept and is not, because the disk refused."""
        return tuple(recording.error for recording in self.recordings if recording.unkept) + (
            (self.unlogged,) if self.unlogged else ()
        )


class Analysis:
    """One run.

    Args:
        settings: which recordings, and how.

    Attributes:
        notices: sentences the user should read before the run.

    Raises:
        NotPermittedError: the declared deployment does not permit it.
        RulesError: the rules are wrong.
        UsageError: two recordings have one name, or what is there was made with other options.
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
        insight = Insight(settings.rules, settings.states, self._oversight.policy, None)  # wrong rules are told now
        said = (*self._oversight.sentences, *insight.notices, detector_notice(detector.name))
        self.notices = [sentence for sentence in said if sentence]
        how = ReadingOptions(
            model=settings.model if str(bundle) != settings.model else str(bundle.resolve()),
            model_hash=file_hash(bundle),
            detector=detector.name,
            smoothing_s=settings.smoothing_s,
            deployment=self._oversight.policy.deployment,
        )
        self._how = how
        named = named_recordings(settings.recordings, settings.out)
        self._recordings = [Recording(p, folder, settings, how, self._oversight, model, self._add) for p, folder in named]
        for recording in self._recordings:
            recording.check()
        self._expected = {recording.report.path: estimated_frame_count(recording.report.path) for recording in self._recordings}
        self._done = 0
        self._progress: Callable[[int, int], None] | None = None
        self._jobs: deque[Job] = deque()
        self._waiting = deque(self._recordings)
        self._withdrawn = False

    def run(self, progress: Callable[[int, int], None] | None = None) -> RunReport:
        """Analyse all recordings and return the result of each; one that cannot be read does not stop the others.

        Args:
            progress: called with (frames done, frames in all, about).

        Raises:
            DeviceError: the cluster cannot be reached, or went away.
            NotPermittedError: consent was taken back meanwhile; what was made of these recordings is erased.
            KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP; what was finished stays.
        """
        self._progress = progress
        began, unlogged = time.monotonic(), ""
        self._oversight.begin(self._how.model_hash)
        try:
            with open_workers(self._settings.workers, self._settings.dask) as workers:
                workers.run(self._jobs, self._begin_next)
        finally:
            ending()
            for recording in self._recordings:
                recording.close()
            reports = tuple(recording.report for recording in self._recordings)
            try:
                self._oversight.end(sum(report.read_s for report in reports), sum(report.frames for report in reports))
            except StorageError as error:
                unlogged = str(error)
        if self._withdrawn:
            raise NotPermittedError(f"{self._settings.person} withdrew consent; the results of these recordings have been erased")
        return RunReport(reports, time.monotonic() - began, self._oversight.policy.level.value, unlogged)

    def _begin_next(self) -> bool:
        """Queue the tasks of the next recording; return False where there is none."""
        if not self._waiting:
            return False
        recording = self._waiting.popleft()
        recording.next_jobs = self._go_on
        try:
            self._jobs.extend(recording.begin())
        except MienError as error:
            recording.fail(error)
        return True

    def _go_on(self, jobs: Sequence[Job]) -> None:
        """Queue what follows from an answer before what belongs to later recordings."""
        self._jobs.extendleft(reversed(jobs))

    def _add(self, frames: int) -> None:
        """Count frames that are done, and see whether going on is still wanted."""
        self._done += frames
        if self._progress is not None:
            self._progress(self._done, max(self._done, sum(self._expected.values())))
        if not self._withdrawn and self._oversight.withdrawn():
            self._withdrawn = True
            self._jobs.clear()
            self._waiting.clear()
            self._oversight.erased(sum(recording.erase() for recording in self._recordings))
