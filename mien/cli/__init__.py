"""The command line. ``mien COMMAND``, ``python -m mien COMMAND`` and the five root scripts are equivalent.

Each command imports what it needs when it runs, so that ``--help`` is fast.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Final, NoReturn

import typer

from mien.cli.analyze import analyze
from mien.cli.class_server import class_server
from mien.cli.compare import compare
from mien.cli.doctor import doctor
from mien.cli.evaluate import evaluate
from mien.cli.explain import explain
from mien.cli.export import export
from mien.cli.help import Group, HelpCommand
from mien.cli.labels import labels
from mien.cli.live import live
from mien.cli.models import models
from mien.cli.monitor import monitor
from mien.cli.output import open_closed_streams, speak_any_encoding
from mien.cli.policy import policy
from mien.cli.prepare import prepare
from mien.cli.privacy import privacy
from mien.cli.retrain import retrain
from mien.cli.sessions import sessions
from mien.cli.states import states
from mien.cli.system import system
from mien.cli.train import train
from mien.cli.train_detector import train_detector
from mien.cli.web import web
from mien.errors import FaultsError, MienError, StorageError, is_full
from mien.stops import STOPPED, orderly_stops
from mien.version import VERSION
from mien.visible import visible, visible_output


def _print_version(asked: bool) -> None:
    if asked:
        print(f"mien {VERSION}")
        raise typer.Exit


app = typer.Typer(
    name="mien",
    help="Facial-expression analytics for online learning. Mien reads expressions, not what a person feels.",
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_PANELS: Final[Mapping[str, tuple[Callable[..., None] | typer.Typer, ...]]] = {
    "Analyse": (live, web, analyze, explain, sessions, states),
    "Train and evaluate": (prepare, labels, train, train_detector, export, evaluate, compare, retrain, models),
    "Operate": (doctor, system, class_server, monitor, policy, privacy),
}
for _panel, _entries in _PANELS.items():
    for _entry in _entries:
        if isinstance(_entry, typer.Typer):
            app.add_typer(_entry, rich_help_panel=_panel)
        else:
            app.command(cls=HelpCommand, rich_help_panel=_panel)(_entry)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    pass


def main(verb: str | None = None) -> NoReturn:
    """Run the command line and exit.

    Exit codes: 0 success, 2 usage, 3 input data, 4 device or environment, 5 something could not be saved, 10 drift found
    (``mien monitor``), 11 a retrained model fails a gate, 130 stopped by Ctrl-C, SIGTERM or SIGHUP.

    Args:
        verb: run this command, as the root scripts do; without it the first argument names one.
    """
    arguments = [verb, *sys.argv[1:]] if verb else sys.argv[1:]
    open_closed_streams()
    speak_any_encoding()
    with orderly_stops(), visible_output():
        try:
            try:
                app(arguments, prog_name="mien")
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()
        except MienError as error:
            said = str(error) if isinstance(error, FaultsError) else visible(str(error))  # a line for each fault
            print(f"error: {said}", file=sys.stderr)
            sys.exit(error.exit_code)
        except OSError as error:
            if not (is_full(error) or isinstance(error, BrokenPipeError)):
                raise
            sys.stdout = io.TextIOWrapper(open(os.devnull, "wb"))  # noqa: PTH123, SIM115  what is left in it fits nowhere
            if isinstance(error, BrokenPipeError):  # the reader of the pipe has read enough
                sys.exit(1)
            name = error.filename or "the output"
            print(f"error: cannot write {name}: {error.strerror}. Free some space", file=sys.stderr)
            sys.exit(StorageError.exit_code)
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            sys.exit(STOPPED)
        sys.exit(0)
