"""``mien system``: see what is ready, do what is missing, then go live."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mien.cli.live import new_folder, run_session
from mien.cli.options import DATA_DEFAULT, MODEL_DEFAULT, Data


def system(
    data: Data = DATA_DEFAULT,
    source: Annotated[str, typer.Option(help="What to watch in the end; see mien live.")] = "auto",
    headless: Annotated[bool, typer.Option("--headless", help="No view at the end.")] = False,
    out: Annotated[Path | None, typer.Option(help="The session's folder.", show_default="results/sessions/START")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only say what is ready.")] = False,
) -> None:
    """Say what is ready (data, model, detector, camera), run the missing steps that can be run, end in live.

    A model trained here (models/default/mien.onnx) is preferred to the one in the package.

    Example: mien system --check
    """
    from mien.cli.prepare import prepare
    from mien.errors import DataError, DeviceError
    from mien.lifecycle import BUNDLE_FILE
    from mien.live.sources import open_source
    from mien.settings import LiveSettings
    from mien.vision.bundles import bundle_path
    from mien.vision.weights import find_yunet

    def line(ready: bool, what: str, detail: str) -> None:
        print(f"  [{'x' if ready else ' '}] {what:<10} {detail}")

    print("MIEN SYSTEM CHECK")
    try:
        from mien.data.reader import find_data

        place: Path | None = find_data(data)
        line(True, "data", str(place))
    except DataError as error:
        place = None
        line(False, "data", str(error))
    report = Path("results/data_analysis/audit.json")
    line(report.is_file(), "prepared", str(report) if report.is_file() else "no data report yet")
    own = Path("models/default") / BUNDLE_FILE
    model = str(own) if own.is_file() else MODEL_DEFAULT
    try:
        line(True, "model", str(bundle_path(model)))
        has_model = True
    except DataError:
        has_model = False
        line(False, "model", "no bundle in the package or in models/default")
    yunet = find_yunet()
    line(yunet is not None, "detector", str(yunet) if yunet else "YuNet not fetched (mien fetch); the Haar cascade does the work")
    try:
        camera, _ = open_source("0")
        camera.close()
        line(True, "camera", camera.name)
    except DeviceError as error:
        line(False, "camera", str(error))
    if check:
        return
    if place is not None and not report.is_file():
        print("\nPreparing the data …\n")
        prepare(data=place)
    if not has_model:
        if place is None:
            raise DataError("there is neither a model nor data to train one on; see the lines above")
        from mien.cli.train import train

        print("\nTraining a model …\n")
        train(data=place, out=own.parent)
        model = str(own)
    print("\nGoing live …\n")
    run_session(LiveSettings(source, out or new_folder(), model, "none" if headless else "auto"))
