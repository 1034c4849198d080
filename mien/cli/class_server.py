"""``mien class``: the class server, which shows aggregates of a group, never of a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.class_platforms import platforms as platform_commands
from mien.cli.help import Group, HelpCommand
from mien.cli.options import ClassDb, Declaration, Model

if TYPE_CHECKING:
    from mien.web.classroom.store import ClassStore

_MODEL = "mien-xs"
"""As ``mien.web.networks.PAGE_MODEL``, which would load OpenCV for --help."""

class_server = typer.Typer(
    name="class",
    help="Run a class server: group statistics, never of a person.",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)

class_server.add_typer(platform_commands)

Url = Annotated[
    str, typer.Option("--url", help="Address that browsers use.", show_default="$MIEN_CLASS_URL or http://127.0.0.1:PORT")
]
Port = Annotated[int, typer.Option("--port", min=1, max=65535, help="Port.")]
ServerUrl = Annotated[
    str,
    typer.Option(
        "--url",
        help="Address of the server.",
        show_default="$MIEN_CLASS_URL or the address of the server that last used this database",
    ),
]
ServerPort = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65535,
        help="Port of a server on this computer.",
        show_default="the port in the address",
    ),
]
Budget = Annotated[
    float | None, typer.Option("--budget", help="Privacy budget of a participant for a lesson (rho).", show_default="0.75")
]
_PORT = 8732


@class_server.command("serve", cls=HelpCommand)
def serve(
    host: Annotated[
        str,
        typer.Option("--host", help="Address to listen on; only loopback is allowed without a declaration."),
    ] = "127.0.0.1",
    port: Port = _PORT,
    url: Url = "",
    db: ClassDb = "",
    model: Model = _MODEL,
    deployment: Declaration = None,
    budget: Budget = None,
    embed: Annotated[
        list[str] | None,
        typer.Option("--embed", metavar="ORIGIN", help="Origin whose pages may embed this server's pages; repeatable."),
    ] = None,
    trust_proxy: Annotated[
        str, typer.Option("--trust-proxy", metavar="ADDRESSES", help="Reverse proxies whose X-Forwarded-For header is trusted.")
    ] = "127.0.0.1",
) -> None:
    """Serve classes until Ctrl-C or SIGTERM.

    Teachers open classes with a link that mien class invite prints, or that this command prints on
    its first start. Several processes on several machines may share one PostgreSQL database.
    Browsers give cameras to pages over HTTPS only: use a reverse proxy with TLS and pass its
    address with --url.

    Examples:
      mien class serve
      mien class serve --url https://class.example.org
      mien class serve --db postgresql://mien@/classes
    """
    import os
    import shlex
    import sys

    from mien.errors import missing_package, require

    require(("starlette", "uvicorn", "segno", "sqlalchemy"), "web", "The class server")
    from mien.web.classroom.app import create_class_app
    from mien.web.classroom.database import open_class_database
    from mien.web.classroom.operation import Metrics
    from mien.web.classroom.server import listen, serve_classes
    from mien.web.classroom.settings import ClassSettings
    from mien.web.classroom.statements import statement_sender

    settings = ClassSettings(
        url=_url(url, port),
        listen_host=host,
        model=model,
        deployment=deployment,
        budget=_budget(budget),
        embedders=tuple(embed or ()),
        metrics_token=os.environ.get("MIEN_CLASS_METRICS_TOKEN", ""),
    )
    metrics, platforms = Metrics(), None
    with closing(open_class_database(db, create=True)) as database, statement_sender(database, settings) as on_end:
        if missing_package(("joserfc",)) is None:
            from mien.web.course_classes import LearningPlatforms

            platforms = LearningPlatforms(database, settings, metrics)
        web = create_class_app(
            settings,
            database,
            more_routes=platforms.routes if platforms else (),
            more_embedders=platforms.embedders if platforms else tuple,
            metrics=metrics,
            on_end=on_end,
        )
        listener = listen(host, port)  # only after the policy has been checked
        for notice in web.notices:
            print(notice, file=sys.stderr)
        print(f"Mien's class server is at {settings.url}  (Ctrl-C ends it)", flush=True)
        web.store.remember_address(settings.url)
        if not web.store.has_invitation():
            _print_invitation(web.store, settings.url)
        else:
            print(f"A link for teachers: {shlex.join(['mien', 'class', 'invite', *(['--db', db] if db else [])])}", flush=True)
        serve_classes(web, listener, trust_proxy)


@class_server.command("invite", cls=HelpCommand)
def invite(
    valid_days: Annotated[int, typer.Option("--valid-days", min=1, max=3650, help="Days until the link expires.")] = 365,
    revoke: Annotated[bool, typer.Option("--revoke", help="First revoke all earlier invitations.")] = False,
    port: ServerPort = None,
    url: ServerUrl = "",
    db: ClassDb = "",
) -> None:
    """Print a link that teachers use to open classes.

    Anybody with the link may open classes, and sees only those that they opened.

    Example:
      mien class invite --revoke
    """
    from mien.web.classroom.links import LinkKind

    with _store(db) as store:
        address = _address(store, url, port)
        if revoke:
            print(f"Revoked {store.revoke(LinkKind.OPEN)} invitations.")
        _print_invitation(store, address, valid_days)


@class_server.command("open", cls=HelpCommand)
def open_class(
    title: Annotated[str, typer.Argument(help="Title of the class.")],
    bin_s: Annotated[int, typer.Option("--bin-s", help="Length of a bin in seconds.")] = 300,
    bins: Annotated[int, typer.Option("--bins", help="Number of bins of the lesson.")] = 12,
    k: Annotated[int, typer.Option("--k", help="Minimum number of people for which numbers are shown, 10 to 1000.")] = 10,
    deployment: Declaration = None,
    budget: Budget = None,
    port: ServerPort = None,
    url: ServerUrl = "",
    db: ClassDb = "",
) -> None:
    """Open a class and print its links.

    The more bins, the more noise each number gets. The amount is printed. If the server was started
    with --budget, pass the same value.

    Example:
      mien class open "Algebra" --bin-s 300 --bins 18
    """
    from mien.privacy.lesson_bins import LessonPlan
    from mien.privacy.policy import permit_expressions
    from mien.web.classroom.links import LinkKind, link_url
    from mien.web.classroom.settings import ClassSettings

    with _store(db) as store:
        address = _address(store, url, port)
        policy, _ = ClassSettings(url=address, deployment=deployment).policy()
        plan = LessonPlan(bin_s=bin_s, bins=bins, k=k, budget=_budget(budget), expressions=permit_expressions(policy) is not None)
        opened = store.open_class(title, plan=plan)
    print(f"to teach  {link_url(address, LinkKind.TEACH, opened.teach)}")
    print(f"to join   {link_url(address, LinkKind.JOIN, opened.join)}")
    print(f"noise     {plan.noise:.1f} people (standard deviation) in each bin, {plan.signal_noise:.1f} on signals")


@class_server.command("simulate", cls=HelpCommand)
def simulate(
    learners: Annotated[
        int,
        typer.Option(
            "--learners",
            min=10,
            max=1000,
            help="Simulated learners; the fewer, the noisier the shares.",
        ),
    ] = 100,
    deployment: Declaration = None,
    budget: Budget = None,
    port: ServerPort = None,
    url: ServerUrl = "",
    db: ClassDb = "",
) -> None:
    """Open a trial class with simulated learners.

    Needs a trial server: one that runs on this computer without a declaration. The lesson lasts six
    minutes, in intervals of 30 seconds. Open the link to teach and press Start lesson. On Ctrl-C
    the learners leave. If the server was started with --budget, pass the same value.

    Example:
      mien class simulate --learners 200
    """
    from mien.web.classroom.links import LinkKind, link_url
    from mien.web.classroom.settings import ClassSettings

    with _store(db) as store:
        from mien.web.classroom.simulation import open_simulated_class, simulate_learners  # needs the extra that was checked

        settings = ClassSettings(url=_address(store, url, port), deployment=deployment, budget=_budget(budget))
        opened = open_simulated_class(store, settings, learners)
        print(f"to teach  {link_url(settings.url, LinkKind.TEACH, opened.teach)}")
        print(f"to join   {link_url(settings.url, LinkKind.JOIN, opened.join)}")
        print(f"{learners} simulated learners wait for Start lesson, and leave at its end  (Ctrl-C stops them)", flush=True)
        simulate_learners(store, opened.class_id, learners)


@class_server.command("backup", cls=HelpCommand)
def backup_classes(out: Annotated[Path, typer.Argument(help="File to write.")], db: ClassDb = "") -> None:
    """Write a copy of the SQLite database while servers use it.

    Participants and their messages are left out. To restore the copy, stop the servers, replace the
    database with the file, and start them again.

    Example:
      mien class backup /var/backups/classes.db
    """
    from mien.errors import require

    require(("sqlalchemy",), "web", "The class server")
    from mien.web.classroom.backup import backup
    from mien.web.classroom.database import open_class_database

    with closing(open_class_database(db)) as database:
        backup(database, out)
    print(f"Wrote {out}")


def _url(url: str, port: int) -> str:
    """Return the address of the server as browsers write it."""
    import os

    from mien.web.classroom.settings import ClassSettings

    named = url or os.environ.get("MIEN_CLASS_URL", "") or f"http://127.0.0.1:{port}"
    return ClassSettings(url=named.rstrip("/")).url


def _address(store: ClassStore, url: str, port: int | None) -> str:
    """Return the server's address: as given, else that of the last server with this database."""
    import os

    remembered = "" if port is not None or os.environ.get("MIEN_CLASS_URL") else store.address()
    return _url(url or remembered, port or _PORT)


@contextmanager
def _store(db: str) -> Iterator[ClassStore]:
    """Yield the classes in the class server's database."""
    from mien.errors import require

    require(("sqlalchemy",), "web", "The class server")
    from mien.web.classroom.database import open_class_database
    from mien.web.classroom.store import ClassStore

    with closing(open_class_database(db)) as database:
        yield ClassStore(database)


def _budget(budget: float | None) -> float:
    from mien.privacy.lesson_bins import LESSON_BUDGET

    return LESSON_BUDGET if budget is None else budget


def _print_invitation(store: ClassStore, url: str, valid_days: int = 365) -> None:
    from mien.web.classroom.links import LinkKind, link_url
    from mien.web.classroom.store import DAY_S

    token = store.issue(LinkKind.OPEN, lifetime_s=valid_days * DAY_S)
    print(f"Teachers open classes at {link_url(url, LinkKind.OPEN, token)}", flush=True)
