"""``mien policy``: the deployment declaration and what may be read under it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import MODEL_DEFAULT, SESSIONS_DEFAULT, Declaration, Model, SessionsFolder, policy_for

policy = typer.Typer(
    name="policy",
    help="Declare the deployment and see what may be read under it.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)

_LABEL = 20
"""Width of the first column of a policy's text."""
# as text: the module that owns this name is not needed for --help
DEPLOYMENT_DEFAULT = Path("deployment.toml")


@policy.command("init", cls=HelpCommand)
def init(
    out: Annotated[Path, typer.Option(help="File to write; must not exist.")] = DEPLOYMENT_DEFAULT,
    context: Annotated[
        str | None, typer.Option(help="Context, such as own-use or workplace.", rich_help_panel="Declaration")
    ] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="EU, EEA, UK, US or other.", rich_help_panel="Declaration")] = None,
    purpose: Annotated[str | None, typer.Option(help="Purpose, such as self-observation.", rich_help_panel="Declaration")] = None,
    operator: Annotated[
        str | None, typer.Option(help="Responsible person or organisation.", rich_help_panel="Declaration")
    ] = None,
    contact: Annotated[str | None, typer.Option(help="Contact details of the operator.", rich_help_panel="Declaration")] = None,
    minors: Annotated[
        bool | None,
        typer.Option("--minors/--no-minors", help="Whether people under 18 may appear.", rich_help_panel="Declaration"),
    ] = None,
    legal_basis: Annotated[
        str | None, typer.Option(help="Legal basis under GDPR Art. 6, or none.", rich_help_panel="Declaration")
    ] = None,
    retention_days: Annotated[
        int | None, typer.Option(help="Erase sessions after this many days.", show_default="30", rich_help_panel="Declaration")
    ] = None,
    approval: Annotated[
        str | None, typer.Option(help="Approval of an ethics committee (research).", rich_help_panel="Declaration")
    ] = None,
    description: Annotated[str | None, typer.Option(help="One or two sentences.", rich_help_panel="Declaration")] = None,
) -> None:
    """Write a deployment declaration and print the resulting policy.

    Asks for every required value that no option gives; the questions list the possible values.

    Example:
      mien policy init --context own-use --purpose self-observation
    """
    from mien.errors import UsageError
    from mien.files import write_text
    from mien.privacy.deployment import declare, deployment_text, needed
    from mien.privacy.policy import decide, policy_text

    if out.exists():
        raise UsageError(f"{out} already exists. Edit it, remove it, or choose another file with --out")
    texts = {
        "context": context,
        "jurisdiction": jurisdiction,
        "purpose": purpose,
        "operator": operator,
        "contact": contact,
        "legal_basis": legal_basis,
        "approval": approval,
        "description": description,
    }
    given: dict[str, Any] = {key: value for key, value in texts.items() if value is not None}
    given |= {key: value for key, value in (("minors", minors), ("retention_days", retention_days)) if value is not None}
    for key in ("context", "jurisdiction", "purpose"):
        given.setdefault(key, None)
        given[key] = given[key] or _ask(key)
    for key in needed(str(given["context"])):
        if key not in given:
            given[key] = _ask(key)
    if given["context"] == "research" and "approval" not in given:
        given["approval"] = _ask("approval")
    deployment = declare(given)
    write_text(out, deployment_text(deployment))
    print(f"declared in {out}\n")
    _print_policy(policy_text(decide(deployment)))


@policy.command("check", cls=HelpCommand)
def check(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Declaration.", show_default="$MIEN_DEPLOYMENT, else ./deployment.toml"),
    ] = None,
) -> None:
    """Check a declaration and explain what may be read under it.

    Exit code 2 if nothing may be read.

    Example:
      mien policy check deployment.toml
    """
    from mien.privacy.level import Level
    from mien.privacy.policy import policy_text

    decided = policy_for(file, needed=True)
    _print_policy(policy_text(decided))
    if decided.level is Level.REFUSED:
        raise typer.Exit(2)


@policy.command("table", cls=HelpCommand)
def table() -> None:
    """Print all policy rules as a Markdown table.

    Example:
      mien policy table
    """
    from mien.privacy.rules import table_text

    print(table_text(), end="")


@policy.command("documents", cls=HelpCommand)
def documents(
    out: Annotated[Path, typer.Option(help="Folder for the documents.")],
    deployment: Declaration = None,
    model: Model = MODEL_DEFAULT,
    sessions: SessionsFolder = SESSIONS_DEFAULT,
    keep_faces: Annotated[bool, typer.Option("--keep-faces", help="Screenshots will not be blurred.")] = False,
) -> None:
    """Draft the documents a deployment needs, from its declaration.

    Writes dpia.md (data protection impact assessment), record_of_processing.md,
    notice_for_learners.md and ai_act_worksheet.md. Points that only the operator can answer
    are marked. The drafts are not legal advice.

    Example:
      mien policy documents --out documents/
    """
    from dataclasses import asdict

    from mien.evaluation.card_page import LIMITS
    from mien.files import write_text
    from mien.privacy.deployment_documents import deployment_documents as written
    from mien.privacy.document_parts import Facts
    from mien.privacy.level import Level
    from mien.settings import LiveSettings
    from mien.version import VERSION
    from mien.vision.bundles import bundle_path, read_record
    from mien.vision.predictor import Predictor

    decided = policy_for(deployment, needed=True)
    decided.require(Level.OBSERVABLES)
    bundle = bundle_path(model)
    record = read_record(bundle) or {"sha256": "", "evaluations": {}}
    facts = Facts(
        policy=decided,
        card=Predictor(bundle).card,
        sha256=record["sha256"],
        settings=asdict(LiveSettings(source="auto", out=sessions, model=model, keep_faces=keep_faces)),
        root=str(sessions),
        version=VERSION,
        evaluations=record["evaluations"],
        limits=LIMITS,
    )
    for name, text in written(facts).items():
        write_text(out / name, text)
        points = text.count("[[OPERATOR:")
        print(f"{out / name}: " + (f"{points} point{'s' if points > 1 else ''} to complete" if points else "complete"))


def _print_policy(text: str) -> None:
    """Print a policy so that no word is broken at the edge of the terminal."""
    from mien.cli.output import whole_words

    for line in text.splitlines():
        label, value = line[:_LABEL], line[_LABEL:]
        print(whole_words(value, label) if value and label.endswith(" ") else whole_words(line))


def _ask(key: str) -> Any:
    """Ask the question of ``key`` and return the answer; a choice is asked again until it is valid."""
    from mien.cli.output import whole_words
    from mien.errors import UsageError
    from mien.privacy.deployment import CHOICES, EXCLUDED_PURPOSES, QUESTIONS

    option = f"--{key.replace('_', '-')}"
    try:
        if key == "minors":
            return typer.confirm(QUESTIONS[key])
        if key not in CHOICES:
            return typer.prompt(QUESTIONS[key], default="" if key == "approval" else None, show_default=False)
        words = list(CHOICES[key])
        print(QUESTIONS[key])
        for number, word in enumerate(words, start=1):
            excluded = ", refused" if word in EXCLUDED_PURPOSES else ""
            print(whole_words(f"{CHOICES[key][word]}{excluded}", f"  {number:>2}  {word:<28} "))
        while True:
            answer = str(typer.prompt("Number or name")).strip()
            if answer in words:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(words):
                return words[int(answer) - 1]
            print(f"{answer!r} is not an option.")
    except typer.Abort as error:
        raise UsageError(f"no answer to {QUESTIONS[key]!r}. Answer it in a terminal, or pass {option}") from error
