"""``mien web``: the live dashboard in the browser."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from mien.cli.options import SESSIONS_DEFAULT, Declaration, Model, Person, SmoothingS

_MODEL: Final = "mien-xs"
"""As ``mien.web.networks.PAGE_MODEL``, which would load OpenCV for --help."""


def web(
    keep: Annotated[bool, typer.Option("--keep", help="Keep sessions (numbers, no pictures) in results/sessions.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Port.", show_default="8731, or a free one")] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")] = True,
    model: Model = _MODEL,
    smoothing_s: SmoothingS = 0.4,
    deployment: Declaration = None,
    person: Person = "",
) -> None:
    """Open the live dashboard in the browser.

    Faces are read in the page.

    The page is served on this computer (127.0.0.1). Pictures never leave it: the browser lets it
    connect to this server only. Without --keep nothing is kept; with it, sessions appear in
    mien sessions and go where MIEN_DB, MIEN_LRS and MIEN_WEBHOOK say, as those of mien live do.

    Examples:
      mien web
      mien web --keep --model mien-s
    """
    import sys

    from mien.errors import require

    require(("starlette", "uvicorn"), "web", "The page in the browser")
    from mien.web.app import WebSettings, create_app
    from mien.web.server import serve

    settings = WebSettings(
        model=model, sessions=SESSIONS_DEFAULT, keep=keep, smoothing_s=smoothing_s, deployment=deployment, person=person
    )
    app = create_app(settings)
    for notice in app.notices:
        print(notice, file=sys.stderr)
    serve(app, port, browser)
