"""Throughput of ``mien analyze`` as a multiple of real time.

    python benchmarks/analyze.py ../shared/media --copies 4

Prints one row per configuration and one line of JSON at the end. The time includes starting
processes, loading the model, the timing pass over each file, summaries and pages. ``--copies``
analyses each video several times under other names, because short clips give imprecise times. The
last column is seconds of video per second of CPU time, which does not depend on the load of the
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings, named_recordings


def copies(recordings: list[Path], folder: Path, count: int) -> Path:
    """Return a folder with ``count`` links to every video."""
    for recording, _ in named_recordings(recordings, folder):
        for k in range(count):
            (folder / f"{recording.stem}-{k}{recording.suffix}").symlink_to(recording)
    return folder


def cpu_s() -> float:
    """Return the CPU seconds of this process and its finished children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    answer: dict[str, object] = {"model": arguments.model, "load": round(os.getloadavg()[0], 1)}
    print(f"{'workers':>7} {'annotated':>9} {'video':>9} {'took':>8} {'times real time':>16} {'frames/s':>9} {'a core':>7}")
    for workers in arguments.workers:
        for annotate in (False, True):
            with tempfile.TemporaryDirectory() as place:
                (Path(place) / "recordings").mkdir()
                recordings = copies(arguments.recordings, Path(place) / "recordings", arguments.copies)
                settings = AnalyzeSettings(
                    (recordings,), Path(place) / "out", model=arguments.model, annotate=annotate, workers=workers
                )
                before_s = cpu_s()
                report = Analysis(settings).run()
                used_s = cpu_s() - before_s
            frames, video_s = (
                sum(each.frames for each in report.recordings),
                sum(each.video_s for each in report.recordings),
            )
            print(
                f"{workers:>7} {'yes' if annotate else 'no':>9} {video_s:>7.1f} s {report.wall_s:>6.1f} s "
                f"{report.times_real_time:>16.2f} {frames / report.wall_s:>9.1f} {video_s / used_s:>7.2f}"
            )
            way = f"workers_{workers}{'_annotated' if annotate else ''}"
            answer[way] = {"times_real_time": round(report.times_real_time, 2), "a_core": round(video_s / used_s, 2)}
    answer |= {"video_s": round(video_s, 1), "frames": frames}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
