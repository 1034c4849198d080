"""The command line: ``mien VERB``, ``python -m mien VERB`` and the five root scripts are one door.

Nothing heavy is imported here: each verb imports what it needs when it runs, so ``--help``
answers at once.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from mien.cli.analyze import analyze
from mien.cli.audit_log import audit
from mien.cli.compare import compare
from mien.cli.deploy import deploy
from mien.cli.evaluate import evaluate
from mien.cli.explain import explain
from mien.cli.export import export
from mien.cli.fetch import fetch
from mien.cli.groups import groups
from mien.cli.live import live
from mien.cli.models import models
from mien.cli.monitor import monitor
from mien.cli.prepare import prepare
from mien.cli.privacy import privacy
from mien.cli.retrain import retrain
from mien.cli.sessions import sessions
from mien.cli.states import states
from mien.cli.system import system
from mien.cli.train import train
from mien.errors import MienError

app = typer.Typer(
    name="mien",
    help="Real-time facial-expression analytics, and the whole path to the model behind it. Expression, not feeling.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (prepare, train, export, retrain, evaluate, compare, explain, live, analyze, groups, system, fetch):
    app.command()(_verb)
for _group in (models, monitor, deploy, audit, privacy, sessions, states):
    app.add_typer(_group)


def main(verb: str | None = None) -> NoReturn:
    """Run the command line and exit: 0 done, 2 usage, 3 bad input data, 4 device or environment, 10 drift found
    (``monitor images``), 130 Ctrl-C.

    Args:
        verb: run this verb, as the root scripts do; without it the first argument names one.
    """
    arguments = [verb, *sys.argv[1:]] if verb else sys.argv[1:]
    try:
        app(arguments, prog_name="mien")
    except MienError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
