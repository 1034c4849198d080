"""``mien states``: the rules for what can be seen of a learner and what may be, to read, check and edit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

states = typer.Typer(
    name="states",
    help="Rules about learners, experimental: show, check, init.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@states.command("show")
def show(
    file: Annotated[Path | None, typer.Argument(help="A rules file.", show_default="the package's own rules")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown tables.")] = False,
) -> None:
    """Print the rules: what each says, over which window, with how much confidence, on whose findings.

    Example: mien states show my_rules.toml
    """
    import shutil

    from mien.states.rules_file import read_rules
    from mien.states.rules_table import WIDEST, rules_markdown, rules_text

    rules = read_rules(file)
    width = max(50, min(WIDEST, shutil.get_terminal_size((WIDEST, 24)).columns))
    print(rules_markdown(rules).rstrip() if markdown else rules_text(rules, width))


@states.command("check")
def check(file: Annotated[Path, typer.Argument(help="A rules file.")]) -> None:
    """Check a rules file; everything that is wrong is named at once. Ends with 2 where it is refused.

    Example: mien states check my_rules.toml
    """
    from mien.states.rules_file import read_rules

    rules = read_rules(file)
    about_states = sum(rule.is_state for rule in rules.rules)
    asking = sum(rule.intervention is not None for rule in rules.rules)
    print(
        f"{file}: good; {len(rules.rules)} rules, {about_states} of them about states; "
        f"{asking} make suggestions, at most {rules.max_per_hour} an hour in all"
    )


@states.command("init")
def init(file: Annotated[Path, typer.Argument(help="The file to write; one that is there is not overwritten.")]) -> None:
    """Write the package's own rules to a file, each key explained, for editing.

    Example: mien states init my_rules.toml
    """
    from mien.errors import UsageError
    from mien.files import write_text
    from mien.states.rules_file import default_rules_text

    if file.exists():
        raise UsageError(f"{file} is there already. Change it by hand, remove it, or choose another name")
    write_text(file, default_rules_text())
    print(f"written: {file}. Edit it, then: mien states check {file}")
