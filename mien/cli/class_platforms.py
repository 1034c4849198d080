"""``mien class platforms``: learning platforms that open classes (LTI 1.3)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mien.cli.help import Group, HelpCommand
from mien.cli.options import ClassDb

if TYPE_CHECKING:
    from mien.web.classroom.database import ClassDatabase
    from mien.web.lti.platforms import Platforms
    from mien.web.lti.settings import LtiSettings

platforms = typer.Typer(
    name="platforms",
    help="Register learning platforms (LTI 1.3).",
    cls=Group,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Url = Annotated[str, typer.Option("--url", help="Address of the class server.", show_default="$MIEN_CLASS_URL")]
Name = Annotated[str, typer.Argument(metavar="PLATFORM", help="Id that the list shows.")]


@platforms.command("invite", cls=HelpCommand)
def invite(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the platform.")],
    issuer: Annotated[str, typer.Option("--issuer", help="Issuer, if it is on another host.", show_default="the address")] = "",
    url: Url = "",
    db: ClassDb = "",
) -> None:
    """Print a link with which a platform registers itself.

    For dynamic registration. The link works once, within a week, and for this platform only.

    Example:
      mien class platforms invite https://moodle.example.org
    """
    import os

    with _platforms_in(db, url or os.environ.get("MIEN_CLASS_URL", "")) as registered:
        print(registered.invite(address, issuer))


@platforms.command("add", cls=HelpCommand)
def add(
    address: Annotated[str, typer.Argument(metavar="ISSUER", help="Issuer: the platform's address, exactly as it sends it.")],
    client_id: Annotated[str, typer.Option("--client-id", help="Client id that the platform shows.")],
    authorization_url: Annotated[str, typer.Option("--authorization-url", help="Address for logins (OIDC authorization).")],
    keys_url: Annotated[str, typer.Option("--keys-url", help="Address of the platform's keys (JWKS).")],
    deployment: Annotated[Path, typer.Option(metavar="FILE", help="The institution's declaration (mien policy init).")],
    deployment_id: Annotated[list[str] | None, typer.Option("--deployment-id", help="Deployment id; repeatable.")] = None,
    origin: Annotated[list[str] | None, typer.Option("--origin", help="Origin of pages that embed classes; repeatable.")] = None,
    name: Annotated[str, typer.Option("--name", help="Name for the list.", show_default="the issuer")] = "",
    db: ClassDb = "",
) -> None:
    """Register a platform by hand, and print what may be read.

    Example:
      mien class platforms add https://lms.example --client-id 7b5c \\
        --deployment-id 1 --authorization-url https://lms.example/auth \\
        --keys-url https://lms.example/keys --deployment deployment.toml
    """
    from mien.privacy.deployment import read_deployment
    from mien.privacy.policy import policy_text

    declaration = read_deployment(deployment)
    with _platforms_in(db) as registered:
        found = registered.add(
            issuer=address,
            client_id=client_id,
            authorization_endpoint=authorization_url,
            jwks_uri=keys_url,
            declaration=declaration,
            name=name,
            origins=origin or (),
            deployment_ids=deployment_id or (),
        )
    print(f"Registered {found.id}\n\n{policy_text(found.policy)}")


@platforms.command("deployment", cls=HelpCommand)
def add_deployment(
    name: Name, deployment_id: Annotated[str, typer.Argument(metavar="ID", help="Deployment id.")], db: ClassDb = ""
) -> None:
    """Accept one more installation of the tool in a platform.

    Example:
      mien class platforms deployment 5f0c1d2e3a4b5c6d 12:9f8e
    """
    with _platforms_in(db) as registered:
        registered.add_deployment(name, deployment_id)
    print(f"Added {deployment_id}")


@platforms.command("list", cls=HelpCommand)
def list_platforms(db: ClassDb = "") -> None:
    """List the platforms, their deployments and what may be read.

    Example:
      mien class platforms list
    """
    with _platforms_in(db) as registered:
        for each in registered.all():
            print(f"{each.id}  {each.name}")
            print(f"  issuer         {each.issuer}")
            print(f"  client id      {each.client_id}")
            print(f"  deployments    {', '.join(each.deployments) or 'none: add one with mien class platforms deployment'}")
            print(f"  embedded in    {', '.join(each.origins)}")
            print(f"  may be read    {each.policy.level} ({each.policy.rule.name})")


@platforms.command("remove", cls=HelpCommand)
def remove(name: Name, db: ClassDb = "") -> None:
    """Remove a platform; classes that are open stay open.

    Example:
      mien class platforms remove 5f0c1d2e3a4b5c6d
    """
    with _platforms_in(db) as registered:
        registered.remove(name)
    print(f"Removed {name}")


@platforms.command("rotate", cls=HelpCommand)
def rotate(
    compromised: Annotated[bool, typer.Option("--compromised", help="Replace all keys after a leak.")] = False,
    db: ClassDb = "",
) -> None:
    """Switch to the next signing key. Without this, keys rotate every 90 days.

    Platforms already know the next key, so nothing has to be changed there. With --compromised, all
    keys are deleted and new ones created, which platforms must fetch.

    Example:
      mien class platforms rotate --compromised
    """
    import time

    with _opened(db) as (database, settings):
        from mien.web.lti.keys import ToolKeys  # needs the extra that has just been checked

        kid = ToolKeys(database.engine, settings, time.time).rotate(compromised=compromised)
    print(f"Key {kid} is now used for signing")
    if compromised:
        print("All earlier keys were deleted. Platforms must fetch the new ones before teachers can add a class to a course")


@contextmanager
def _platforms_in(db: str, url: str = "") -> Iterator[Platforms]:
    """Yield the platforms in the class server's database."""
    import time

    with _opened(db, url) as (database, settings):
        from mien.web.lti.platforms import Platforms  # needs the extra that has just been checked

        yield Platforms(database.engine, settings, time.time)


@contextmanager
def _opened(db: str, url: str = "") -> Iterator[tuple[ClassDatabase, LtiSettings]]:
    """Yield the class server's database with the tables of LTI, and the settings of the tool."""
    from mien.errors import require

    require(("sqlalchemy", "joserfc"), "lti", "LTI")
    from mien.web.classroom.database import open_class_database
    from mien.web.lti.settings import LtiSettings
    from mien.web.lti.tables import create_tables

    settings = LtiSettings(base_url=url)
    with closing(open_class_database(db)) as database:
        create_tables(database.engine)
        yield database, settings
