"""Help as plain text: options and commands under headings, examples as written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from mien.cli.renamed import with_new_names

_PLACEHOLDERS: Final = {str: "TEXT", int: "INTEGER", float: "NUMBER", Path: "PATH"}
"""What the help shows for the value of an option, by its type."""
_DESCRIBED_DEFAULT: Final = re.compile(r"\[default: \((.*?)\)(?=[];])")
"""A default that is described rather than given: Typer puts it in parentheses."""


class HelpCommand(TyperCommand):
    """A command whose help groups more than ten options by their ``rich_help_panel``.

    Typer's own panels are Rich tables, which need twice the lines. Its braces around arguments look like a choice, and its
    types like Python.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        for parameter in self.params:
            if parameter.metavar is None:
                parameter.metavar = _placeholder(parameter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for parameter in self.params for name in parameter.opts}
        try:
            return list(super().parse_args(ctx, with_new_names(args, known)))
        except typer.BadParameter as error:
            error.message = _number_fault(error) or error.message
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [piece.replace("{", "").replace("}", "") for piece in super().collect_usage_pieces(ctx)]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:
        if self.help:
            self.help = self.help.replace("\n\nExample", "\n\n\b\nExample")  # \b: Click leaves the line breaks of this paragraph
        super().format_help_text(ctx, formatter)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}  # in this order, then the others
        parameters = self.get_params(ctx)
        grouped = len(parameters) > 10
        for parameter in parameters:
            row = parameter.get_help_record(ctx)
            if row is not None:
                name, text = row
                is_argument = parameter.param_type_name == "argument"
                if is_argument:
                    name = f"{parameter.metavar}{'...' if parameter.nargs != 1 else ''}"
                usual = "Arguments" if is_argument else "Options"
                panel = getattr(parameter, "rich_help_panel", None) if grouped else None
                panels.setdefault(panel or usual, []).append((name, _DESCRIBED_DEFAULT.sub(r"[default: \1", text)))
        _write(formatter, panels)


class Group(TyperGroup):
    """A group whose help groups its commands by their ``rich_help_panel``."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        panels: dict[str, list[tuple[str, str]]] = {}
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            panel = getattr(command, "rich_help_panel", None)
            panel = panel if isinstance(panel, str) else "Commands"  # it may be Typer's mark for a default
            panels.setdefault(panel, []).append((f"{name:<{width}}", command.get_short_help_str(formatter.width - width - 4)))
        _write(formatter, panels)


def _placeholder(parameter: Any) -> str | None:
    """Return what stands for a parameter's value in the help: an argument's name, or the type of an option."""
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    annotation = parameter.type_descriptor.annotation
    return _PLACEHOLDERS.get(next(iter(get_args(annotation)), annotation))


def _number_fault(error: typer.BadParameter) -> str:
    """Return what is wrong with a number; "" for any other error."""
    faults: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()  # Pydantic's
    if not faults:
        return ""
    kind, value = faults[0]["type"], faults[0]["input"]
    if kind.startswith(("int_", "float_")):
        return f"{value!r} is not a {'whole ' if kind.startswith('int_') else ''}number"
    if kind in ("greater_than_equal", "less_than_equal"):
        low, high = getattr(error.param, "min", None), getattr(error.param, "max", None)
        return f"it must be {f'at least {low}' if high is None else f'{low} to {high}'}, not {value}"
    return ""


def _write(formatter: Any, panels: dict[str, list[tuple[str, str]]]) -> None:
    for panel, rows in panels.items():
        if rows:
            with formatter.section(panel):
                formatter.write_dl(rows)
