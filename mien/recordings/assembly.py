"""Assembles finished segments into the folder of a session.

This is done in one pass and in order, so the files do not depend on the number of workers or on interruptions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from random import Random
from typing import Any

from mien.errors import StorageError
from mien.insight import Insight
from mien.privacy.oversight import Oversight
from mien.privacy.release import release
from mien.recordings.frame_times import FrameTimes
from mien.recordings.segment_rows import read_segment_text
from mien.recordings.segments import Segment
from mien.recordings.stitching import Stitcher
from mien.recordings.work_folder import WorkFolder
from mien.records import SourceHealth
from mien.sessions.document import health_counts, summary_document
from mien.sessions.folder import SessionFolder, mark_session
from mien.sessions.recorder import SessionRecorder
from mien.sessions.records import KeptSession, SessionRecord
from mien.summaries.views import write_views
from mien.vision.pose import FacingFilter


def assemble(
    work: WorkFolder,
    segments: Sequence[Segment],
    times: FrameTimes,
    record: SessionRecord,
    oversight: Oversight,
    recording_hash: str,
    insight: Insight,
) -> dict[str, Any]:
    """Write the folder of a session from finished segments, and return its summary.

    Args:
        work: the folder of the segments and of the results.
        segments: all segments of the recording.
        times: the times of the recording's frames.
        record: the session at its start.
        oversight: the policy and the participant.
        recording_hash: SHA-256 of the recording; seeds the track names.
        insight: a new instance; analyses the results.

    Raises:
        DataError: a segment is broken.
        StorageError: a file cannot be written.
    """
    policy = oversight.policy
    work.clear_results()
    recorder = SessionRecorder(record, lambda: [SessionFolder(work.folder, KeptSession(record), write_views)])
    recorder.open()  # also for a recording without frames
    try:
        mark_session(work.folder, policy, oversight.person, oversight.notice.version)
        stitcher = Stitcher(Random(hashlib.sha256(f"{recording_hash}:names".encode()).digest()))  # noqa: S311  reproducible names
        facing = FacingFilter()
        for segment in segments:
            results = read_segment_text(work.text(segment.number), f"segment {segment.number} in {work.folder}")
            for result in map(facing.update, stitcher.segment(results, segment.first)):
                released = release(policy, result)
                recorder.update(released, result.index + 1)
                for event in insight.update(result, released):
                    recorder.add(event)
    except BaseException:
        recorder.abandon()
        raise
    health = SourceHealth(repaired_times=times.repaired, unreadable=times.lost)
    facts = {"source_health": health_counts(health), "damage": times.damage, **insight.facts()}
    kept = recorder.finish("ended", facts)
    if recorder.failures:
        raise StorageError(recorder.failures[0].reason)
    return summary_document(kept, str(work.folder))
