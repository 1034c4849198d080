"""Help as plain text: options and commands under headings, examples as written."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from mien.cli.renamed import with_new_names


class HelpCommand(TyperCommand):
    """A command whose help groups more than ten options by their ``rich_help_panel``.

    Typer's own panels are Rich tables, which need twice the lines.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = {name for parameter in self.params for name in parameter.opts}
        return list(super().parse_args(ctx, with_new_names(args, known)))

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
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                panel = getattr(parameter, "rich_help_panel", None) if grouped else None
                panels.setdefault(panel or usual, []).append(row)
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


def _write(formatter: Any, panels: dict[str, list[tuple[str, str]]]) -> None:
    for panel, rows in panels.items():
        if rows:
            with formatter.section(panel):
                formatter.write_dl(rows)
