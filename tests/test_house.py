"""The rules of the house, checked: layers, one copy of each fact, documents that keep up."""

from __future__ import annotations

import ast
import subprocess
import sys

from conftest import REPOSITORY


def test_imports_point_down_only() -> None:
    program = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    answer = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
    assert ", 0 broken" in answer.stdout


EXTRAS = (
    *("torch", "onnx", "onnxscript", "matplotlib", "sklearn", "scipy", "tensorboard", "cleanlab", "pandas", "river"),
    *("sqlalchemy", "psycopg", "pyarrow", "distributed", "pygame", "prometheus_client"),
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
        "settings = LiveSettings(source='demo', out=out, model='mien-s', view='none', seconds=0.2)\n"
        "print(Session(settings).run()['frames'])\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout.strip() == "5", answer.stderr


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    for path in (REPOSITORY / "mien").rglob("*.py"):
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
        assert len(first) > 10, f"{path} has no docstring that says what it is"


def test_no_two_classes_have_one_name() -> None:
    places: dict[str, list[str]] = {}
    for path in (REPOSITORY / "mien").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(str(path.relative_to(REPOSITORY)))
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice


def test_the_names_of_a_sessions_files_stand_once() -> None:
    from mien.sessions.layout import ALL_NAMES

    places = {
        (name, path.name)
        for path in (REPOSITORY / "mien").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and (name := node.value) in ALL_NAMES[:11]
    }
    assert places == {(name, "layout.py") for name in ALL_NAMES[:11]}


def test_the_changelog_knows_this_version() -> None:
    from mien import __version__

    assert f"## {__version__}" in (REPOSITORY / "CHANGELOG.md").read_text()
