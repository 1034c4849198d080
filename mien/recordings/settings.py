"""Settings of an analysis of recordings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Final

from mien.errors import DataError, UsageError
from mien.files import is_unicode
from mien.privacy.chain import STATE_NAME
from mien.recordings.segments import SEGMENT_S
from mien.sessions.layout import ANALYSES

ENDINGS: Final = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv", ".3gp"}
)
"""File name endings that count as videos in a folder. Files named explicitly are always tried."""
_MAX_WORKERS: Final = 256


@dataclass(frozen=True, slots=True)
class AnalyzeSettings:
    """Settings of an analysis of recordings.

    Attributes:
        recordings: files, or folders of files.
        out: parent folder of the results; each recording gets a folder named after it.
        model: name of a packaged bundle, or path of a bundle.
        annotate: whether to write an annotated copy of each recording.
        blur_faces: whether to blur faces in the annotated copy.
        workers: number of processes on this computer, 1 to 256.
        dask: address of a Dask scheduler to use instead; "" for none.
        smoothing_s: time constant of the smoothing in seconds, 0 to 60; 0 disables it.
        deployment: file of the deployment declaration; None for the one that applies here (``policy_here``).
        person: participant ID in the consent ledger; "" if no participant is named.
        again: whether to overwrite existing analyses.
        states: whether to evaluate rules about learning states (experimental); otherwise only observable signs.
        rules: a rules file; None for the default rules.
        segment_s: length of a segment in seconds, 0.1 to 3600; an interrupted analysis resumes after the last one finished.

    Raises:
        UsageError: a value is out of range.
    """

    recordings: tuple[Path, ...]
    out: Path = ANALYSES
    _: KW_ONLY
    model: str = "mien-s"
    annotate: bool = False
    blur_faces: bool = False
    workers: int = 1
    dask: str = ""
    smoothing_s: float = 0.4
    deployment: Path | None = None
    person: str = ""
    again: bool = False
    states: bool = False
    rules: Path | None = None
    segment_s: float = SEGMENT_S

    def __post_init__(self) -> None:
        if not self.recordings:
            raise UsageError("no recording given; pass at least one file or folder")
        if not 1 <= self.workers <= _MAX_WORKERS:
            raise UsageError(f"--workers is {self.workers}; it must be 1 to {_MAX_WORKERS}")
        if not 0 <= self.smoothing_s <= 60:
            raise UsageError(f"--smoothing-s is {self.smoothing_s:g}; it must be 0 to 60 s")
        if not 0.1 <= self.segment_s <= 3600:
            raise UsageError(f"segment is {self.segment_s:g} s; it must be 0.1 to 3600 s")
        if self.blur_faces and not self.annotate:
            raise UsageError("--blur-faces blurs the annotated video, so it needs --annotate")
        if self.dask and "://" not in self.dask:
            raise UsageError(f"--dask is {self.dask!r}; it must be the address of a scheduler, such as tcp://127.0.0.1:8786")
        if not is_unicode(str(self.out)):
            raise UsageError(f"--out is {str(self.out)!r}; it must be valid UTF-8")
        if self.out.exists() and not self.out.is_dir():
            raise UsageError(f"--out {self.out} is a file; choose a folder")


def named_recordings(paths: Sequence[Path], out: Path) -> list[tuple[Path, Path]]:
    """Return each recording and the folder of its results, in the order given; files of a folder are sorted by name.

    Raises:
        DataError: a path does not exist, or a folder contains no video.
        UsageError: a path is a URL, or two recordings would be written to the same folder.
    """
    recordings: list[Path] = []
    for path in paths:
        try:
            recordings += _videos(path)
        except OSError as error:
            raise DataError(f"cannot open {str(path)[:200]!r} ({error.strerror}). Check the path and its permissions") from error
    found: dict[str, tuple[Path, Path]] = {}
    for recording in dict.fromkeys(path.absolute() for path in recordings):
        folder = out / _folder_name(recording)
        same = unicodedata.normalize("NFC", folder.name).casefold()  # one folder on disks of macOS and Windows
        if same in found:
            raise UsageError(f"{found[same][0]} and {recording} would both be written to {folder}. Give each its own --out")
        found[same] = recording, folder
    return list(found.values())


def _videos(path: Path) -> list[Path]:
    """Return a recording, or the videos directly in a folder, sorted by name."""
    if path.is_dir():
        inside = sorted(p for p in path.iterdir() if p.suffix.lower() in ENDINGS and p.is_file())
        if not inside:
            raise DataError(f"no videos in the folder {path} (looked for {', '.join(sorted(ENDINGS))})")
        return inside
    if path.is_file():
        return [path]
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise UsageError("mien analyze reads files and folders, not URLs. For a stream use: mien live --source URL")
    raise DataError(f"no file or folder called {path}")


def skipped_notices(paths: Sequence[Path]) -> list[str]:
    """Return a notice for each folder with files or folders that are not read."""
    notices = []
    for path in (path for path in paths if path.is_dir()):
        others = [p for p in path.iterdir() if not p.name.startswith(".") and not (p.is_file() and p.suffix.lower() in ENDINGS)]
        folders = sum(p.is_dir() for p in others)
        counts = [(len(others) - folders, "file"), (folders, "folder")]
        parts = [f"{count} {noun}{'s' if count > 1 else ''}" for count, noun in counts if count]
        if parts:
            notices.append(f"skipped in {path}: {' and '.join(parts)} (only videos directly in a folder are read)")
    return notices


def _folder_name(recording: Path) -> str:
    r"""Return the name of a recording's folder: the file name without its ending, with non-UTF-8 bytes percent-encoded.

    A name that cannot be a session's folder, such as "..", gets a prefix.

    >>> _folder_name(Path("lessons/caf\udce9.mp4")), _folder_name(Path("...mp4"))
    ('caf%E9', 'recording-..')
    """
    name = re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) - 0xDC00:02X}", recording.stem)
    return name if name.strip(".") and name.casefold() != STATE_NAME else f"recording-{name}"
