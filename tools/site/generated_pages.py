"""Pages of the site that are generated when it is built: the command reference and the list of decisions.

The reference comes from Typer, so no option is described twice. MkDocs calls :func:`on_files` as a hook;
``python tools/site/generated_pages.py`` prints the reference.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mien.cli import app

COMMANDS = "reference/commands.md"
DECISIONS = "decisions/index.md"
REMOTE_RESOURCE = re.compile(r"""<(?:script|link|img|iframe|source)\b[^>]*(?:src|href)=["']?(https?://[^"' >]+)""")
INTRODUCTION = """# Commands

This page is generated from the command line itself; `mien COMMAND --help` prints the same text. `python -m mien` is the
same as `mien`.

| exit code | meaning |
|---|---|
| 0 | success |
| 2 | usage error, or not permitted by the deployment declaration |
| 3 | invalid input data |
| 4 | device or environment error |
| 5 | some output could not be written, for example because the disk is full |
| 10 | drift was found (`mien monitor`) |
| 11 | a candidate failed a gate (`mien retrain`) |
| 130 | stopped by Ctrl-C, SIGTERM or SIGHUP |
"""


def commands(command: Any = None, path: tuple[str, ...] = ("mien",)) -> Iterator[tuple[str, Any]]:
    """Yield (full name, command) for every command and group, depth first."""
    command = typer.main.get_command(app) if command is None else command
    yield " ".join(path), command
    for name, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from commands(each, (*path, name))


def options(command: Any) -> list[Any]:
    """Return the visible options and arguments of a command; ``--help`` is described once, for all."""
    return [each for each in command.params if not getattr(each, "hidden", False) and each.name != "help"]


def command_reference() -> str:
    """Return the reference of all commands as Markdown."""
    return (
        "\n\n".join([INTRODUCTION.strip(), *(_section(name, command) for name, command in commands() if name != "mien")]) + "\n"
    )


def decision_list(folder: Path) -> str:
    """Return the list of the decisions in a folder as Markdown, oldest first."""
    lines = []
    for path in sorted(folder.glob("[0-9]*.md")):
        title = re.sub(r"^# *0*(\d+)[.:] *", r"\1. ", path.read_text(encoding="utf-8").splitlines()[0])
        lines.append(f"- [{title}]({path.name})")
    return "# Decisions\n\nOne page each: context, decision, consequences.\n\n" + "\n".join(lines) + "\n"


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages to the site's files (MkDocs hook)."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, COMMANDS, content=command_reference()))
    files.append(File.generated(config, DECISIONS, content=decision_list(Path(config.docs_dir) / "decisions")))
    return files


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Warn, and so fail a strict build, where a page loads something from the network (MkDocs hook)."""
    for address in REMOTE_RESOURCE.findall(output):
        logging.getLogger("mkdocs.hooks").warning("%s loads %s; the site must work offline", page.file.src_uri, address)
    return output


def _section(name: str, command: Any) -> str:
    parts = [f"{'#' * min(3, len(name.split()))} {name}", *_help(command)]
    usage = " ".join(["mien", *name.split()[1:], *_usage(command)])
    parts.insert(1, f"```\n{usage}\n```")
    if rows := [_row(each) for each in options(command)]:
        parts.append("| option | default | description |\n|---|---|---|\n" + "\n".join(rows))
    if subcommands := getattr(command, "commands", None):
        links = ", ".join(f"[`{each}`](#{name.replace(' ', '-')}-{each})" for each in subcommands)
        parts.append(f"Commands: {links}")
    return "\n\n".join(parts)


def _help(command: Any) -> list[str]:
    """Return the paragraphs of a command's help; lines that start with ``mien`` become a code block."""
    parts = []
    for block in inspect.cleandoc(command.help or "").replace("Example:", "Example:\n\n").split("\n\n"):
        lines = [line.strip() for line in block.strip().splitlines()]
        if all(line.startswith(("mien ", "torchrun ")) for line in lines):
            parts += ["```\n" + "\n".join(lines) + "\n```"] if lines else []
        else:
            parts.append(_escaped(" ".join(lines)))
    return parts


def _usage(command: Any) -> list[str]:
    arguments = [each for each in options(command) if each.param_type_name == "argument"]
    words = ["[OPTIONS]"] if len(options(command)) > len(arguments) else []
    for each in arguments:
        name = f"{each.name.upper()}{'...' if each.nargs == -1 else ''}"
        words.append(name if each.required else f"[{name}]")
    return [*words, "COMMAND"] if getattr(command, "commands", None) else words


def _row(option: Any) -> str:
    flags = option.opts if option.param_type_name == "option" else [option.name.upper()]
    names = ", ".join(f"`{flag}`" for flag in (*flags, *option.secondary_opts))
    return f"| {names} | {_default(option)} | {_escaped(option.help or '')} |"


def _default(option: Any) -> str:
    if isinstance(option.show_default, str):
        return _escaped(option.show_default)
    if option.required:
        return "required"
    value = option.default
    if value is None or value is False or value == "" or callable(value) or not option.show_default:
        return ""
    if option.secondary_opts:
        return f"`{(option.opts if value else option.secondary_opts)[0]}`"
    return f"`{value}`"


def _escaped(text: str) -> str:
    """Return plain text as Markdown that shows the same characters."""
    for character in "\\|<>*_`[]":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())


if __name__ == "__main__":
    print(command_reference(), end="")
