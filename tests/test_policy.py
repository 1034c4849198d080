"""The declaration and the policy table: every row, every wrong value, and what no combination may reach."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import REPOSITORY
from test_cli import mien

from mien.errors import DataError, NotPermittedError, UsageError
from mien.privacy.deployment import (
    CHOICES,
    CONTEXTS,
    EXCLUDED_PURPOSES,
    JURISDICTIONS,
    LEGAL_BASES,
    PURPOSES,
    QUESTIONS,
    Deployment,
    declare,
    deployment_text,
    read_deployment,
)
from mien.privacy.level import Level
from mien.privacy.policy import _SEAL, Policy, decide
from mien.privacy.rules import RULES, table_text

OTHERS = {"operator": "Example School", "contact": "privacy@example.org", "legal_basis": "consent", "minors": False}

ROWS = {
    "excluded-purpose": (Deployment("own-use", "other", "proctoring"), Level.REFUSED, "AI Act Annex III 3 and 4"),
    "study-without-approval": (Deployment("research", "US", "research", **OTHERS), Level.REFUSED, "rule of this software"),
    "institution-in-union": (
        Deployment("education-institution", "EU", "feedback-to-the-learner", **OTHERS),
        Level.OBSERVABLES,
        "AI Act Art. 5(1)(f)",
    ),
    "workplace-in-union": (Deployment("workplace", "EEA", "safety", **OTHERS), Level.OBSERVABLES, "AI Act Art. 5(1)(f)"),
    "medical-in-name-only": (
        Deployment("medical-or-safety", "EU", "improving-material", **OTHERS),
        Level.OBSERVABLES,
        "AI Act Art. 5(1)(f)",
    ),
    "minors": (
        Deployment("learning-outside-institution", "UK", "feedback-to-the-learner", **{**OTHERS, "minors": True}),
        Level.OBSERVABLES,
        "GDPR Recital 38",
    ),
    "medical-or-safety-in-union": (
        Deployment("medical-or-safety", "EU", "medical", **{**OTHERS, "minors": True}),
        Level.FULL,
        "AI Act Art. 6(2), Annex III 1(c)",
    ),
    "own-use": (Deployment("own-use", "EU", "self-observation"), Level.FULL, "AI Act Art. 2(10)"),
    "software-test": (Deployment("software-test", "EU", "software-test"), Level.FULL, "AI Act Art. 2(8)"),
    "approved-study": (
        Deployment("research", "EU", "research", approval="IRB 12/2026", **OTHERS),
        Level.FULL,
        "AI Act Art. 2(6) and 2(8), if their conditions are met",
    ),
    "learning-in-union": (
        Deployment("learning-outside-institution", "EU", "feedback-to-the-learner", **OTHERS),
        Level.FULL,
        "AI Act Art. 50(3)",
    ),
    "outside-union": (
        Deployment("education-institution", "US", "feedback-to-the-learner", **OTHERS),
        Level.FULL,
        "AI Act Art. 2(1)(c)",
    ),
}


def test_every_row_of_the_table_has_a_test() -> None:
    assert list(ROWS) == [rule.name for rule in RULES]


@pytest.mark.parametrize(("name", "row"), ROWS.items())
def test_a_row_of_the_table(name: str, row: tuple[Deployment, Level, str]) -> None:
    deployment, level, article = row
    policy = decide(deployment)
    assert (policy.rule.name, policy.level) == (name, level)
    assert article in policy.rule.articles
    assert policy.rule.reason
    if level is Level.REFUSED:
        with pytest.raises(NotPermittedError, match=name):
            policy.require(Level.OBSERVABLES)
    else:
        policy.require(level)


def every_deployment(**fixed: str) -> list[Deployment]:
    axes = [[fixed[key]] if key in fixed else list(CHOICES[key]) for key in ("context", "jurisdiction", "purpose", "legal_basis")]
    return [
        Deployment(context, jurisdiction, purpose, operator="O", contact="C", minors=minors, legal_basis=basis, approval=approval)
        for context, jurisdiction, purpose, basis in itertools.product(*axes)
        for minors, approval in itertools.product((False, True), ("", "IRB 1"))
    ]


@pytest.mark.parametrize("context", ["education-institution", "workplace"])
@pytest.mark.parametrize("jurisdiction", ["EU", "EEA"])
def test_nothing_lifts_the_prohibition(context: str, jurisdiction: str) -> None:
    """Neither consent nor any other legal basis, purpose, approval or age."""
    policies = [decide(deployment) for deployment in every_deployment(context=context, jurisdiction=jurisdiction)]
    assert {policy.level for policy in policies} == {Level.OBSERVABLES, Level.REFUSED}
    assert {policy.level for policy in policies if policy.deployment.purpose in PURPOSES} == {Level.OBSERVABLES}
    with pytest.raises(NotPermittedError, match=r"Art\. 5\(1\)\(f\)"):
        next(policy for policy in policies if policy.deployment.legal_basis == "consent").require(Level.FULL)


@pytest.mark.parametrize("purpose", EXCLUDED_PURPOSES)
def test_excluded_purposes_are_refused_everywhere(purpose: str) -> None:
    assert {decide(deployment).level for deployment in every_deployment(purpose=purpose)} == {Level.REFUSED}


def test_every_declaration_has_an_answer_and_every_rule_is_reached() -> None:
    reached = {decide(deployment).rule.name for deployment in every_deployment()}
    assert reached == {rule.name for rule in RULES}


def test_without_a_declaration_it_is_own_use_and_stays_here() -> None:
    policy = decide()
    assert (policy.level, policy.rule.name) == (Level.FULL, "own-use")
    assert not policy.leaves_machine
    assert decide(ROWS["learning-in-union"][0]).leaves_machine
    assert not decide(ROWS["software-test"][0]).leaves_machine
    assert not decide(ROWS["excluded-purpose"][0]).leaves_machine


def test_a_policy_cannot_be_made_by_hand() -> None:
    policy = decide(ROWS["institution-in-union"][0])
    with pytest.raises(TypeError, match="decide"):
        Policy(policy.deployment, RULES[-1], object())
    with pytest.raises((TypeError, ValueError)):
        replace(policy, rule=RULES[-1])
    with pytest.raises(AttributeError):
        policy.rule = RULES[-1]
    assert Policy(policy.deployment, policy.rule, _SEAL) == policy


def test_the_document_has_the_table_and_every_value() -> None:
    page = (REPOSITORY / "docs" / "how-to" / "policy.md").read_text()
    assert f"prints -->\n{table_text()}\n" in page
    for words in (CONTEXTS, JURISDICTIONS, PURPOSES, EXCLUDED_PURPOSES, LEGAL_BASES, QUESTIONS):
        for word in words:
            assert f"`{word}`" in page


def declaration(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "deployment.toml"
    path.write_text(text)
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    for deployment, _, _ in ROWS.values():
        assert read_deployment(declaration(tmp_path, deployment_text(deployment))) == deployment
    odd = replace(ROWS["outside-union"][0], operator='Ä "quoted" \\ # not a comment', description="[deployment] x = 1")
    assert read_deployment(declaration(tmp_path, deployment_text(odd))) == odd


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "[deployment]\ncontext = 'educaton_institution'\n",
            "line 2: context is 'educaton_institution'; it must be one of own-use, research, ",
        ),
        (
            "[deployment]\n\njurisdiction = 'eu'\n",
            "line 3: jurisdiction is 'eu'; it must be one of EU, EEA, UK, US, other. Did you mean 'EU'?",
        ),
        ("[deployment]\noperater = 'x'\n", "line 2: operater is not a key here; the keys are "),
        ("[deployment]\nminors = 'no'\n", "line 2: minors is 'no'; it must be true or false"),
        ("[deployment]\nretention_days = 0\n", "line 2: retention_days is 0; it must be a whole number from 1 to 3650"),
        ("[deployment]\nretention_days = true\n", "line 2: retention_days is True; it must be"),
        ("[deployment]\nretention_days = 7.0\n", "line 2: retention_days is 7.0; it must be"),
        ("[deployment]\ncontext = 3\n", "line 2: context is 3; it must be text"),
        ("[deployment]\noperator = '''a\nb'''\n", "line 2: operator must be one line"),
        ("[deployment]\ncontext = 'own-use'\n", "jurisdiction is missing"),
        ("[deployment]\ncontext = 'workplace'\njurisdiction = 'EU'\npurpose = 'safety'\n", "operator is missing"),
        ("[deploy]\nx = 1\n", "line 1: deploy is not a key here"),
        ("deployment = 1\n", "line 1: deployment is 1; it must be a table"),
        ("", "deployment is missing"),
        ("x = 1\n[deployment]\n", "line 1: x is not a key here"),
        ("[deployment]\ncontext = 'own-use'\njurisdiction='EU'\npurpose = 'improving-material'\n", "line 4: purpose is"),
        (
            "[deployment]\ncontext='workplace'\njurisdiction='EU'\npurpose='safety'\noperator='a'\ncontact='b'\nminors=false\n"
            "legal_basis='none'\n",
            "line 8: legal_basis is 'none'",
        ),
    ],
)
def test_faults_of_a_declaration_name_line_value_and_rule(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read_deployment(declaration(tmp_path, text))
    assert fault in str(caught.value)


def test_a_file_that_is_no_declaration_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.toml"):
        read_deployment(tmp_path / "gone.toml")
    with pytest.raises(DataError, match="line 2"):
        read_deployment(declaration(tmp_path, "[deployment]\ncontext = own\n"))
    with pytest.raises(DataError, match="65,536"):
        read_deployment(declaration(tmp_path, "#" * 70_000))
    with pytest.raises(DataError, match="not TOML"):
        read_deployment(declaration(tmp_path, "x = " + "[" * 20_000))
    (tmp_path / "latin.toml").write_bytes(b"[deployment]\noperator = '\xe4'\n")
    with pytest.raises(DataError, match="not TOML"):
        read_deployment(tmp_path / "latin.toml")


def test_a_declaration_made_of_options_is_checked_as_well() -> None:
    assert declare({"context": "own-use", "jurisdiction": "EU", "purpose": "self-observation"}).minors is False
    with pytest.raises(UsageError, match="contact"):
        declare({"context": "workplace", "jurisdiction": "EU", "purpose": "safety"})


FLAGS = (
    *("--context", "education-institution", "--jurisdiction", "EU", "--purpose", "feedback-to-the-learner"),
    *("--operator", "Example School", "--contact", "privacy@example.org", "--no-minors", "--legal-basis", "consent"),
)


def test_deploy_init_takes_all_answers_as_options(tmp_path: Path) -> None:
    answer = mien("policy", "init", *FLAGS, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "observables" in answer.stdout
    assert "Art. 5(1)(f)" in answer.stdout
    checked = mien("policy", "check", cwd=tmp_path)
    assert checked.stdout in answer.stdout
    again = mien("policy", "init", *FLAGS, cwd=tmp_path)
    assert again.returncode == 2
    assert "deployment.toml" in again.stderr


def test_deploy_init_asks_for_what_is_not_given(tmp_path: Path) -> None:
    answers = "3\nnowhere\nEU\nfeedback-to-the-learner\nExample\nx@example.org\nn\nconsent\n"
    asked = mien("policy", "init", cwd=tmp_path, said=answers)
    assert asked.returncode == 0, asked.stderr
    assert "'nowhere'" in asked.stdout
    made = read_deployment(tmp_path / "deployment.toml")
    assert (made.context, made.operator, made.minors) == ("learning-outside-institution", "Example", False)
    silent = mien("policy", "init", "--out", "other.toml", cwd=tmp_path, said="")
    assert silent.returncode == 2
    assert "--context" in silent.stderr
    assert not (tmp_path / "other.toml").exists()


def test_deploy_check_ends_with_2_where_nothing_may_be_read(tmp_path: Path) -> None:
    declaration(tmp_path, deployment_text(ROWS["excluded-purpose"][0]))
    answer = mien("policy", "check", cwd=tmp_path)
    assert answer.returncode == 2
    assert "refused" in answer.stdout
