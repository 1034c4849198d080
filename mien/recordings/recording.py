"""The steps of analysing one recording: frame times, segments, assembly, annotated video.

Each step returns the jobs of the next one. This module does not depend on how jobs are executed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.errors import DataError, DeviceError, MienError
from mien.files import file_hash
from mien.insight import Insight
from mien.privacy.level import Level
from mien.privacy.oversight import Oversight
from mien.recordings.annotation import AnnotationTask, annotate
from mien.recordings.assembly import assemble
from mien.recordings.frame_times import FrameTimes, frame_times
from mien.recordings.reading import ReadingOptions, SegmentTask, read_segment
from mien.recordings.segments import Segment, split, warm_up_s
from mien.recordings.settings import AnalyzeSettings
from mien.recordings.work_folder import COMPARED, WorkFolder
from mien.recordings.workers import Job
from mien.sessions.begun import check_erasures
from mien.sessions.erasure import erase_folder
from mien.sessions.folder import mark_session
from mien.sessions.layout import ANNOTATED_NAME, check_folder
from mien.sessions.records import SessionRecord
from mien.version import VERSION

_FORMAT: Final = "mien-analysis-1"


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """Result of analysing one recording.

    Attributes:
        path: the recording.
        folder: folder of its results.
        frames: number of frames read; 0 if the analysis failed.
        video_s: duration of these frames in seconds.
        read_s: seconds of the recording that this run read.
        damage: description of the parts that cannot be read, or "".
        error: the error message if the analysis failed, or "".
        storage_failed: whether it failed because results could not be stored.
        before: whether it was already finished before this run.
        annotated: whether this run wrote the annotated copy.
    """

    path: Path
    folder: Path
    frames: int = 0
    video_s: float = 0.0
    read_s: float = 0.0
    damage: str = ""
    error: str = ""
    storage_failed: bool = False
    before: bool = False
    annotated: bool = False


class Recording:
    """One recording of an analysis.

    Args:
        path: absolute path of the file.
        folder: folder of its results.
        settings: the settings of the analysis.
        options: the options shared by all segments.
        oversight: the policy and the participant.
        model: display name of the model.
        add_frames: called with the number of frames that were finished since the last call.

    Attributes:
        report: the result so far.
        work: the folder of the results.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        settings: AnalyzeSettings,
        options: ReadingOptions,
        oversight: Oversight,
        model: str,
        add_frames: Callable[[int], None],
    ) -> None:
        self._path, self._settings, self._options, self._oversight, self._model = path, settings, options, oversight, model
        self._add_frames = add_frames
        self.work = WorkFolder(folder)
        self.report = RecordingReport(path, folder)
        self._lock = ExitStack()
        self._hash = ""
        self._missing: set[int] = set()
        self._erased = False

    def check(self) -> None:
        """Check an existing analysis in the folder, so that a conflict is reported before the run.

        Raises:
            UsageError: it was made from another file or with other options, or for another participant.
        """
        check_folder(self.work.folder, self._oversight.person)
        check_erasures(self.work.folder, self._oversight.state)
        if not self._settings.again and (self.work.finished or self.work.begun):
            self.work.check(self._made_with())

    def begin(self) -> list[Job]:
        """Return the first jobs; none if nothing is left to do.

        Raises:
            MienError: the file or the folder cannot be used.
        """
        self._made_with()
        self._lock.enter_context(self.work.taken())
        self.check()  # another program may have finished an analysis here since the last check
        finished = None if self._settings.again else self.work.finished
        if finished is not None:
            self.report = replace(
                self.report, frames=finished["frames"], video_s=finished["video_s"], damage=finished["damage"], before=True
            )
            self._add_frames(self.report.frames)
            return [] if self._erased else self._annotation_jobs(finished)
        start = datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        document = {"format": _FORMAT, COMPARED: self._made_with(), "started_at": start.isoformat(timespec="milliseconds")}
        self.work.begin(document, self._settings.again)
        mark_session(self.work.folder, self._oversight.policy, self._oversight.person, self._oversight.notice.version)
        times = self.work.times
        if times is not None:
            return self._segment_jobs(times)
        return [Job(frame_times, (self._path,), self._store_times, self.fail)]

    def fail(self, error: MienError) -> None:
        """Stop analysing the recording because of an error; finished segments are kept.

        Nothing remains of a file that cannot be read at all.
        """
        if not self.report.error:
            storage_failed = isinstance(error, DeviceError)
            self.report = replace(self.report, error=str(error), storage_failed=storage_failed, frames=0, video_s=0.0)
            if isinstance(error, DataError):
                self.work.discard_unless_read()
        self.close()

    def close(self) -> None:
        """Release the lock on the folder."""
        self._lock.close()

    def erase(self) -> int:
        """Erase all results of the recording, write none from now on, and return the number of files erased."""
        self._erased = True
        self.close()
        return erase_folder(self.work.folder)[0]

    next_jobs: Callable[[Sequence[Job]], None]
    """Called with the jobs that follow from a result; set by the caller."""

    def _store_times(self, times: FrameTimes) -> None:
        self.work.keep_times(times)
        self.next_jobs(self._segment_jobs(times))

    def _segment_jobs(self, times: FrameTimes) -> list[Job]:
        """Return a job for each segment that is not finished."""
        segments = split(times, self._settings.segment_s, warm_up_s(self._settings.smoothing_s))
        missing = [segment for segment in segments if not self.work.has(segment.number)]
        self._missing = {segment.number for segment in missing}
        self._add_frames(sum(segment.frames for segment in segments) - sum(segment.frames for segment in missing))
        if self._erased:
            return []
        if not missing:
            return self._assemble(segments, times)

        def store(segment: Segment) -> Callable[[str], None]:
            def keep(text: str) -> None:
                if not self._goes_on():
                    return
                self.work.keep(segment.number, text)
                self._missing.discard(segment.number)
                self._add_frames(segment.frames)  # the caller may erase the recording
                if self._erased:
                    return
                seconds = float(segment.interval_s[segment.first - segment.warm :].sum())
                self.report = replace(self.report, read_s=self.report.read_s + seconds)
                if not self._missing:
                    self.next_jobs(self._assemble(segments, times))

            return keep

        tasks = [(segment, SegmentTask(str(self._path), self._hash, segment, self._options)) for segment in missing]
        return [Job(read_segment, (task,), store(segment), self.fail, self._goes_on) for segment, task in tasks]

    def _assemble(self, segments: Sequence[Segment], times: FrameTimes) -> list[Job]:
        begun = self.work.begun or {}
        start = datetime.fromisoformat(begun["started_at"])
        policy = self._oversight.policy
        record = SessionRecord(
            f"{start:%Y-%m-%d_%H-%M-%S}-{self._hash[:4]}",
            start,
            source=self._path.name,
            model=self._model,
            detector=self._options.detector,
            version=VERSION,
            folder=str(self.work.folder),
            policy=policy.level.value,
            rule=policy.rule.name,
            person=self._oversight.person,
        )
        insight = Insight(self._settings.rules, self._settings.states, policy, None)
        assemble(self.work, segments, times, record, self._oversight, self._hash, insight)
        frames, video_s = len(times.t_s), round(times.seconds, 3)
        finished = {**begun, "frames": frames, "video_s": video_s, "damage": times.damage, "annotated": ""}
        self.work.finish(finished)
        self.report = replace(self.report, frames=frames, video_s=video_s, damage=times.damage)
        return self._annotation_jobs(finished)

    def _annotation_jobs(self, finished: dict[str, Any]) -> list[Job]:
        """Return the job that writes the annotated video, if it was requested and does not exist yet."""
        kind = "blurred" if self._settings.blur_faces else "plain"
        is_there = finished.get("annotated") == kind and (self.work.folder / ANNOTATED_NAME).is_file()
        if not self._settings.annotate or is_there:
            self._release()
            return []

        def drawn(_: int) -> None:
            self.work.finish({**finished, "annotated": kind})
            self.report = replace(self.report, annotated=True)
            self._release()

        full = self._oversight.policy.level is Level.FULL
        task = AnnotationTask(str(self._path), str(self.work.folder.resolve()), full, kind == "blurred")
        return [Job(annotate, (task,), drawn, self.fail)]

    def _goes_on(self) -> bool:
        return not self.report.error and not self._erased

    def _release(self) -> None:
        self.close()
        self.work.clear_segments()

    def _made_with(self) -> dict[str, Any]:
        """Return everything that the results depend on, by the names shown in error messages."""
        self._hash = self._hash or file_hash(self._path)
        return {
            "file": self._path.name,
            "content": self._hash,
            "model": self._options.model_hash,
            "detector": self._options.detector,
            "smoothing": self._settings.smoothing_s,
            "segment": self._settings.segment_s,
            "states": "experimental" if self._settings.states else "off",
            "rules": file_hash(self._settings.rules)[:12] if self._settings.rules else "those of Mien",
            "policy": self._oversight.policy.level.value,
            "rule": self._oversight.policy.rule.name,
            "person": self._oversight.person,
            "version": VERSION,
        }
