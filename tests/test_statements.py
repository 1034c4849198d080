"""xAPI statements: valid, defined in the profile, with correct totals."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from conftest import REPOSITORY
from kept_sessions import kept, seconds
from lrs_servers import assert_valid, faults
from sending import SESSION

from mien.emotions import EMOTIONS
from mien.messaging import xapi
from mien.messaging.sinks import difference
from mien.messaging.xapi import XapiSession, duration, sums
from mien.privacy.lesson_bins import LessonPlan, PublishedBin
from mien.privacy.level import Level
from mien.sessions.records import IntervalRecord, KeptSession
from mien.web.classroom.statements import lesson_statement
from mien.web.classroom.store import ClassRecord, ClosedBin


def lesson_of_a_class() -> dict[str, Any]:
    published = PublishedBin(0, 31.0, (4.0, 1.0, 0.0), 20.0, 15.0, (0.0, 0.0, 0.0, 5.0, 15.0, 0.0, 0.0))
    record = ClassRecord("c" * 32, "s" * 32, "Algebra", Level.FULL, LessonPlan(), 0.0, 10.0, 310.0, 1, 1)
    statement = lesson_statement(record, [ClosedBin("closed", published)])
    assert statement is not None
    return statement


def test_a_lesson_of_a_class_is_one_statement_about_nobody() -> None:
    statement = lesson_of_a_class()
    assert_valid(statement)
    extensions = {iri.rsplit("/", 1)[1]: value for iri, value in statement["result"]["extensions"].items()}
    assert (extensions["people"], extensions["measured-people"], extensions["facing-share"]) == (31, 20, 0.75)
    assert extensions["expression-shares"]["neutral"] == 0.75
    assert extensions["signals"] == {"lost": 4, "slower": 1, "got it": 0}
    assert statement["result"]["duration"] == "PT300S"
    assert statement == lesson_of_a_class()  # the same id again, so that a store keeps it once
    assert "Algebra" not in json.dumps(statement)
    record = ClassRecord("c" * 32, "s" * 32, "Algebra", Level.FULL, LessonPlan(), 0.0, 10.0, 310.0, 1, 1)
    assert lesson_statement(record, [ClosedBin("closed", PublishedBin(0))]) is None


def test_the_vocabulary_is_defined_in_the_profile() -> None:
    profile = json.loads((REPOSITORY / "docs" / "reference" / "mien.jsonld").read_text())
    names = XapiSession.new(SESSION)
    whole = replace(kept(), intervals=(IntervalRecord(0.0, 90.0, seconds(happy=60), facing_s=50, away_s=10),))
    statements = [
        names.initialized(),
        names.terminated(whole),
        names.showed(0, 0.0, whole),
        names.was_offered(0, kept().events[0], 1.0),
        lesson_of_a_class(),
    ]
    defined = {concept["id"]: concept for concept in profile["concepts"]}
    assert (profile["id"], profile["versions"][0]["id"]) == (xapi.BASE, xapi.PROFILE)
    used = {statement["verb"]["id"] for statement in statements} | {s["object"]["definition"]["type"] for s in statements}
    used |= {iri for statement in statements for iri in statement.get("result", {}).get("extensions", {})}
    assert {iri for iri in used if iri.startswith(xapi.BASE)} == set(defined)
    for concept in profile["concepts"]:
        assert concept["inScheme"] == xapi.PROFILE
        assert {"id", "type", "prefLabel", "definition"} <= set(concept)
    for iri, value in statements[2]["result"]["extensions"].items():
        schema = json.loads(defined[iri]["inlineSchema"])
        if schema["type"] == "object":
            assert set(value) == set(schema["required"]) == set(EMOTIONS)
        else:
            assert 0 <= value <= schema.get("maximum", float("inf"))
    templates = {(template["verb"], template["objectActivityType"]) for template in profile["templates"]}
    assert templates == {(statement["verb"]["id"], statement["object"]["definition"]["type"]) for statement in statements}


def test_statements_are_valid_with_stable_ids() -> None:
    names = XapiSession.new(SESSION)
    for make in (names.initialized, lambda: names.terminated(kept()), lambda: names.was_offered(2, kept().events[0], 3.25)):
        assert_valid(make())
        assert make()["id"] == make()["id"]
    assert names.was_offered(2, kept().events[0], 3.25)["timestamp"] == "2026-03-04T09:30:03.250+00:00"
    assert XapiSession.new(SESSION).account != names.account
    broken = names.initialized()
    for change in ({"actor": {"account": {"name": "x"}}}, {"timestamp": "now"}, {"result": None}, {"extra": 1}, {"id": "7"}):
        assert faults(broken | change)  # the validator of the tests detects errors


def test_little_face_time_gives_no_expression_shares() -> None:
    short = KeptSession(SESSION, intervals=(IntervalRecord(0.0, 60.0, seconds(sad=9.0)),))
    assert set(sums(short)) == {f"{xapi.EXTENSIONS}/face-seconds"}
    assert duration(59.999) == "PT60S"


def test_difference_of_sessions() -> None:
    earlier = KeptSession(
        replace(SESSION, duration_s=60.0, readings=60, uncertain=6),
        intervals=(IntervalRecord(0.0, 60.0, seconds(happy=40), 1, 2, 3, 4),),
    )
    later = KeptSession(
        replace(SESSION, duration_s=120.0, readings=110, uncertain=8),
        intervals=(
            IntervalRecord(0.0, 60.0, seconds(happy=40), 1, 2, 3, 4),
            IntervalRecord(60.0, 120.0, seconds(sad=50), 5, 6, 7, 8),
        ),
    )
    part = difference(later, earlier)
    assert part.intervals == (IntervalRecord(60.0, 120.0, seconds(sad=50), 5, 6, 7, 8),)
    assert (part.session.duration_s, part.session.readings, part.session.uncertain) == (60.0, 50, 2)
