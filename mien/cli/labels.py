"""``mien labels``: check newly labelled faces before they are used for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from mien.cli.options import MODEL_DEFAULT, Classes, Declaration, JsonLine, Model, policy_for

_NAMED: Final = 3
"""Number of contradicted labels whose images are printed; the file lists more."""


def labels(
    folder: Annotated[Path, typer.Argument(help="Newly labelled faces in class folders.")],
    annotations: Annotated[
        Path | None, typer.Option(help="CSV image,annotator,label if several people labelled.", show_default=False)
    ] = None,
    classes: Classes = None,
    data: Annotated[
        Path | None, typer.Option(help="Training data of the model, to find copies of it.", show_default=False)
    ] = None,
    model: Model = MODEL_DEFAULT,
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("results/new_labels.json"),
    deployment: Declaration = None,
    json_line: JsonLine = False,
) -> None:
    """Check newly labelled faces before training on them.

    Reports the agreement of annotators (Cohen's and Fleiss' kappa, Krippendorff's alpha), labels
    that the model contradicts with high confidence, class balance, and copies among the new faces;
    with --data, also copies of training and test images.

    Example:
      mien labels new_faces/ --annotations who.csv --data fer2013.zip
    """
    from mien.audit.annotators import read_annotations
    from mien.audit.new_labels import check_new_labels, new_labels_text
    from mien.cli.output import print_json_line
    from mien.cli.progress import progress_bar
    from mien.cli.reading import read_faces, read_new_faces, table_for
    from mien.errors import require
    from mien.evaluation.scores import score
    from mien.files import write_json
    from mien.privacy.level import Level
    from mien.vision.bundles import bundle_path
    from mien.vision.predictor import Predictor

    policy_for(deployment).require(Level.FULL)
    require(("scipy",), "monitor", "Checking new labels")
    new = read_new_faces(folder, classes)
    old = read_faces(data, table_for(data, classes)) if data is not None else None
    said = read_annotations(annotations, new.names) if annotations is not None else None
    with progress_bar("reading faces") as progress:
        answers = score(Predictor(bundle_path(model)), new, progress).probabilities
    facts = check_new_labels(new, answers, said, old)
    write_json(out, facts)
    print(new_labels_text(facts))
    for problem in facts["problems"] or ["no problems found"]:
        print(f"- {problem}")
    if named := [row["image"] for row in facts["disagreements"]["images"][:_NAMED]]:
        others = facts["disagreements"]["disagree"] - len(named)
        more = f" and {others:,} more; {out} lists the most confident under disagreements" if others else ""
        print(f"Contradicted, most confident first: {', '.join(named)}{more}")
    print(f"Written to {out}")
    print_json_line({key: facts[key] for key in ("images", "classes", "problems")}, json_line)
