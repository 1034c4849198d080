"""Each racer has an environment of its own, made once, with its size and versions."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from environments import EnvironmentFailure, prepare, size_bytes
from peers import Peer, Recipe

# environments


def wheel(folder: Path) -> Path:
    """Return a wheel of one package with one module of 0.3 MB."""
    path = folder / "tiny_peer-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_peer.py", "#" * 300_000)
        archive.writestr("tiny_peer-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-peer\nVersion: 1.0\n")
        archive.writestr(
            "tiny_peer-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(
            "tiny_peer-1.0.dist-info/RECORD",
            "tiny_peer.py,,\ntiny_peer-1.0.dist-info/METADATA,,\ntiny_peer-1.0.dist-info/WHEEL,,\ntiny_peer-1.0.dist-info/RECORD,,\n",
        )
    return path


def test_an_environment_is_made_once_with_size_and_versions(tmp_path: Path) -> None:
    unhappy = Recipe((("--no-index", "no-such-package"),))
    happy = Recipe((("--no-index", "--no-deps", str(wheel(tmp_path))),), "the second way")
    peer = Peer("tiny", "python", "worker_mien.py", "tiny-peer", (unhappy, happy))
    said: list[str] = []
    made = prepare(peer, tmp_path / "envs", said.append)
    assert (made.version, made.note) == ("1.0", "the second way")
    assert 0.3 <= made.size_mb < 0.5
    assert made.versions["tiny-peer"] == "1.0"
    assert "python" in made.versions
    assert len(said) == 2
    assert "PYTHONPATH" not in made.variables
    assert "OMP_NUM_THREADS" not in made.variables
    assert prepare(peer, tmp_path / "envs", said.append) == made
    assert len(said) == 2
    (tmp_path / "envs" / "tiny" / "record.json").unlink()  # as a kill in the middle leaves it
    prepare(replace(peer, recipes=(happy,)), tmp_path / "envs", said.append)
    assert len(said) == 3


def test_what_cannot_be_installed_says_why(tmp_path: Path) -> None:
    peer = Peer("tiny", "python", "worker_mien.py", "tiny", (Recipe((("--no-index", "no-such-package"),)),))
    with pytest.raises(EnvironmentFailure, match=r"no-such-package: ERROR: .*no-such-package"):
        prepare(peer, tmp_path, lambda _: None)


def test_a_size_counts_every_file_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "again").hardlink_to(tmp_path / "a")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "b").write_bytes(b"x" * 10)
    assert size_bytes(tmp_path) == 1010
