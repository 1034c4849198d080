"""``mien explain``: overlay class-activation maps on the faces of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import Declaration, JsonLine, OwnModel, policy_for


def explain(
    image: Annotated[Path, typer.Argument(help="Photo with faces, or one cropped face (--crop).")],
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("results/explanation.png"),
    model: OwnModel = None,
    expression: Annotated[
        str | None,
        typer.Option(
            help="Expression to explain, or a synonym such as joy for happy.", show_default="the one predicted for each face"
        ),
    ] = None,
    crop: Annotated[bool, typer.Option("--crop", help="The image is one face, cropped like FER2013's.")] = False,
    deployment: Declaration = None,
    json_line: JsonLine = False,
) -> None:
    """Overlay class-activation maps on the faces of a photo.

    The map shows how much each region contributes to the predicted expression, or to the one
    given with --expression. It is exact, because the network ends in global average pooling,
    and coarse: 6x6 regions with large receptive fields. Faces in the picture are not blurred.
    Refused where the policy does not permit expressions.

    Example:
      mien explain photo.jpg --out explained.png
    """
    from mien.cli.model_in_use import chosen_model, print_model
    from mien.cli.output import print_json_line
    from mien.emotions import EMOTIONS, canonical_name
    from mien.errors import DataError, UsageError
    from mien.evaluation.explained_photo import draw_explained, explain_photo
    from mien.privacy.level import Level
    from mien.sources.files import read_picture
    from mien.vision.bundles import bundle_path
    from mien.vision.detector_choice import open_detector
    from mien.vision.predictor import Predictor

    policy_for(deployment).require(Level.FULL)
    wanted = canonical_name(expression) if expression else None
    if expression and wanted is None:
        raise UsageError(f"unknown expression {expression!r}; use one of {', '.join(EMOTIONS)}")
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out is {out}; use a name that ends in .png")
    if not image.exists():
        raise DataError(f"no file {image}")
    if out.exists() and out.samefile(image):
        raise UsageError(f"--out is {out}, the picture itself; choose another file")
    photo = read_picture(image)
    if photo is None:
        raise DataError(f"cannot read {image} as a picture. Check the path; supported: JPEG, PNG, WebP, BMP and TIFF")
    detector = None if crop else open_detector()
    used = chosen_model(model)
    predictor = Predictor(bundle_path(used))
    print_model(used)
    faces = explain_photo(photo, detector, predictor, wanted)
    if not faces:
        raise DataError(
            f"no face found in {image} ({photo.shape[1]}x{photo.shape[0]} pixels). Faces must be frontal and at "
            "least 20 pixels wide. If the image is one cropped face, pass --crop"
        )
    draw_explained(out, photo, faces, crop)
    rows = [face.as_dict() for face in faces]
    for number, face in enumerate(faces, start=1):
        print(f"{number}: {face.text}" + (f" (evidence for {wanted})" if wanted else ""))
    print(f"Written to {out}")
    print_json_line({"image": str(image), "faces": rows, "out": str(out)}, json_line)
