"""The documents keep up with the program: commands, options, columns, files and environment variables, links and examples."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from conftest import REPOSITORY
from generated_pages import COMMANDS, DECISIONS, command_reference, commands, decision_list

from mien.cli import app
from mien.emotions import EMOTIONS

DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
PAGES = [README, REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
HISTORY = [*DOCS.glob("decisions/*"), *DOCS.glob("results/*-*.md"), DOCS / "LOG.md", DOCS / "model_card.md"]
LIVING = [page for page in PAGES if page not in HISTORY]
"""Pages about today's program; the others are history."""
ELSEWHERE = {"reference/commands.md", "decisions/index.md"}
"""Pages that are made when the site is built."""


ROOT = typer.main.get_command(app)


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def prose() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in LIVING)


def tree(command: object, path: str = "mien") -> Iterator[tuple[str, object]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from tree(each, f"{path} {name}")


def test_the_reference_has_every_command_and_option() -> None:
    assert {COMMANDS, DECISIONS} == ELSEWHERE
    sections = {}
    for part in re.split(r"^##+ ", command_reference(), flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        sections[title] = body
    everything = {name: command for name, command in tree(ROOT) if name != "mien"}  # of itself it has only --version
    assert set(sections) == set(everything) == {name for name, _ in commands()} - {"mien"}
    for name, command in everything.items():
        for parameter in command.params:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                shown = flag if flag.startswith("-") else flag.upper()
                assert f"`{shown}`" in sections[name], f"{name}: {flag}"


def test_every_command_and_option_has_a_description() -> None:
    for name, command in tree(ROOT):
        assert (command.help or "").strip(), name
        for parameter in command.params:
            assert (parameter.help or "").strip(), f"{name}: {parameter.name}"


def test_the_list_of_decisions_has_every_decision() -> None:
    text = decision_list(DOCS / "decisions")
    for path in (DOCS / "decisions").glob("0*.md"):
        assert f"]({path.name})" in text


def test_every_decision_has_one_form() -> None:
    for path in (DOCS / "decisions").glob("0*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {int(path.name[:4])}. "), path.name
        assert re.findall(r"^## (.+)$", text, flags=re.M) == ["Context", "Decision", "Consequences"], path.name


def test_the_readme_names_every_command() -> None:
    readme = README.read_text(encoding="utf-8")
    for name in ROOT.commands:
        assert f"mien {name}" in readme, name
    for script in REPOSITORY.glob("*.py"):
        assert script.name in readme


def test_every_environment_variable_is_documented() -> None:
    page = (DOCS / "reference" / "configuration.md").read_text(encoding="utf-8")
    sources = [
        *(REPOSITORY / "mien").rglob("*.py"),
        *(REPOSITORY / "tests").glob("*.py"),
        *(REPOSITORY / "benchmarks").rglob("*.py"),
    ]
    used = {name for path in sources for name in re.findall(r"\bMIEN_[A-Z_]+\b", path.read_text(encoding="utf-8"))}
    assert "MIEN_DB" in used
    assert set(re.findall(r"`(MIEN_[A-Z_]+)`", page)) == used
    read = r"""environ(?:\.get\(|\.setdefault\(|\[)\s*["']([A-Z_]+)["']"""
    found = {name for path in (REPOSITORY / "mien").rglob("*.py") for name in re.findall(read, path.read_text(encoding="utf-8"))}
    assert {name for name in found if f"`{name}`" not in page} == set()


def test_every_column_is_documented() -> None:
    from mien.data import split_file
    from mien.evaluation import private_log
    from mien.history import EpochRow
    from mien.sessions import observations
    from mien.sessions.schema import TABLES
    from mien.summaries import export

    page = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    sections = {part.partition("\n")[0]: part for part in re.split(r"^##+ ", page, flags=re.M)[1:]}
    columns: dict[str, tuple[str, ...]] = {
        "observations.csv": (*observations.COLUMNS, export.POLICY_COLUMN),
        "clean_split.csv": split_file.COLUMNS,
        "private_test_log.csv": private_log.COLUMNS,
        "history.csv": tuple(EpochRow.__dataclass_fields__),
        "Database": tuple(name for table in TABLES for name in (table.name, *table.columns.keys())),
    }
    for section, names in columns.items():
        assert [name for name in names if f"`{name}`" not in sections[section]] == [], section


def test_every_file_and_metric_of_a_session_is_documented() -> None:
    from mien.monitoring import prometheus
    from mien.sessions.layout import ALL_NAMES

    page = (DOCS / "reference" / "files.md").read_text(encoding="utf-8")
    assert [name for name in (*ALL_NAMES, *prometheus._HELP) if f"`{name}`" not in page] == []


def test_every_extra_is_documented() -> None:
    import tomllib

    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    page = (DOCS / "index.md").read_text(encoding="utf-8")
    assert [name for name in extras if name not in ("dev", "docs", "supply") and f"`{name}`" not in page] == []


def test_every_public_name_of_the_library_is_documented() -> None:
    import mien

    page = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert [name for name in mien.__all__ if name != "__version__" and not re.search(rf"\b{name}\b", page)] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            continue
        place = (page.parent / path).resolve() if path else page
        if place.is_relative_to(DOCS) and str(place.relative_to(DOCS)) in ELSEWHERE:
            continue
        assert place.exists(), f"{name_of(page)} links to {target}"
        if anchor and place.suffix == ".md":
            assert anchor in anchors(place), f"{name_of(page)} links to {target}"


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as MkDocs and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()) for heading in headings}


def examples() -> list[tuple[str, str]]:
    """Return (page, command line) for each line of a code block that starts with ``mien``."""
    found = []
    for page in LIVING:
        for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S):
            for line in block.replace("\\\n", " ").splitlines():
                command = re.sub(r"^(\$ )?(torchrun .* -m (?=mien ))?", "", line.strip())
                if command.startswith("mien "):
                    found.append((name_of(page), command))
    return found


def unknown_parts(command_line: str) -> list[str]:
    """Return what the command line does not know in an example: commands and options."""
    words = [word for word in shlex.split(re.sub(r"\$\w+", "", command_line), comments=True) if word not in ("--", "…", "...")]
    command = ROOT
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    if getattr(command, "commands", None) and not getattr(command, "invoke_without_command", False):
        return [rest[0] if rest else command_line]
    flags = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    takes_words = any(parameter.param_type_name == "argument" for parameter in command.params)
    unknown = [word for word in rest if word.startswith("-") and word.split("=")[0] not in flags | {"--help", "-h"}]
    return unknown or ([rest[0]] if rest and not rest[0].startswith("-") and not takes_words else [])


def test_examples_use_commands_and_options_that_exist() -> None:
    assert len(examples()) > 50
    assert [(page, line, unknown) for page, line in examples() if (unknown := unknown_parts(line))] == []


def test_an_example_with_an_unknown_command_or_option_is_noticed() -> None:
    assert unknown_parts("mien live --sauce demo") == ["--sauce"]
    assert unknown_parts("mien lives") == ["lives"]
    assert unknown_parts("mien live --source demo --duration-s 3") == []


def test_commands_that_are_named_in_the_text_exist() -> None:
    everything = dict(tree(ROOT))
    named = set(re.findall(r"`mien ((?:[a-z]+)(?: [a-z]+)?)", prose()))
    assert named
    unknown = [
        name
        for name in named
        if f"mien {name}" not in everything and (f"mien {name.split()[0]}" not in everything or is_group(everything, name))
    ]
    assert unknown == []


def is_group(everything: dict[str, object], name: str) -> bool:
    """Return whether the second word of ``name`` should be a command of a group."""
    first, _, second = name.partition(" ")
    return bool(second) and bool(getattr(everything.get(f"mien {first}"), "commands", None))


@pytest.mark.parametrize("page", LIVING, ids=name_of)
def test_options_that_are_named_in_the_text_exist(page: Path) -> None:
    known = {
        flag for _, command in tree(ROOT) for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)
    }
    for benchmark in (REPOSITORY / "benchmarks").rglob("*.py"):
        known |= set(re.findall(r"--[a-z][a-z-]*", benchmark.read_text(encoding="utf-8")))
    known |= {"--help", "--logdir", "--nproc-per-node"}
    spans = re.findall(r"`[^`\n]+`", page.read_text(encoding="utf-8"))
    named = {flag for span in spans for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}
    assert named - known == set()


def test_files_of_the_repository_that_are_named_in_the_text_exist() -> None:
    named = set(re.findall(r"\b((?:mien|tests|benchmarks|tools)/[\w/]+\.(?:py|toml|md))\b", prose()))
    assert "mien/records.py" in named
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []


def test_the_architecture_names_every_package() -> None:
    page = (DOCS / "architecture.md").read_text(encoding="utf-8")
    packages = [path.parent.name for path in (REPOSITORY / "mien").glob("*/__init__.py")]
    assert "vision" in packages
    assert [name for name in packages if f"`{name}/`" not in page and f"`{name}`" not in page] == []
    modules = re.findall(r"`((?:[a-z_]+/)?[a-z_]+\.(?:py|toml))`", page)
    roots = ("mien", ".", "tools/site", "tools")
    assert [name for name in modules if not any((REPOSITORY / root / name).exists() for root in roots)] == []
    folders = [name for name in re.findall(r"`([a-z_]+)/`", page) if name not in ("golden", "peers", "fuzz")]
    assert [name for name in folders if not ((REPOSITORY / "mien" / name).is_dir() or (REPOSITORY / name).is_dir())] == []


def test_the_lines_of_the_readme_run(yunet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})
    label, seconds, unit = capsys.readouterr().out.split()[:3]
    assert label in EMOTIONS
    assert 1 < float(seconds) < 3
    assert unit == "s"


def test_the_example_of_the_api_page_runs(
    shared: Path, yunet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOCS / "reference" / "api.md"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes((shared / "media" / "five_faces.jpg").read_bytes())
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        exec(compile(block, str(page), "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 5
