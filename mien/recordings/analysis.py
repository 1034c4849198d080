"""A run over recordings: which there are, who reads them, and what became of each."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mien.errors import MienError, NotPermittedError
from mien.files import file_hash
from mien.insight import Insight
from mien.privacy.oversight import Oversight
from mien.privacy.permit import permit_expressions
from mien.recordings.film import Film, FilmReport
from mien.recordings.film_times import estimated_frames
from mien.recordings.reading import HowToRead
from mien.recordings.settings import AnalyzeSettings, named_films
from mien.recordings.workers import Job, open_workers
from mien.store.place import SESSIONS
from mien.vision.bundles import bundle_path
from mien.vision.detector import HaarDetector, open_detector
from mien.vision.predictor import Predictor


@dataclass(frozen=True, slots=True)
class RunReport:
    """What became of a run.

    Attributes:
        films: of each recording, in the order given.
        wall_s: how long it took.
        policy: what was read, "full" or "observables".
    """

    films: tuple[FilmReport, ...]
    wall_s: float
    policy: str

    @property
    def times_real_time(self) -> float:
        """Seconds of recordings read by this run in a second of it."""
        return sum(film.read_s for film in self.films) / max(1e-9, self.wall_s)

    @property
    def failed(self) -> tuple[FilmReport, ...]:
        """The recordings that could not be read, or not wholly."""
        return tuple(film for film in self.films if film.error or film.damage)


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
        MienError: a file, the model or the detector is not to be had.
    """

    def __init__(self, settings: AnalyzeSettings) -> None:
        self._settings = settings
        self._oversight = Oversight(settings.deployment, SESSIONS, settings.person)
        if not self._oversight.keeps:
            raise NotPermittedError(f"{settings.person} has not agreed to being kept, and an analysis is nothing else")
        permit = permit_expressions(self._oversight.policy)
        bundle = bundle_path(settings.model)
        model = "no model" if permit is None else Predictor(bundle).card.name
        detector = open_detector()
        insight = Insight(settings.rules, settings.states, self._oversight.policy, None)  # wrong rules are told now
        self.notices = [*self._oversight.sentences, *insight.notices]
        if isinstance(detector, HaarDetector):
            self.notices.append("Using the slower Haar face detector; for YuNet (233 kB, fetched once) run: mien fetch")
        how = HowToRead(
            settings.model if str(bundle) != settings.model else str(bundle.resolve()),
            file_hash(bundle),
            detector.name,
            settings.smoothing_s,
            self._oversight.policy.deployment,
        )
        self._how = how
        named = named_films(settings.films, settings.out)
        self._films = [Film(p, folder, settings, how, self._oversight, model, self._add) for p, folder in named]
        for film in self._films:
            film.check()
        self._expected = {film.report.path: estimated_frames(film.report.path) for film in self._films}
        self._done = 0
        self._progress: Callable[[int, int], None] | None = None
        self._jobs: deque[Job] = deque()
        self._waiting = deque(self._films)
        self._withdrawn = False

    def run(self, progress: Callable[[int, int], None] | None = None) -> RunReport:
        """Analyse all recordings and return what became of each; one that cannot be read does not stop the others.

        Args:
            progress: called with (frames done, frames in all, about).

        Raises:
            DeviceError: the cluster cannot be reached, or went away.
            NotPermittedError: consent was taken back meanwhile; what was made of these recordings is erased.
            KeyboardInterrupt: on Ctrl-C; what was finished stays.
        """
        self._progress = progress
        began = time.monotonic()
        self._oversight.begin(self._how.model_hash)
        try:
            with open_workers(self._settings.workers, self._settings.dask) as workers:
                workers.run(self._jobs, self._begin_next)
        finally:
            for film in self._films:
                film.close()
            reports = tuple(film.report for film in self._films)
            self._oversight.end(sum(report.read_s for report in reports), sum(report.frames for report in reports))
        if self._withdrawn:
            raise NotPermittedError(
                f"{self._settings.person} took their consent back: what was made of these recordings is erased"
            )
        return RunReport(reports, time.monotonic() - began, self._oversight.policy.level.value)

    def _begin_next(self) -> bool:
        """Queue the tasks of the next recording; return False where there is none."""
        if not self._waiting:
            return False
        film = self._waiting.popleft()
        film.next_jobs = self._go_on
        try:
            self._jobs.extend(film.begin())
        except MienError as error:
            film.fail(error)
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
            self._oversight.erased(sum(film.erase() for film in self._films))
