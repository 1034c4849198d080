"""``mien states``: print, check and copy the rules for observables and learning states."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.help import Group, HelpCommand

states = typer.Typer(
    name="states",
    help="Print, check and copy the rules for learning states.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@states.command("show", cls=HelpCommand)
def show(
    file: Annotated[Path | None, typer.Argument(help="Rules file.", show_default="packaged rules")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Print the rules with their windows, confidence and evidence.

    Example:
      mien states show my_rules.toml
    """
    import shutil

    from mien.states.rules_file import read_rules
    from mien.states.rules_table import MAX_WIDTH, rules_markdown, rules_text

    rules = read_rules(file)
    width = max(50, min(MAX_WIDTH, shutil.get_terminal_size((MAX_WIDTH, 24)).columns))
    print(rules_markdown(rules).rstrip() if markdown else rules_text(rules, width))


@states.command("check", cls=HelpCommand)
def check(file: Annotated[Path, typer.Argument(help="Rules file.")]) -> None:
    """Check a rules file and report all errors at once. Exit code 2 if there are any.

    Example:
      mien states check my_rules.toml
    """
    from mien.states.rules_file import read_rules
    from mien.words import counted

    rules = read_rules(file)
    about_states = sum(rule.is_state for rule in rules.rules)
    asking = sum(rule.intervention is not None for rule in rules.rules)
    print(
        f"{file}: valid; {counted(len(rules.rules), 'rule')}, {about_states} about states; {asking} with a suggestion, "
        f"at most {counted(rules.max_per_hour, 'suggestion')} per hour in total"
    )


@states.command("init", cls=HelpCommand)
def init(file: Annotated[Path, typer.Argument(help="File to write; must not exist.")]) -> None:
    """Write the packaged rules to a file, with every key explained.

    Example:
      mien states init my_rules.toml
    """
    from mien.errors import UsageError
    from mien.files import write_text
    from mien.states.rules_file import default_rules_text

    if file.exists():
        raise UsageError(f"{file} already exists. Edit it, remove it, or choose another name")
    write_text(file, default_rules_text())
    print(f"written: {file}. Edit it, then: mien states check {file}")
