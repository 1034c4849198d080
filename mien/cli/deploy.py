"""``mien deploy``: declare who uses the program where, and see what may be read there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mien.cli.options import MODEL_DEFAULT, Model

deploy = typer.Typer(
    name="deploy",
    help="The deployment declaration: init, check, table, papers.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

DEPLOYMENT_DEFAULT = Path("deployment.toml")


@deploy.command("init")
def init(
    out: Annotated[Path, typer.Option(help="The file to write; one that is there is not overwritten.")] = DEPLOYMENT_DEFAULT,
    context: Annotated[str | None, typer.Option(help="Where it is used; the choices stand in the questions.")] = None,
    jurisdiction: Annotated[str | None, typer.Option(help="EU, EEA, UK, US or other.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for.")] = None,
    operator: Annotated[str | None, typer.Option(help="Who decides and answers for it.")] = None,
    contact: Annotated[str | None, typer.Option(help="Where people reach them.")] = None,
    minors: Annotated[bool | None, typer.Option("--minors/--no-minors", help="People under 18 may be in the picture.")] = None,
    legal_basis: Annotated[str | None, typer.Option(help="Legal basis after GDPR Art. 6, or none.")] = None,
    retention_days: Annotated[int | None, typer.Option(help="After how many days sessions are erased (30).")] = None,
    approval: Annotated[str | None, typer.Option(help="The ethics committee's approval of a study.")] = None,
    description: Annotated[str | None, typer.Option(help="What is done, in a sentence or two.")] = None,
) -> None:
    """Declare a deployment: asks in plain words for whatever no option says, and prints the decision.

    Example: mien deploy init --context own-use --jurisdiction EU --purpose self-observation
    """
    from mien.errors import UsageError
    from mien.files import write_text
    from mien.privacy.deployment import declare, deployment_text, needed
    from mien.privacy.policy import decide, policy_text

    if out.exists():
        raise UsageError(f"{out} is there already. Change it by hand, remove it, or choose another file with --out")
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
    print(policy_text(decide(deployment)))


@deploy.command("check")
def check(file: Annotated[Path, typer.Argument(help="The declaration.")] = DEPLOYMENT_DEFAULT) -> None:
    """Check a declaration, and say what may be read under it and why. Ends with 2 where that is nothing.

    Example: mien deploy check deployment.toml
    """
    from mien.privacy.deployment import read_deployment
    from mien.privacy.level import Level
    from mien.privacy.policy import decide, policy_text

    policy = decide(read_deployment(file))
    print(policy_text(policy))
    if policy.level is Level.REFUSED:
        raise typer.Exit(2)


@deploy.command("table")
def table() -> None:
    """Print the policy table as Markdown: every case, what may be read there, and why.

    Example: mien deploy table
    """
    from mien.privacy.rules import table_text

    print(table_text(), end="")


@deploy.command("papers")
def papers(
    out: Annotated[Path, typer.Option(help="Folder for the papers.")],
    deployment: Annotated[Path, typer.Option(help="The declaration.")] = DEPLOYMENT_DEFAULT,
    model: Model = MODEL_DEFAULT,
    root: Annotated[Path, typer.Option(help="The folder with the sessions.")] = Path("results/sessions"),
    keep_faces: Annotated[bool, typer.Option("--keep-faces", help="Screenshots will keep faces.")] = False,
) -> None:
    """Write drafts of the papers a deployment needs, from its real configuration; what only you know is marked.

    dpia.md (data protection impact assessment), record_of_processing.md, notice_for_learners.md
    and ai_act_worksheet.md. Engineering, not legal advice.

    Example: mien deploy papers --out papers/
    """
    from dataclasses import asdict

    from mien.evaluation.card_page import LIMITS
    from mien.files import write_text
    from mien.privacy.deployment import read_deployment
    from mien.privacy.level import Level
    from mien.privacy.paper_parts import Facts
    from mien.privacy.papers import papers as written
    from mien.privacy.policy import decide
    from mien.settings import LiveSettings
    from mien.version import VERSION
    from mien.vision.bundles import bundle_path, read_record
    from mien.vision.predictor import Predictor

    policy = decide(read_deployment(deployment))
    policy.require(Level.OBSERVABLES)
    bundle = bundle_path(model)
    record = read_record(bundle) or {"sha256": "", "evaluations": {}}
    facts = Facts(
        policy=policy,
        card=Predictor(bundle).card,
        sha256=record["sha256"],
        settings=asdict(LiveSettings("auto", root, model, keep_faces=keep_faces)),
        root=str(root),
        version=VERSION,
        evaluations=record["evaluations"],
        limits=LIMITS,
    )
    for name, text in written(facts).items():
        write_text(out / name, text)
        points = text.count("[[OPERATOR:")
        print(f"{out / name}: " + (f"{points} points open" if points else "nothing open"))


def _ask(key: str) -> Any:
    """Return the answer to the question of ``key``; choices are asked for until one of them is given."""
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
            print(f"  {number:>2}  {word:<28} {CHOICES[key][word]}{excluded}")
        while True:
            answer = str(typer.prompt("Number or word")).strip()
            if answer in words:
                return answer
            if answer.isdecimal() and 1 <= int(answer) <= len(words):
                return words[int(answer) - 1]
            print(f"{answer!r} is not one of them.")
    except typer.Abort as error:
        raise UsageError(f"no answer to the question {QUESTIONS[key]!r}. Answer it in a terminal, or give {option}") from error
