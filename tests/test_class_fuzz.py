"""The HTTP interface under random requests (Schemathesis): answers are documented ones, and the server goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from test_class_browser import Running

from mien.privacy.lesson_bins import LessonPlan
from mien.web.classroom.links import LinkKind
from mien.web.classroom.openapi import openapi_document

schemathesis = pytest.importorskip("schemathesis")
EXAMPLES = 25


@pytest.fixture
def server(here: Path, yunet: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    folder = here / "static"
    (folder / "assets").mkdir(parents=True)
    for name in ("learner", "teacher"):
        (folder / f"{name}.html").write_text("<!doctype html>")
    monkeypatch.setattr("mien.web.classroom.app.static_folder", lambda: folder)
    with Running(here) as running:
        yield running


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_request_breaks_the_server(server: Running) -> None:
    store = server.web.store
    schema = schemathesis.openapi.from_dict(openapi_document())
    operations = [each.ok() for each in schema.get_all_operations() if not each.ok().path.endswith("events")]
    assert len(operations) >= 15
    for operation in operations:
        opened = store.open_class("Algebra", plan=LessonPlan(bin_s=30, bins=200))
        record = store.get(opened.class_id)
        assert record is not None
        tokens = {"open": store.issue(LinkKind.OPEN), "teach": opened.teach, "join": opened.join}
        tokens["participant"] = server.join(record)
        store.start(opened.class_id)
        raw = operation.definition.raw
        kinds = [name for entry in raw.get("security", []) for name in entry]
        headers = {"Authorization": f"Bearer {tokens[kinds[0]]}"} if kinds else {}
        fuzz(operation, server.url, headers, set(raw["responses"]))
    assert store.open_class("Algebra").class_id


def fuzz(operation: Any, url: str, headers: dict[str, str], documented: set[str]) -> None:
    """Send random requests of an operation."""

    @seed(1)
    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
    )
    def send(case: Any) -> None:
        answer = case.call(base_url=url, headers=headers, timeout=60)
        assert answer.status_code < 500, (operation.label, answer.status_code, case.body)
        assert str(answer.status_code) in documented, (operation.label, answer.status_code)

    send()
