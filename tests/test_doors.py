"""One declaration holds for every door that reads faces: named, in the environment, or in the working directory."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from conftest import MienHere

from mien import Analyzer
from mien.cli import app
from mien.errors import DataError, MienError, NotPermittedError, UsageError
from mien.privacy.deployment import Deployment, deployment_text, find_deployment
from mien.privacy.policy import policy_here

OWN_USE = deployment_text(Deployment("own-use", "EU", "self-observation"))
READERS = ("live", "system", "analyze", "explain", "retrain", "labels", "monitor images")
"""The verbs that read faces of the people a deployment watches."""


@pytest.fixture
def mien(mien_here: MienHere, yunet: Path) -> MienHere:
    """The command line with YuNet."""
    return mien_here


@pytest.fixture
def elsewhere(school: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The school's declaration, in another folder than the working directory."""
    return school.rename(tmp_path_factory.mktemp("elsewhere") / "school.toml")


def reads(verb: str, clips: Path) -> tuple[str, ...]:
    """Return a command that reads faces."""
    recording = str(clips / "neutral_smile_neutral.mp4")
    return {
        "live": ("live", "--source", recording, "--headless", "--duration-s", "0.3", "--out", "s"),
        "system": ("system", "--source", recording, "--headless", "--out", "s"),
        "analyze": ("analyze", recording, "--out", "a", "--workers", "1"),
        "monitor images": ("monitor", "images", str(clips), "--out", "d"),
    }[verb]


@pytest.mark.parametrize("verb", ["live", "system", "analyze"])
@pytest.mark.parametrize("where", ["working directory", "environment", "option"])
def test_a_declaration_is_taken_wherever_it_is_and_named(
    verb: str, where: str, mien: MienHere, clips: Path, elsewhere: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: tuple[str, ...] = ()
    named = str(elsewhere)
    if where == "working directory":
        (here / "deployment.toml").write_bytes(elsewhere.read_bytes())
        named = "deployment.toml"
    else:
        (here / "deployment.toml").write_text(OWN_USE)  # what is named goes before what lies there
        if where == "option":
            (here / "own.toml").write_text(OWN_USE)
            more = ("--deployment", str(elsewhere))
        monkeypatch.setenv("MIEN_DEPLOYMENT", "own.toml" if where == "option" else str(elsewhere))
    code, out, err = mien(*reads(verb, clips), *more)
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["policy"] == "observables"
    assert f"Under the declaration {named}: observables, by the rule institution-in-union" in err


def test_a_session_under_the_declaration_of_its_folder_is_in_the_log(
    mien: MienHere, clips: Path, school: Path, here: Path
) -> None:
    mien(*reads("live", clips))
    code, out, _ = mien("privacy", "log", "show")
    assert code == 0
    assert "policy-decided" in out


def test_no_reading_is_explained_where_none_is_permitted(mien: MienHere, clips: Path, school: Path, here: Path) -> None:
    code, _, err = mien("explain", str(clips / "five_faces.jpg"), "--out", "e.png")
    assert code == 2
    assert "deployment.toml" in err
    assert "Art. 5(1)(f)" in err
    assert not (here / "e.png").exists()


def test_only_the_picture_is_watched_where_no_model_may_read(mien: MienHere, clips: Path, school: Path, here: Path) -> None:
    code, _, err = mien(*reads("monitor images", clips))
    assert code == 0, err
    assert "deployment.toml" in err
    facts = json.loads((here / "d" / "drift.json").read_text())
    assert (facts["sight"], facts["counts"]["faces"]) == ("picture", 5)
    assert list(facts["detectors"]) == ["quality"]


@pytest.mark.parametrize("verb", ["labels", "retrain"])
def test_new_faces_are_not_read_where_none_may_be(verb: str, mien: MienHere, fer_folder: Path, school: Path) -> None:
    faces = str(fer_folder / "train")
    more = ("labels", faces) if verb == "labels" else ("retrain", "--new-data", faces, "--data", faces)
    code, _, err = mien(*more)
    assert code == 2
    assert "Art. 5(1)(f)" in err


def test_the_library_takes_it_and_warns_of_what_nobody_named(
    clips: Path, yunet: Path, school: Path, caplog: pytest.LogCaptureFixture
) -> None:
    analyzer = Analyzer("mien-xs")
    assert "Under the declaration deployment.toml: observables" in caplog.text
    caplog.clear()
    faces = analyzer.image(clips / "five_faces.jpg").faces
    assert len(faces) == 5
    assert {face.unread for face in faces} == {"expressions off"}
    named = Analyzer("mien-xs", deployment=school)  # no warning: it was named on purpose
    assert named.image(clips / "five_faces.jpg").faces[0].label == ""
    assert not caplog.records


def test_every_verb_that_reads_faces_has_the_option() -> None:
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        for verb, each in {name: command, **{f"{name} {sub}": c for sub, c in getattr(command, "commands", {}).items()}}.items():
            found[verb] = any("--deployment" in parameter.opts for parameter in each.params)
    assert [verb for verb in READERS if not found[verb]] == []


def broken(kind: str, path: Path) -> None:
    """Put something at ``path`` that is no declaration."""
    if kind == "folder":
        path.mkdir()
    elif kind == "link that leads nowhere":
        path.symlink_to("gone.toml")
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no such pipes here")
        os.mkfifo(path)
    elif kind == "no TOML":
        path.write_text("[deployment\n")
    elif kind == "empty":
        path.write_text("")
    elif kind == "wrong value":
        path.write_text("[deployment]\ncontext = 'scool'\n")


@pytest.mark.parametrize("kind", ["folder", "pipe", "link that leads nowhere", "no TOML", "empty", "wrong value"])
@pytest.mark.parametrize("where", ["working directory", "environment", "argument"])
def test_a_broken_declaration_is_an_error_and_never_none(
    kind: str, where: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "deployment.toml" if where == "working directory" else "mine.toml"
    broken(kind, here / name)
    if where != "working directory":
        (here / "deployment.toml").write_text(OWN_USE)
    if where == "environment":
        monkeypatch.setenv("MIEN_DEPLOYMENT", name)
    doors: tuple[Callable[[str | None], object], ...] = (policy_here, lambda named: Analyzer("mien-xs", deployment=named))
    for door in doors:
        with pytest.raises((DataError, UsageError), match="declaration"):
            door(name if where == "argument" else None)


@pytest.mark.parametrize("verb", ["live", "system", "analyze", "monitor images"])
def test_no_verb_passes_over_a_broken_declaration(verb: str, mien: MienHere, clips: Path, here: Path) -> None:
    (here / "deployment.toml").symlink_to("gone.toml")
    code, _, err = mien(*reads(verb, clips))
    assert code == 3
    assert "cannot read the declaration deployment.toml" in err
    assert [path.name for path in here.iterdir()] == ["deployment.toml"]


def test_without_a_declaration_it_is_own_use_and_nothing_is_said(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_DEPLOYMENT", "")  # as an unset variable
    assert find_deployment() is None
    policy, said = policy_here()
    assert (policy.rule.name, said) == ("own-use", "")


def test_what_is_refused_everywhere_is_refused_at_every_door(
    mien: MienHere, clips: Path, here: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = {"operator": "O", "contact": "C", "legal_basis": "consent"}
    (here / "deployment.toml").write_text(deployment_text(Deployment("workplace", "US", "hiring", **others)))
    for verb in ("live", "analyze", "monitor images"):
        assert mien(*reads(verb, clips))[0] == 2
    with pytest.raises(NotPermittedError):
        Analyzer("mien-xs")
    assert "refused" in caplog.text


def test_numbers_of_groups_need_a_declaration(mien: MienHere, here: Path) -> None:
    (here / "class.csv").write_text("person,group\nAda,a\n")
    times = ("--from", "2026-11-23T09:00Z", "--to", "2026-11-23T09:45Z")
    code, _, err = mien("sessions", "groups", "--members", "class.csv", *times)
    assert code == 3
    assert "mien policy init" in err
    assert issubclass(DataError, MienError)
