"""Shared fixtures: small generated data sets, and the real data and clips if available."""

from __future__ import annotations

import functools
import gc
import os
import shutil
import signal
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import cv2
import pytest
from datasets import pattern
from hypothesis import HealthCheck, settings
from postgres import PostgresServer, running_postgres

from mien.cli import main
from mien.data.dataset import FaceDataset
from mien.emotions import EMOTIONS
from mien.privacy.deployment import Deployment, deployment_text
from mien.stops import SIGNALS
from mien.vision.runtime import optimised_model

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"
MienHere = Callable[..., tuple[int, str, str]]
"""What the fixture ``mien_here`` gives: a function of a command's arguments."""

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")  # how long an example takes says nothing on a busy machine

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: Ctrl-C has to reach what the tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)


_LONG: Final = ("test_retraining", "test_stops", "test_workflow")
"""Files that take minutes and are late in the alphabet."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long files first: a worker takes whole files, and would be left with one of these when all others are done."""
    items.sort(key=lambda item: item.path.stem not in _LONG)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Exempt the imported modules and collected tests from garbage collection, which would visit them again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and clips; without it a test is skipped, or fails where it is required."""
    if not SHARED.is_dir():
        if os.environ.get("MIEN_REQUIRE_SHARED"):
            pytest.fail(f"MIEN_REQUIRE_SHARED is set and there is no {SHARED}")
        pytest.skip(f"the real data and clips are not at {SHARED}")
    return SHARED


@pytest.fixture
def yunet(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real YuNet file, where the program looks for it."""
    monkeypatch.setenv("MIEN_MODELS", str(shared / "models"))
    return shared / "models" / "face_detection_yunet_2023mar.onnx"


@pytest.fixture(scope="session")
def fer2013(shared: Path) -> FaceDataset:
    """All of FER2013."""
    from mien.data.reader import read_dataset

    return read_dataset(shared / "data" / "fer2013.zip").dataset


@pytest.fixture(scope="session")
def part_of_fer2013(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of every fourth image of PublicTest and every fortieth of the other splits."""
    path = tmp_path_factory.mktemp("part") / "part.zip"
    with zipfile.ZipFile(shared / "data" / "fer2013.zip") as whole, zipfile.ZipFile(path, "w") as part:
        for split, step in (("Training", 40), ("PublicTest", 4), ("PrivateTest", 40)):
            for name in sorted(name for name in whole.namelist() if split in name)[::step]:
                part.writestr(name, whole.read(name))
    return path


@pytest.fixture(scope="session")
def votes_file(shared: Path) -> Path:
    """What ten people saw in each image of FER2013."""
    return shared / "data" / "ferplus_votes.csv"


@pytest.fixture
def fer_folder(tmp_path: Path) -> Path:
    """A folder in Kaggle's layout: 3 images a class in Training, 2 in PublicTest, 1 in PrivateTest."""
    root = tmp_path / "fer2013"
    for label, name in enumerate(EMOTIONS):
        plan = [("train", "Training", 3), ("test", "PublicTest", 2), ("test", "PrivateTest", 1)]
        for number, (folder, prefix, count) in enumerate(plan):
            place = root / folder / name
            place.mkdir(parents=True, exist_ok=True)
            for k in range(count):
                cv2.imwrite(str(place / f"{prefix}_{k}.png"), pattern(label, 100 * number + k))
    return root


@pytest.fixture
def fer_zip(fer_folder: Path) -> Path:
    """The same as a zip."""
    target = fer_folder.parent / "fer2013.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(fer_folder.rglob("*.png")):
            archive.write(path, path.relative_to(fer_folder).as_posix())
    return target


@pytest.fixture(scope="session", autouse=True)
def optimised_once() -> Iterator[None]:
    """Optimise each network of the pages once; a hundred servers are started in these processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mien.web.networks.optimised_model", functools.cache(optimised_model))
        yield


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of this machine can read; pytest's temporary folders are private."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def clips(shared: Path) -> Path:
    return shared / "media"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new working folder. Results contain the folder's name, so runs that are compared must use the same name."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def mien_here(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> MienHere:
    """Runs the command line in this process, in a new working folder; returns exit code, output and error output."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mien", *arguments])
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        try:
            with pytest.raises(SystemExit) as ended:  # another exception would be a traceback
                main()
        finally:
            for number, handler in handlers.items():  # a command that was stopped ignores signals until its process ends
                signal.signal(number, handler)
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.fixture
def place(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Makes another working folder and goes there."""

    def go(name: str) -> Path:
        (here / name).mkdir()
        monkeypatch.chdir(here / name)
        return Path("out")

    return go


@pytest.fixture
def school(here: Path) -> Path:
    """A declaration under which no expression may be read."""
    path = here / "deployment.toml"
    declared = Deployment(
        "education-institution",
        "EU",
        "feedback-to-the-learner",
        operator="a school",
        contact="office@example.org",
        legal_basis="public-task",
    )
    path.write_text(deployment_text(declared))
    return path


@pytest.fixture(autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use a temporary home folder, so that no test reads or writes the user's caches."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("MIEN_MODELS", raising=False)  # a test that wants YuNet says so
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local/share"))
    monkeypatch.delenv("MIEN_DB", raising=False)
    monkeypatch.delenv("MIEN_DEPLOYMENT", raising=False)
    return home


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server that these tests start; skipped only where none is installed."""
    if shutil.which("initdb") is None:
        pytest.skip("PostgreSQL is not installed: no initdb on the PATH")
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of an empty database of a server."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sessions.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
