"""The result of a comparison as a table: for a terminal, a document and the README.

The input is the document that a comparison writes; only the presentation is computed here.
"""

from __future__ import annotations

from typing import Any, Final

NONE: Final = "–"
_HEADS: Final = (
    "",
    "accuracy on crops",
    "macro-F1",
    "accuracy on crops, FER2013 labels",
    "accuracy with detection",
    "faces detected and read",
    "ms per face",
    "ms per video frame (p95)",
    "ms per picture",
    "first result, s",
    "installed, MB",
    "memory, MB",
)


def cells(name: str, peer: dict[str, Any]) -> list[str]:
    """Return a peer's row with one cell per heading; dashes if it did not run."""
    title = f"{name} {peer['version']}".strip()
    row = peer.get("numbers")
    if row is None:
        return [title] + [NONE] * (len(_HEADS) - 1)
    against = peer.get("against") or {}

    def timed(key: str, form: str) -> str:
        return NONE if row[key] is None else f"{row[key]:{form}}{_times(against.get(key))}"

    return [
        title,
        _share(row["accuracy"], row["accuracy_ci"]),
        f"{row['macro_f1']:.3f}",
        NONE if "labels" not in peer else f"{peer['labels']['accuracy']:.1%}",
        _share(row["loop_accuracy"], row["loop_accuracy_ci"]),
        f"{row['detection_rate']:.1%}",
        timed("face_ms", ".2f"),
        f"{row['frame_ms']:.1f} ({row['frame_p95_ms']:.1f}){_times(against.get('frame_ms'))}",
        timed("picture_ms", ".1f"),
        timed("first_result_s", ".2f"),
        timed("size_mb", ",.0f"),
        timed("memory_mb", ",.0f"),
    ]


def rows(document: dict[str, Any]) -> list[list[str]]:
    """Return the rows of all peers, those that did not run last."""
    peers = sorted(document["peers"].items(), key=lambda item: item[1].get("numbers") is None)
    return [cells(name, peer) for name, peer in peers]


def markdown_table(document: dict[str, Any]) -> str:
    """Return the table and its notes as Markdown."""
    lines = ["| " + " | ".join(_HEADS) + " |", "|---" * len(_HEADS) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows(document)]
    return "\n".join([*lines, "", _legend(document), "", *(f"- {note}" for note in notes(document))]) + "\n"


def terminal_table(document: dict[str, Any]) -> str:
    """Return the table for a terminal: one column per peer, one line per measure."""
    columns = [row for row in rows(document) if row[1] != NONE]  # the notes give the reasons of the others
    widths = [max(len(value) for value in column) for column in columns]
    first = max(map(len, _HEADS))
    lines = [
        f"{head:<{first}}  " + "  ".join(f"{column[k]:>{width}}" for column, width in zip(columns, widths, strict=True))
        for k, head in enumerate(_HEADS)
    ]
    return "\n".join([*(line.rstrip() for line in lines), "", _legend(document), *(f"  {note}" for note in notes(document))])


def notes(document: dict[str, Any]) -> list[str]:
    """Return a note for each peer: how it ran, or why it did not."""
    said = []
    for name, peer in document["peers"].items():
        text = peer["failure"] if peer["failure"] else "; ".join(filter(None, peer["notes"]))
        if text:
            said.append(f"{name}: {text}")
    return said


def full_page(document: dict[str, Any]) -> str:
    """Return the full page of a comparison as Markdown."""
    race, machine = document["race"], document["machine"]
    shown = f"{race['images']} images of {race['split']}, {race['rounds']} rounds; clips {', '.join(race['clips'])}."
    cores = f"{machine['cores_used']} of {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {machine['system']}"
    parts = [
        f"# Comparison with other programs, {race['date']}",
        f"`{race['command']}`",
        f"{shown} Data set {race['dataset_hash']}.",
        f"{machine['cpu']}, {cores}; load {machine['load_before']:.2f} before, {machine['load_after']:.2f} after.",
        markdown_table(document).rstrip(),
        "## Difference in accuracy on the same images",
        _differences(document),
        "## Versions",
        *(_versions(name, peer) for name, peer in document["peers"].items() if peer["versions"]),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _legend(document: dict[str, Any]) -> str:
    race = document["race"]
    images = f"{race['images']} images, {race['canvases']} of them with detection"
    truths = {"people": "agreement with people", "fer2013": "FER2013 labels"}
    return (
        f"{race['split']}, {images}; truth: "
        f"{truths[race.get('truth', 'fer2013')]}; 95% intervals; times and "
        "sizes are followed by their ratio to Mien's. "
        f"{document['machine']['cpu']}, {document['machine']['cores_used']} cores, {race['date']}."
    )


def _differences(document: dict[str, Any]) -> str:
    """Return the differences in accuracy from Mien on the same images."""
    lines = []
    for name, peer in document["peers"].items():
        for key, what in (("accuracy", "on crops"), ("loop_accuracy", "with detection")):
            found = (peer.get("against") or {}).get(key)
            if found:
                points, low, high = (f"{100 * value:+.1f}" for value in (found["difference"], *found["ci"]))
                lines.append(f"- {name} {what}: {points} points compared with Mien ({low} to {high})")
    return "\n".join(lines)


def _versions(name: str, peer: dict[str, Any]) -> str:
    return f"{name}: " + ", ".join(f"{package} {version}" for package, version in peer["versions"].items())


def _share(value: float, interval: list[float]) -> str:
    return f"{value:.1%} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _times(found: dict[str, float] | None) -> str:
    if not found:
        return ""
    return f" (×{found['ratio']:.{0 if found['ratio'] >= 20 else 1 if found['ratio'] >= 1 else 2}f})"
