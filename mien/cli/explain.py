"""``mien explain``: what in a face speaks for its reading?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import MODEL_DEFAULT, Model


def explain(
    image: Annotated[Path, typer.Argument(help="A photo with faces, or with --crop one face that is cut out already.")],
    out: Annotated[Path, typer.Option(help="The picture to write (PNG).")] = Path("results/explanation.png"),
    model: Model = MODEL_DEFAULT,
    expression: Annotated[
        str | None, typer.Option(help="Show what speaks for this expression.", show_default="each face's own reading")
    ] = None,
    crop: Annotated[bool, typer.Option("--crop", help="The image is one face, framed as FER2013's are.")] = False,
) -> None:
    """Read the faces of a photo and draw what speaks for each reading upon them.

    The network averages over space before its last layer, so each answer is the sum of what every
    place of the face says: the map is exact, and coarse (6x6 places, each of which sees much of the
    face). The picture shows the faces as they are: it is written only because you asked for it.
    The last line printed is one JSON document.

    Example: mien explain photo.jpg --out explained.png
    """
    import json

    from mien.emotions import EMOTIONS, canonical_name
    from mien.errors import DataError, UsageError
    from mien.evaluation.explained_photo import draw_explained, explain_photo
    from mien.live.decoder import read_picture
    from mien.vision.bundles import bundle_path
    from mien.vision.detector import open_detector
    from mien.vision.predictor import Predictor

    wanted = canonical_name(expression) if expression else None
    if expression and wanted is None:
        raise UsageError(f"unknown expression {expression!r}; use one of {', '.join(EMOTIONS)}")
    if out.suffix.lower() != ".png":
        raise UsageError(f"--out is {out}; the picture is a PNG, so name it something.png")
    photo = read_picture(image)
    if photo is None:
        raise DataError(f"cannot read {image} as a picture. Check the path; JPEG, PNG, WebP, BMP and TIFF are read")
    detector = None if crop else open_detector()
    faces = explain_photo(photo, detector, Predictor(bundle_path(model)), wanted)
    if not faces:
        raise DataError(
            f"no face found in {image} ({photo.shape[1]}x{photo.shape[0]} pixels). Is one to be seen, from the front, at least "
            "20 pixels wide? An image that is one face already is read with --crop"
        )
    draw_explained(out, photo, faces, crop)
    rows = [face.as_dict() for face in faces]
    for number, face in enumerate(faces, start=1):
        print(f"{number}: {face.words}" + (f" (evidence for {wanted})" if wanted else ""))
    print(f"Written to {out}")
    print(json.dumps({"image": str(image), "faces": rows, "out": str(out)}))
