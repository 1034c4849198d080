"""Running `mien analyze` on recordings and looking at what it wrote, for tests."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from mien.recordings.analysis import Analysis, RunReport
from mien.recordings.settings import AnalyzeSettings

RESULTS = ("observations.csv", "observations.parquet", "summary.json", "summary.html", "summary.png", "privacy.json")


def analysed(out: Path, *recordings: Path, **more: Any) -> RunReport:
    return Analysis(AnalyzeSettings(recordings, out, **more)).run()


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS if (folder / name).is_file()}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "observations.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def stop_after(frames: int) -> Any:
    def stop(done: int, total: int) -> None:
        if done >= frames:
            raise KeyboardInterrupt

    return stop
