"""Cards from strangers: numbers by truth or, as version 0.1 wrote them, of one head; anything else is refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mien.card_values import check_evaluations
from mien.emotions import EMOTIONS
from mien.errors import BundleError
from mien.evaluation.card_page import card_page
from mien.modelcard import FER2013, PEOPLE, read_card
from mien.preprocess import INPUT_SIZE, PREPROCESS_VERSION

VIEW = {"n": 9, "accuracy": 0.7, "accuracy_ci": [0.6, 0.8], "macro_f1": 0.6, "ece": 0.02}
ROW = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 3}
FLAT = {**VIEW, "classes": dict.fromkeys(EMOTIONS, ROW), "views": {"clean": VIEW}, "mirrored": {"accuracy": 0.71}}
TRUTHS = {PEOPLE: {**FLAT, "head": PEOPLE, "ferplus": {"n": 8, "accuracy": 0.7, "accuracy_ci": [0.6, 0.8]}}, FER2013: FLAT}
HISTORY = {"epoch": [1, 2], "train_loss": [1.0, 0.9], "train_accuracy": [0.5, 0.6]}
OF_PEOPLE = {"people_loss": [1.0, 0.9], "people_accuracy": [0.5, 0.6]}
CARD = {
    **{"name": "x", "labels": EMOTIONS, "input_size": INPUT_SIZE, "preprocess_version": PREPROCESS_VERSION},
    **{"dataset_hash": "a", "git_revision": "b", "command": "mien train", "parameters": 1, "temperature": 1.1},
    **{"heads": [PEOPLE, FER2013], "fer2013_temperature": 1.2, "uncertain_below": dict.fromkeys(EMOTIONS, 0.5)},
    **{"metrics": {"PublicTest": {"truths": TRUTHS}}, "training": [{"history": HISTORY | OF_PEOPLE, "people_share": 0.6}]},
}


def test_cards_of_this_version_and_of_version_0_1_are_read() -> None:
    assert "people" in card_page(read_card(json.dumps(CARD), "x"))
    old = {key: value for key, value in CARD.items() if key not in ("heads", "fer2013_temperature")}
    old |= {"uncertain_below": 0.4, "metrics": {"PublicTest": FLAT}, "training": [{"teachers": ""}, {"teachers": ["a"]}]}
    card = read_card(json.dumps(old), "x")
    assert (card.heads, card.uncertain_below) == ((FER2013,), dict.fromkeys(EMOTIONS, 0.4))
    assert "70.0%" in card_page(card)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"uncertain_below": 1.5}, "uncertain_below holds 1.5"),
        ({"uncertain_below": "0.5"}, "uncertain_below.angry is '0.5'"),
        ({"uncertain_below": True}, "uncertain_below.angry is True"),
        ({"uncertain_below": {"angry": 0.5}}, "seven classes"),
        ({"logit_offsets": dict.fromkeys(EMOTIONS, "0")}, "logit_offsets.angry is '0'"),
        ({"temperature": 0}, "temperature is 0"),
        ({"fer2013_temperature": -1}, "fer2013_temperature -1"),
        ({"heads": "people"}, "heads is 'people'"),
        ({"heads": [FER2013, PEOPLE]}, "has the heads"),
        ({"metrics": {"PublicTest": {"truths": {"mine": FLAT}}}}, "'mine'; it must be one of people, own, fer2013"),
        ({"metrics": {"PublicTest": {"truths": {PEOPLE: FLAT | {"head": "own"}}}}}, "head is 'own'"),
        ({"metrics": {"PublicTest": {"truths": {PEOPLE: VIEW}}}}, "classes is missing in truths.people"),
        ({"metrics": {"PublicTest": VIEW}}, "classes is missing in metrics.PublicTest"),
        ({"training": [{"history": HISTORY}]}, "history lacks the loss"),
        ({"training": [{"history": HISTORY | {"people_loss": [1.0, 0.9]}}]}, "history lacks the loss"),
        ({"training": [{"history": HISTORY | OF_PEOPLE | {"epoch": [1]}}]}, "the columns of history"),
    ],
)
def test_a_card_with_other_values_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(BundleError) as caught:
        read_card(json.dumps(CARD | change), "x.onnx")
    assert said in str(caught.value)
    assert "x.onnx" in str(caught.value)


def test_evaluations_beside_a_bundle_are_checked_alike() -> None:
    check_evaluations({"PublicTest": {"truths": TRUTHS}, "PrivateTest": FLAT}, "evaluations")
    with pytest.raises(ValueError, match="truths is list"):
        check_evaluations({"PublicTest": {"truths": []}, "PrivateTest": FLAT}, "evaluations")
