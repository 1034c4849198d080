"""One recording on its way: looked through, read segment by segment, put together, drawn.

Each step says which tasks come next; nothing here knows who carries them out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mien.errors import MienError, StorageError
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
from mien.sessions.erasure import erase_folder
from mien.sessions.folder import mark_session
from mien.sessions.layout import ANNOTATED_NAME
from mien.sessions.records import SessionRecord
from mien.version import VERSION

_FORMAT: Final = "mien-analysis-1"


@dataclass(frozen=True, slots=True)
class RecordingReport:
    """Result of a recording.

    Attributes:
        path: the recording.
        folder: its results.
        frames: frames that were read; 0 where it failed.
        video_s: how long they last.
        read_s: how much of that was read by this run, in seconds of the recording.
        damage: what of the file cannot be read, "" where it is whole.
        error: why nothing came of it, or "".
        unkept: whether that was because it could not be kept: a full disk, a folder that was removed.
        before: whether it was finished before.
    """

    path: Path
    folder: Path
    frames: int = 0
    video_s: float = 0.0
    read_s: float = 0.0
    damage: str = ""
    error: str = ""
    unkept: bool = False
    before: bool = False


class Recording:
    """One recording of a run.

    Args:
        path: the file, absolute.
        folder: where its results go.
        settings: how it is analysed.
        how: what is the same for all segments.
        oversight: under what.
        model: name of the model, for people.
        read: called with a number of frames whenever they are done.

    Attributes:
        report: the result of it so far.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        settings: AnalyzeSettings,
        how: ReadingOptions,
        oversight: Oversight,
        model: str,
        read: Callable[[int], None],
    ) -> None:
        self._path, self._settings, self._how, self._oversight, self._model = path, settings, how, oversight, model
        self._read = read
        self.work = WorkFolder(folder)
        self.report = RecordingReport(path, folder)
        self._held = ExitStack()
        self._hash = ""
        self._missing: set[int] = set()

    def check(self) -> None:
        """Refuse at once what would be refused later.

        Raises:
            UsageError: what is there was made otherwise.
        """
        if not self._settings.again and (self.work.finished or self.work.begun):
            self.work.check(self._made_with())

    def begin(self) -> list[Job]:
        """Return the first tasks; none where all is there.

        Raises:
            MienError: the file or the folder cannot be used.
        """
        finished = None if self._settings.again else self.work.finished
        self._made_with()
        self._held.enter_context(self.work.taken())
        if finished is not None:
            self.report = replace(
                self.report, frames=finished["frames"], video_s=finished["video_s"], damage=finished["damage"], before=True
            )
            self._read(self.report.frames)
            return self._drawing(finished)
        start = datetime.fromtimestamp(self._path.stat().st_mtime, UTC)
        document = {"format": _FORMAT, COMPARED: self._made_with(), "started_at": start.isoformat(timespec="milliseconds")}
        self.work.begin(document, self._settings.again)
        mark_session(self.work.folder, self._oversight.policy, self._oversight.person, self._oversight.notice.version)
        times = self.work.times
        if times is not None:
            return self._reading(times)
        return [Job(frame_times, (self._path,), self._looked_through, self.fail)]

    def fail(self, error: MienError) -> None:
        """Give the recording up; what was finished stays."""
        if not self.report.error:
            unkept = isinstance(error, StorageError)
            self.report = replace(self.report, error=str(error), unkept=unkept, frames=0, video_s=0.0)
        self.close()

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def erase(self) -> int:
        """Erase all that was made of the recording, and return how many files that were."""
        self.close()
        return erase_folder(self.work.folder)[0]

    next_jobs: Callable[[Sequence[Job]], None]
    """Takes the tasks that follow from an answer; set by who runs them."""

    def _looked_through(self, times: FrameTimes) -> None:
        self.work.keep_times(times)
        self.next_jobs(self._reading(times))

    def _reading(self, times: FrameTimes) -> list[Job]:
        """Return a task for each segment that is not there yet."""
        segments = split(times, self._settings.segment_s, warm_up_s(self._settings.smoothing_s))
        missing = [segment for segment in segments if not self.work.has(segment.number)]
        self._missing = {segment.number for segment in missing}
        self._read(sum(segment.frames for segment in segments) - sum(segment.frames for segment in missing))
        if not missing:
            return self._assembled(segments, times)

        def keeps(segment: Segment) -> Callable[[str], None]:
            def keep(text: str) -> None:
                if self.report.error:
                    return
                self.work.keep(segment.number, text)
                self._missing.discard(segment.number)
                self._read(segment.frames)
                seconds = float(segment.interval_s[segment.first - segment.warm :].sum())
                self.report = replace(self.report, read_s=self.report.read_s + seconds)
                if not self._missing:
                    self.next_jobs(self._assembled(segments, times))

            return keep

        tasks = [(segment, SegmentTask(str(self._path), self._hash, segment, self._how)) for segment in missing]
        return [Job(read_segment, (task,), keeps(segment), self.fail, self._goes_on) for segment, task in tasks]

    def _assembled(self, segments: Sequence[Segment], times: FrameTimes) -> list[Job]:
        begun = self.work.begun or {}
        start = datetime.fromisoformat(begun["started_at"])
        policy = self._oversight.policy
        record = SessionRecord(
            f"{start:%Y-%m-%d_%H-%M-%S}-{self._hash[:4]}",
            start,
            source=self._path.name,
            model=self._model,
            detector=self._how.detector,
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
        return self._drawing(finished)

    def _drawing(self, finished: dict[str, Any]) -> list[Job]:
        """Return the task that draws the video, where it was asked for and is not there yet."""
        kind = "blurred" if self._settings.blur_faces else "plain"
        is_there = finished.get("annotated") == kind and (self.work.folder / ANNOTATED_NAME).is_file()
        if not self._settings.annotate or is_there:
            self._over()
            return []

        def drawn(_: int) -> None:
            self.work.finish({**finished, "annotated": kind})
            self._over()

        full = self._oversight.policy.level is Level.FULL
        task = AnnotationTask(str(self._path), str(self.work.folder.resolve()), full, kind == "blurred")
        return [Job(annotate, (task,), drawn, self.fail)]

    def _goes_on(self) -> bool:
        return not self.report.error

    def _over(self) -> None:
        self.close()
        self.work.clear_segments()

    def _made_with(self) -> dict[str, Any]:
        """Return all that the rows depend on, by the names that people know."""
        self._hash = self._hash or file_hash(self._path)
        return {
            "file": self._path.name,
            "content": self._hash,
            "model": self._how.model_hash,
            "detector": self._how.detector,
            "smoothing": self._settings.smoothing_s,
            "segment": self._settings.segment_s,
            "states": "experimental" if self._settings.states else "off",
            "rules": file_hash(self._settings.rules)[:12] if self._settings.rules else "those of Mien",
            "policy": self._oversight.policy.level.value,
            "rule": self._oversight.policy.rule.name,
            "person": self._oversight.person,
            "version": VERSION,
        }
