"""A datasheet after Gebru et al. (2018, arXiv:1803.09010), with numbers from the audit.

Questions that only the collectors can answer are answered for FER2013 from publications and left open
for any other data set.
"""

from __future__ import annotations

from typing import Any, Final

from mien.data.fer2013 import FER2013_ANSWERS, FER2013_HASH

OPEN: Final = "*To be answered by the people who collected this data.*"

_QUESTIONS: Final[tuple[tuple[str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "Motivation",
        (
            ("purpose", "For what purpose was the data set created?"),
            ("creators", "Who created it, and who paid for it?"),
        ),
    ),
    (
        "Composition",
        (
            ("instances", "What do the instances represent, and how many are there?"),
            ("labels", "What is the label of each instance?"),
            ("missing", "Is anything missing from individual instances?"),
            ("relations", "Are relationships between instances made explicit?"),
            ("splits", "Are there recommended splits?"),
            ("errors", "Are there errors, noise or redundancies?"),
            ("people", "Does it relate to people, and can they be identified?"),
            ("subpopulations", "Does it identify subpopulations?"),
        ),
    ),
    (
        "Collection process",
        (
            ("acquisition", "How was the data acquired?"),
            ("consent", "Were the people informed, and did they consent?"),
        ),
    ),
    (
        "Preprocessing, cleaning, labelling",
        (
            ("preprocessing", "Was any preprocessing or labelling done?"),
            ("cleaning", "What does the audit's clean split change?"),
        ),
    ),
    (
        "Uses",
        (
            ("uses", "What has it been used for, and what could its composition impair?"),
            ("misuse", "For what should it not be used?"),
        ),
    ),
    (
        "Distribution and maintenance",
        (
            ("licence", "Under which licence is it distributed?"),
            ("maintenance", "Who maintains it?"),
        ),
    ),
)


def datasheet_text(facts: dict[str, Any]) -> str:
    """Return the datasheet as Markdown; ``facts`` is the content of ``audit.json``."""
    published = FER2013_ANSWERS if facts["dataset_hash"] == FER2013_HASH else {}
    measured = _measured(facts)
    lines = [
        "# Datasheet",
        "",
        "After Gebru et al. 2018. Numbers are measured by `mien prepare`; quoted facts name their source.",
        "",
    ]
    for heading, questions in _QUESTIONS:
        lines += [f"## {heading}", ""]
        for key, question in questions:
            answers = [text for text in (measured.get(key), published.get(key)) if text]
            lines += [f"**{question}** " + (" ".join(answers) or OPEN), ""]
    return "\n".join(lines)


def _measured(facts: dict[str, Any]) -> dict[str, str]:
    """Return the answers that follow from the audit."""
    exact, near, quality = facts["exact_duplicates"], facts["near_duplicates"], facts["quality"]
    noise, clean = facts["label_noise"], facts["clean_split"]
    classes = facts["classes"]["total"]
    height, width = facts["image_size"]
    splits = {name: n for name, n in facts["splits"].items() if n}
    errors = [
        f"Yes. Exact duplicates: {exact['redundant']:,} redundant images in {exact['groups']:,} groups, "
        f"{exact['conflicting_label_groups']} of them with conflicting labels. Near duplicates (same photograph, "
        f"re-encoded, re-lit, "
        f"shifted, scaled or mirrored): {near['beyond_exact']['redundant']:,} more redundant images "
        f"({near['beyond_exact']['share']:.1%}).",
        f"{quality['low_quality']['images']:,} images ({quality['low_quality']['share']:.1%}) fail a quality check: "
        + ", ".join(f"{name.replace('_', ' ')} {check['images']:,}" for name, check in quality["checks"].items())
        + ".",
    ]
    if noise["votes"]:
        errors.append(
            f"{noise['votes']['winner_differs_share']:.1%} of the labels differ from the raters' most frequent answer, "
            f"{noise['votes']['clear_winner_differs_share']:.1%} where the raters have a majority."
        )
    if noise["model"] and noise["model"]["judged"]:
        errors.append(
            f"Confident learning ({noise['model']['name']}) marks {noise['model']['likely_wrong_share']:.1%} "
            "of the labels as likely errors."
        )
    actions = clean["actions"]
    leaks = [
        f"{pair.replace('>', ' > ')} {n:,} exact copies, {near['cross_split'][pair]:,} including near copies"
        for pair, n in exact["cross_split"].items()
        if near["cross_split"][pair]
    ]
    return {
        "instances": f"{facts['images']['total']:,} greyscale images of one face each, {width}x{height} pixels.",
        "labels": "One of seven expressions: " + ", ".join(f"{name} {n:,}" for name, n in classes.items()) + ".",
        "missing": f"{len(facts['images']['unreadable'])} images could not be read.",
        "relations": (
            f"No. The audit finds {near['groups']:,} groups of images that show the same photograph; the largest has "
            f"{near['largest_group']}."
        ),
        "splits": (
            ", ".join(f"{name} {n:,}" for name, n in splits.items())
            + ". "
            + (f"Images that also occur in an earlier split: {'; '.join(leaks)}." if leaks else "No image occurs in two splits.")
        ),
        "errors": " ".join(errors),
        "cleaning": (
            f"Training: keep {actions['keep']:,}, down-weight {actions['down-weight']:,}, drop {actions['drop']:,}. "
            f"Test images: clean {actions['clean']:,}, leaked {actions['leaked']:,}; none is relabelled."
        ),
    }
