"""Deployment documents: facts from the actual configuration with sources, marks for open points, and tested safeguards."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from conftest import REPOSITORY
from test_cli import mien
from test_policy import FLAGS, ROWS

from mien.evaluation.card_page import LIMITS
from mien.modelcard import results_by_truth
from mien.privacy.deployment_documents import deployment_documents
from mien.privacy.document_parts import SAFEGUARDS, Facts
from mien.privacy.level import Level
from mien.privacy.notice import notice_for
from mien.privacy.policy import decide
from mien.settings import LiveSettings
from mien.vision.bundles import bundle_path, read_record
from mien.vision.predictor import Predictor

PERMITTED = [name for name, (_, level, _) in ROWS.items() if level is not Level.REFUSED]
NAMES = {"dpia.md", "record_of_processing.md", "notice_for_learners.md", "ai_act_worksheet.md"}


@pytest.fixture(scope="module")
def card():
    return Predictor(bundle_path("mien-s")).card


def written(name: str, card, **changes: object) -> dict[str, str]:
    record = read_record(bundle_path("mien-s"))
    values = {
        "policy": decide(ROWS[name][0]),
        "card": card,
        "sha256": record["sha256"],
        "settings": asdict(LiveSettings(source="auto", out=Path("results/sessions"), model="mien-s")),
        "root": "results/sessions",
        "version": "1.2.3",
        "evaluations": record["evaluations"],
        "limits": LIMITS,
    }
    return deployment_documents(Facts(**(values | changes)))


@pytest.mark.parametrize("name", PERMITTED)
def test_every_deployment_gets_its_documents(name: str, card) -> None:
    deployment, level, _ = ROWS[name]
    texts = written(name, card)
    assert set(texts) == NAMES
    dpia, worksheet = texts["dpia.md"], texts["ai_act_worksheet.md"]
    assert (deployment.operator or "[[OPERATOR: name and address]]") in dpia
    for article in decide(deployment).rule.articles:
        assert article in dpia
        assert article in worksheet
    for duty in decide(deployment).rule.duties:
        assert f"- {duty}: [[OPERATOR" in worksheet
    full = level is Level.FULL
    assert ("seven probabilities" in dpia) == full
    for numbers in results_by_truth(card.metrics["PublicTest"]).values():
        assert (f"{numbers['accuracy']:.1%}" in dpia) == full
    assert f"Permitted: {level}." in worksheet
    assert "conformity assessment" in worksheet
    for text in texts.values():
        assert text.count("[[OPERATOR:") == len(re.findall(r"\[\[OPERATOR: [^\[\]]+\]\]", text))
        assert not re.search(r"\bNone\b|\{|\}|\bnan\b", text)


@pytest.mark.parametrize("name", PERMITTED)
def test_the_count_of_open_points_is_right_and_tables_are_whole(name: str, card) -> None:
    for title, text in written(name, card).items():
        if title != "notice_for_learners.md":
            assert f"\n{text.count('[[OPERATOR:')} points" in text
        for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_the_operators_text_cannot_break_a_document(card) -> None:
    from dataclasses import replace

    odd = replace(ROWS["learning-in-union"][0], operator="A | B <script>x</script>")
    texts = written("learning-in-union", card, policy=decide(odd))
    assert "A \\| B &lt;script>" in texts["dpia.md"]
    assert not any("<script" in text for text in texts.values())


@pytest.mark.parametrize("name", PERMITTED)
def test_the_notice_for_learners_is_the_text_of_the_notice_on_one_page(name: str, card) -> None:
    text = written(name, card)["notice_for_learners.md"]
    notice = notice_for(decide(ROWS[name][0]))
    assert f"Version {notice.version}" in text
    assert len(text.split()) < 350
    for word in notice.text.split():
        assert word.strip(":") in text


def test_settings_and_period_are_the_real_ones(card) -> None:
    week = replace(ROWS["learning-in-union"][0], retention_days=7)
    settings = asdict(LiveSettings(source="auto", out=Path("x"), model="mien-s", smoothing_s=0.9, keep_faces=True))
    texts = written("learning-in-union", card, settings=settings, policy=decide(week), root="elsewhere")
    for text in ("| `smoothing_s` | `0.9` |", "| `keep_faces` | `True` |", "`elsewhere`, erased after 7 days", "Mien 1.2.3"):
        assert text in texts["dpia.md"]
    assert "after 7 days" in texts["notice_for_learners.md"]


def test_every_safeguard_has_a_source_and_a_test() -> None:
    for measure in SAFEGUARDS:
        assert (REPOSITORY / measure.source).is_file(), measure
        path, _, name = measure.test.partition("::")
        assert re.search(rf"^def {name}\(", (REPOSITORY / path).read_text(), re.MULTILINE), measure


def test_every_cited_file_exists(card) -> None:
    cited = {
        path
        for name in PERMITTED
        for text in written(name, card).values()
        for path in re.findall(r"`((?:mien|docs|tests)/[\w/.-]+)", text)
    }
    assert len(cited) > 10
    assert [path for path in cited if not (REPOSITORY / path).is_file()] == []


def test_the_command_writes_them_and_refuses_what_is_refused(tmp_path: Path) -> None:
    assert mien("policy", "init", *FLAGS, cwd=tmp_path).returncode == 0
    answer = mien("policy", "documents", "--out", "documents", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert {path.name for path in (tmp_path / "documents").iterdir()} == NAMES
    assert "Example School" in (tmp_path / "documents" / "dpia.md").read_text()
    points = (tmp_path / "documents" / "dpia.md").read_text().count("[[OPERATOR:")
    assert f"dpia.md: {points} points" in answer.stdout
    assert mien("policy", "init", *FLAGS, "--purpose", "grading", "--out", "bad.toml", cwd=tmp_path).returncode == 0
    refused = mien("policy", "documents", "--out", "none", "--deployment", "bad.toml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "excluded-purpose" in refused.stderr
    assert not (tmp_path / "none").exists()
