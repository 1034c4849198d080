"""How many times faster than they last recordings are analysed.

    python benchmarks/analyze.py ../shared/media --copies 4

Prints one row a way of working and, in the end, one line of JSON. Everything counts: start of
processes, loading of the model, the look through each file, summaries and pages. ``--copies``
analyses every video so many times under other names, for clips that are too short to tell. The
last column is seconds of video in a second of a core's time: on a busy machine it says what an
idle core would do.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path

from mien.recordings.analysis import Analysis
from mien.recordings.settings import AnalyzeSettings, named_films


def copies(films: list[Path], folder: Path, count: int) -> Path:
    """Return a folder with links to every video under ``count`` names."""
    for film, _ in named_films(films, folder):
        for k in range(count):
            (folder / f"{film.stem}-{k}{film.suffix}").symlink_to(film)
    return folder


def cpu_s() -> float:
    """Return the seconds of a core that this process and its ended children have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--copies", type=int, default=1)
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    answer: dict[str, object] = {"model": arguments.model, "load": round(os.getloadavg()[0], 1)}
    print(f"{'workers':>7} {'annotated':>9} {'video':>9} {'took':>8} {'times real time':>16} {'frames/s':>9} {'a core':>7}")
    for workers in arguments.workers:
        for annotate in (False, True):
            with tempfile.TemporaryDirectory() as place:
                (Path(place) / "films").mkdir()
                films = copies(arguments.films, Path(place) / "films", arguments.copies)
                settings = AnalyzeSettings((films,), Path(place) / "out", arguments.model, annotate, workers=workers)
                before_s = cpu_s()
                report = Analysis(settings).run()
                used_s = cpu_s() - before_s
            frames, video_s = sum(film.frames for film in report.films), sum(film.video_s for film in report.films)
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
