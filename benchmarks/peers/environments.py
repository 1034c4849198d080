"""An isolated environment for each peer, created once and kept, with its size and package versions.

A Python peer gets a virtual environment, a Node peer a folder with ``node_modules``. A record is
written last and marks an environment as complete; one without it is deleted and created again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from peers import HERE, REPOSITORY, Peer, Recipe

from mien.files import write_json
from mien.vision.weights import YUNET_NAME, find_yunet

INSTALL_LIMIT_S: Final = 3600
_RECORD: Final = "record.json"
_LIST_VERSIONS: Final = (
    "import importlib.metadata as m, json, platform; "
    "print(json.dumps({'python': platform.python_version(), **{d.metadata['Name']: d.version for d in m.distributions()}}))"
)
# a worker must see only its own environment, and thread settings of the machine are not defaults
_KEPT_VARIABLES: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LOCALAPPDATA", "XDG_CACHE_HOME")


class EnvironmentFailure(Exception):  # noqa: N818  it says why a row is empty
    """An environment cannot be created; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The environment of a peer.

    Attributes:
        command: command that starts its worker.
        variables: environment variables of the worker.
        size_mb: megabytes (10^6 bytes) that the install added.
        version: version of the peer itself.
        versions: versions of all packages and of the interpreter.
        note: remark on the installation for readers of the table, or "".
        key: hash of what was installed; another key means another comparison.
    """

    command: tuple[str, ...]
    variables: dict[str, str]
    size_mb: float
    version: str
    versions: dict[str, str]
    note: str
    key: str


def prepare(peer: Peer, cache: Path, say: Callable[[str], None]) -> Environment:
    """Return the peer's environment below ``cache``; create it if missing.

    Args:
        peer: the peer.
        cache: folder with one folder per peer.
        say: receives progress messages.

    Raises:
        EnvironmentFailure: no recipe succeeded.
    """
    folder = cache / (peer.folder or peer.name)
    record = _read_record(folder)
    if record is None or record["key"] not in (_key(peer, recipe) for recipe in peer.recipes):
        reasons = []
        for recipe in peer.recipes:
            say(f"{peer.name}: installing {' '.join(recipe.steps[0])}")
            try:
                record = _install(peer, recipe, folder)
                break
            except EnvironmentFailure as failure:
                reasons.append(str(failure))
        else:
            raise EnvironmentFailure("; ".join(dict.fromkeys(reasons)))
    assert record is not None
    variables = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    variables["PEER_FOLDER"] = str(folder)
    if (folder / "models").is_dir():
        variables["MIEN_MODELS"] = str(folder / "models")
    interpreter = str(_python(folder)) if peer.runtime == "python" else "node"
    return Environment((interpreter, str(HERE / peer.script), *peer.arguments), variables, **record)


def size_bytes(folder: Path) -> int:
    """Return the bytes of all files below ``folder``, without links; a file with two names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            stat = (Path(place) / name).lstat()
            if not (Path(place) / name).is_symlink():
                seen[stat.st_dev, stat.st_ino] = stat.st_size
    return sum(seen.values())


def _install(peer: Peer, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Create the environment by one recipe and return its record."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if peer.runtime == "python":
        _run([sys.executable, "-m", "venv", str(folder)], folder)
        before = size_bytes(folder)  # an empty environment with pip, which does not belong to the peer
        for step in recipe.steps:
            _run([str(_python(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *step], folder)
        if peer.name == "mien" and (yunet := find_yunet()) is not None:  # added by `mien doctor --fetch`
            (folder / "models").mkdir()
            shutil.copyfile(yunet, folder / "models" / YUNET_NAME)
        versions = json.loads(_run([str(_python(folder)), "-c", _LIST_VERSIONS], folder))
        versions.pop("pip", None)
    else:
        before = 0
        for step in recipe.steps:
            _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *step], folder)
        versions = {"node": _run(["node", "--version"], folder).strip().lstrip("v"), **_npm_versions(folder)}
    record = {
        "key": _key(peer, recipe),
        "size_mb": round((size_bytes(folder) - before) / 1e6, 1),
        "version": versions.get(peer.package, ""),
        "versions": dict(sorted(versions.items())),
        "note": recipe.note,
    }
    write_json(folder / _RECORD, record)
    return record


def _run(command: list[str], folder: Path) -> str:
    """Run an installer and return its output."""
    try:
        answer = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_LIMIT_S, check=False, env=_installer_variables()
        )
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailure(f"{Path(command[0]).name} did not finish in {INSTALL_LIMIT_S} s") from error
    except OSError as error:
        raise EnvironmentFailure(f"{command[0]} cannot be started ({error.strerror})") from error
    if answer.returncode != 0:
        said = [line for line in (answer.stderr + answer.stdout).splitlines() if line.strip()] or ["no output"]
        lines = [line for line in said if "error" in line.lower()] or said[-1:]
        raise EnvironmentFailure(f"{' '.join(command[-3:])}: {lines[0].strip()[:200]}")
    return answer.stdout


def _installer_variables() -> dict[str, str]:
    """Return this process's variables without those that redirect Python."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}


def _python(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def _npm_versions(folder: Path) -> dict[str, str]:
    """Return the version of every package that npm installed below ``folder``."""
    lock = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))
    return {path.rpartition("node_modules/")[2]: entry["version"] for path, entry in lock["packages"].items() if path}


def _key(peer: Peer, recipe: Recipe) -> str:
    """Return a hash of the environment's input: the recipe, and Mien's code for Mien itself."""
    digest = hashlib.sha256(repr([recipe.steps, sys.version]).encode())
    if peer.name == "mien":
        digest.update(str(find_yunet()).encode())
        paths = [REPOSITORY / "pyproject.toml", *sorted((REPOSITORY / "mien").rglob("*"))]
        for path in (p for p in paths if p.is_file() and "__pycache__" not in p.parts):
            digest.update(path.relative_to(REPOSITORY).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def _read_record(folder: Path) -> dict[str, Any] | None:
    try:
        record: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record
