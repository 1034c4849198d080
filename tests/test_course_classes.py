"""Launches from a learning platform open classes of the class server; the commands that register platforms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lti_platform import CLUB, UNIVERSITY
from typer.testing import CliRunner

from mien.cli.class_platforms import platforms as commands
from mien.errors import NotPermittedError, UsageError
from mien.privacy.deployment import Deployment, deployment_text
from mien.privacy.lesson_bins import LessonPlan
from mien.privacy.level import Level
from mien.web.classroom.closing import Closer
from mien.web.classroom.database import ClassDatabase
from mien.web.classroom.links import LinkKind
from mien.web.classroom.participants import Participants
from mien.web.classroom.store import MAX_LINKS, SHORT_LINK_S, ClassStore
from mien.web.course_classes import CourseClasses, series_of
from mien.web.lti.keys import ToolKeys
from mien.web.lti.launch import Launch, Role
from mien.web.lti.platforms import Platforms
from mien.web.lti.settings import LtiSettings


@pytest.fixture
def database(database_url: str) -> Iterator[ClassDatabase]:
    database = ClassDatabase(database_url)
    yield database
    database.close()


@pytest.fixture
def store(database: ClassDatabase) -> ClassStore:
    return ClassStore(database)


@pytest.fixture
def courses(store: ClassStore) -> CourseClasses:
    return CourseClasses(store, LessonPlan())


def launch(role: Role = Role.LEARNER, **changes: Any) -> Launch:
    values: dict[str, Any] = {
        "platform": "0123456789abcdef",
        "deployment": "1",
        "context": "course-9",
        "resource": "link-5",
        "title": "Lecture 3",
        "language": "de",
        "person": "0" * 32,
        "declaration": CLUB,
        **changes,
    }
    return Launch(role=role, **values)


def token_of(path: str, kind: LinkKind) -> str:
    place, _, token = path.partition("#")
    assert place == f"/{kind.value}"
    return token


def test_a_teacher_opens_the_class_that_learners_join(courses: CourseClasses, store: ClassStore) -> None:
    with pytest.raises(UsageError, match="not opened"):
        courses(launch())
    teach = token_of(courses(launch(Role.TEACHER)), LinkKind.TEACH)
    taught = store.class_of(teach, LinkKind.TEACH)
    assert taught is not None
    assert (taught.title, taught.level, taught.state) == ("Lecture 3", Level.FULL, "waiting")
    first, second = (token_of(courses(launch(person=person)), LinkKind.JOIN) for person in ("1" * 32, "2" * 32))
    assert first != second  # a link of one's own
    for token in (first, second):
        joined = store.class_of(token, LinkKind.JOIN)
        assert joined is not None
        assert joined.class_id == taught.class_id
        assert store.class_of(token, LinkKind.TEACH) is None
    other_teacher = store.class_of(token_of(courses(launch(Role.TEACHER)), LinkKind.TEACH), LinkKind.TEACH)
    assert other_teacher == taught


def test_links_are_for_one_person_whose_hash_differs_by_class(
    courses: CourseClasses, store: ClassStore, database: ClassDatabase
) -> None:
    participants = Participants(database, time.time)

    def person(**changes: Any) -> str | None:
        return participants.person_of(token_of(courses(launch(**changes)), LinkKind.JOIN))

    for resource in ("link-5", "link-6"):
        teach = token_of(courses(launch(Role.TEACHER, resource=resource)), LinkKind.TEACH)
        assert participants.person_of(teach) is None
    one, again, other, elsewhere = person(), person(), person(person="1" * 32), person(resource="link-6")
    assert one == again
    assert len({one, other, elsewhere, "0" * 32, None}) == 5


def test_each_link_in_a_course_is_a_class(courses: CourseClasses, store: ClassStore) -> None:
    courses(launch(Role.TEACHER))
    for changes in ({"resource": "link-6"}, {"context": "course-10"}, {"deployment": "2"}, {"platform": "f" * 16}):
        with pytest.raises(UsageError):
            courses(launch(**changes))
    assert series_of(launch(context="a", resource="bc")) != series_of(launch(context="ab", resource="c"))


def test_after_a_lesson_learners_wait_for_the_next_one(
    courses: CourseClasses, store: ClassStore, database: ClassDatabase
) -> None:

    taught = store.class_of(token_of(courses(launch(Role.TEACHER)), LinkKind.TEACH), LinkKind.TEACH)
    assert taught is not None
    store.start(taught.class_id)
    assert courses(launch()).startswith("/join#")
    Closer(database, time.time).end(taught.class_id)
    with pytest.raises(UsageError, match="over"):
        courses(launch())
    again = store.class_of(token_of(courses(launch(Role.TEACHER)), LinkKind.TEACH), LinkKind.TEACH)
    assert again is not None
    assert again.class_id == taught.class_id  # to look back
    following = store.open_class("Lecture 4", series=taught.series)
    joined = store.class_of(token_of(courses(launch()), LinkKind.JOIN), LinkKind.JOIN)
    assert joined is not None
    assert joined.class_id == following.class_id


@pytest.mark.parametrize(("usual", "declaration"), [(True, UNIVERSITY), (False, CLUB)])
def test_the_stricter_of_server_and_institution_decides(store: ClassStore, usual: bool, declaration: Deployment) -> None:
    courses = CourseClasses(store, LessonPlan(expressions=usual))
    taught = store.class_of(token_of(courses(launch(Role.TEACHER, declaration=declaration)), LinkKind.TEACH), LinkKind.TEACH)
    assert taught is not None
    assert taught.level is Level.OBSERVABLES


def test_a_class_keeps_the_declaration_of_its_institution(courses: CourseClasses, store: ClassStore) -> None:
    for platform, declaration in (("a" * 16, UNIVERSITY), ("b" * 16, CLUB)):
        path = courses(launch(Role.TEACHER, platform=platform, declaration=declaration))
        taught = store.class_of(token_of(path, LinkKind.TEACH), LinkKind.TEACH)
        assert taught is not None
        assert taught.declaration == declaration


def test_launches_do_not_use_up_the_teachers_links(courses: CourseClasses, store: ClassStore) -> None:
    taught = store.class_of(token_of(courses(launch(Role.TEACHER, title="")), LinkKind.TEACH), LinkKind.TEACH)
    assert taught is not None
    assert taught.title == "Class"
    for _ in range(MAX_LINKS + 5):
        courses(launch())
    store.issue(LinkKind.JOIN, taught.class_id)
    for _ in range(MAX_LINKS - 3):  # two came with the class
        store.issue(LinkKind.JOIN, taught.class_id)
    with pytest.raises(UsageError, match="links"):
        store.issue(LinkKind.JOIN, taught.class_id)
    assert courses(launch()).startswith("/join#")


def test_links_of_launches_expire_and_can_be_revoked(store: ClassStore) -> None:
    ahead = [0.0]
    store.clock = lambda: time.time() + ahead[0]
    courses = CourseClasses(store, LessonPlan())
    taught = store.class_of(token_of(courses(launch(Role.TEACHER)), LinkKind.TEACH), LinkKind.TEACH)
    assert taught is not None
    token = token_of(courses(launch()), LinkKind.JOIN)
    store.revoke(LinkKind.JOIN, taught.class_id)
    assert not store.permits(token, LinkKind.JOIN)
    token = token_of(courses(launch()), LinkKind.JOIN)
    assert store.permits(token, LinkKind.JOIN)
    ahead[0] = SHORT_LINK_S + 1
    assert not store.permits(token, LinkKind.JOIN)


def run(*arguments: str) -> str:
    done = CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def named_database(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Name an empty database, as a class server leaves it, for the command line."""
    ClassDatabase(f"sqlite:///{here / 'classes.db'}").close()
    monkeypatch.setenv("MIEN_CLASS_DB", str(here / "classes.db"))


def declared(folder: Path, deployment: Deployment) -> str:
    (folder / "deployment.toml").write_text(deployment_text(deployment))
    return str(folder / "deployment.toml")


def add(here: Path, declaration: Deployment = UNIVERSITY, *more: str) -> str:
    """Register a platform on the command line; return its name."""
    lms = "https://lms.example.org"
    options = ["--client-id", "c-1", "--authorization-url", f"{lms}/auth", "--keys-url", f"{lms}/keys"]
    said = run("add", lms, *options, "--deployment", declared(here, declaration), *more)
    return said.split()[1]


def test_platforms_on_the_command_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named_database(here, monkeypatch)
    name = add(here, UNIVERSITY, "--deployment-id", "1", "--origin", "https://apps.example.org")
    run("deployment", name, "2")
    shown = run("list")
    for part in (name, "c-1", "1, 2", "https://lms.example.org, https://apps.example.org", "observables (institution-in-union)"):
        assert part in shown
    with pytest.raises(UsageError):
        add(here)
    run("remove", name)
    assert run("list") == ""
    with pytest.raises(UsageError):
        run("remove", name)
    with pytest.raises(NotPermittedError):
        add(here, Deployment("own-use", "EU", "self-observation"))


def test_an_invitation_is_valid_for_the_server_with_this_database(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named_database(here, monkeypatch)
    link = run("invite", "https://moodle.example.org/moodle", "--url", "https://class.example.org").strip()
    assert link.startswith("https://class.example.org/lti/register/")
    database = ClassDatabase(f"sqlite:///{here / 'classes.db'}")
    known = Platforms(database.engine, LtiSettings(), time.time)
    assert known.invited(link.rpartition("/")[2]).origin == "https://moodle.example.org"
    database.close()
    with pytest.raises(UsageError):
        run("invite", "https://moodle.example.org")
    monkeypatch.setenv("MIEN_CLASS_URL", "https://class.example.org")
    assert run("invite", "https://moodle.example.org").startswith("https://class.example.org/")
    with pytest.raises(UsageError):
        run("invite", "http://moodle.example.org")


def test_keys_on_the_command_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named_database(here, monkeypatch)
    said = run("rotate", "--compromised")
    database = ClassDatabase(f"sqlite:///{here / 'classes.db'}")
    rows = ToolKeys(database.engine, LtiSettings(), time.time).published()["keys"]
    database.close()
    assert len(rows) == 2
    assert said.split()[1] in {row["kid"] for row in rows}


def test_a_club_may_read_expressions(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named_database(here, monkeypatch)
    add(here, CLUB)
    assert "full (learning-in-union)" in run("list")
