"""The rules of the house, checked: layers, one copy of each fact, documents that keep up."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY

from mien.cli import app


def tracked(*patterns: str) -> list[Path]:
    listing = subprocess.run(["git", "ls-files", *patterns], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return [REPOSITORY / line for line in listing.stdout.splitlines()]


def test_imports_point_down_only() -> None:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    answer = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert "3 kept, 0 broken" in answer.stdout


EXTRAS = (
    *("torch", "onnx", "onnxscript", "matplotlib", "sklearn", "scipy", "tensorboard", "cleanlab", "pandas", "river"),
    *("sqlalchemy", "psycopg", "pyarrow", "distributed", "pygame"),
)
"""Packages that come with extras only. The demo's own, scikit-image, is not among them."""


def test_live_runs_without_any_package_of_the_extras() -> None:
    program = (
        "import sys\n"
        f"for name in {EXTRAS}:\n"
        "    sys.modules[name] = None\n"
        "import tempfile, pathlib\n"
        "from mien.session import Session\n"
        "from mien.settings import LiveSettings\n"
        "out = pathlib.Path(tempfile.mkdtemp()) / 'out'\n"
        "print(Session(LiveSettings('demo', out, 'mien-s', 'none', seconds=0.2)).run()['frames'])\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "5", answer.stderr


def test_files_stay_small() -> None:
    long = {path.name: len(path.read_text().splitlines()) for path in (REPOSITORY / "mien").rglob("*.py")}
    assert {name: lines for name, lines in long.items() if lines > 300} == {}


def test_the_readme_names_every_verb_and_every_file() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"mien {command.callback.__name__}" in readme
    for group in app.registered_groups:
        assert group.typer_instance is not None
        for command in group.typer_instance.registered_commands:
            assert f"mien {group.typer_instance.info.name} {command.name}" in readme
    for path in (REPOSITORY / "mien").rglob("*.py"):
        if path.name != "__init__.py" or path.parent.name == "cli":
            assert re.search(rf"\b{re.escape(path.name)}\b", readme), f"README does not explain {path}"


def test_the_changelog_knows_this_version() -> None:
    from mien import __version__

    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()
