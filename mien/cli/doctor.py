"""``mien doctor``: report what is ready, what is missing, and what to do about it."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from mien.cli.options import DATA_DEFAULT, Data, Declaration, OwnModel


def doctor(
    fetch: Annotated[bool, typer.Option("--fetch", help="Download the YuNet face detector (233 kB) if it is missing.")] = False,
    data: Data = DATA_DEFAULT,
    model: OwnModel = None,
    deployment: Declaration = None,
) -> None:
    """Report what is ready and what is missing.

    Checks model, face detector, camera, window, deployment declaration, training packages and
    data. --fetch saves YuNet in your cache folder and verifies its hash; without it, the detector
    in the package is used. A live session needs only the model. Exit code 3
    if the model is missing or a file is damaged, 4 if --fetch fails.

    Example:
      mien doctor --fetch
    """
    from mien.cli.model_in_use import model_lines
    from mien.data.reader import find_data
    from mien.errors import DataError, DeviceError, MienError, install_command
    from mien.privacy.policy import policy_here
    from mien.sources.factory import open_source
    from mien.vision.bundles import bundle_path, default_bundle
    from mien.vision.weights import YUNET_NAME, fetch_yunet, find_yunet

    def line(ready: bool, what: str, detail: str) -> None:
        print(f"[{'x' if ready else ' '}] {what:<12} {detail}")

    failed: MienError | None = None
    not_fetched = ""
    unusable = DataError("the model or the detector cannot be used; the lines above say why")
    warnings: list[str] = []
    try:
        chosen = model or default_bundle()
        said, *warnings = model_lines(chosen, bundle_path(chosen))
        line(True, "model", said.removeprefix("model "))
    except DataError as error:
        failed = unusable
        line(False, "model", str(error))
    try:
        detector = find_yunet() or (fetch_yunet() if fetch else None)
        packaged = "mien-detect, in the package. YuNet is more accurate; download it with: mien doctor --fetch"
        line(True, "detector", str(detector or packaged))
    except DeviceError as error:
        reason = getattr(error.__cause__, "reason", None) or error.__cause__ or error
        remedy = f"To add YuNet, put {YUNET_NAME} into a folder and set MIEN_MODELS to it"
        not_fetched = f"YuNet could not be downloaded; Mien uses its own detector. {remedy}"
        line(True, "detector", f"mien-detect, in the package (YuNet could not be downloaded: {reason})")
    except DataError as error:
        failed = unusable
        line(False, "detector", str(error))
    try:
        camera, _ = open_source("0")
        camera.close()
        line(True, "camera", camera.name)
    except DeviceError as error:
        line(False, "camera", str(error))
    packages = (
        ("window", "pygame", "window"),
        ("web", "starlette", "web"),
        ("audit", "cleanlab", "audit"),
        ("training", "torch", "train"),
        ("monitoring", "river", "monitor"),
    )
    for what, package, extra in packages:
        installed = find_spec(package) is not None
        line(installed, what, f"{package} is installed" if installed else f"optional. Install it with: {install_command(extra)}")
    try:
        declared = policy_here(deployment)[1]
        line(bool(declared), "declaration", declared or "none; needed to use Mien on other people. Create one: mien policy init")
    except MienError as error:
        line(False, "declaration", str(error))
    try:
        place = find_data(data)
        line(True, "data", str(place))
    except DataError as error:
        line(False, "data", f"needed for training and evaluation only: {error}")
    report = Path("results/data_analysis/audit.json")
    line(report.is_file(), "data report", str(report) if report.is_file() else "Create it with: mien prepare")
    for warning in warnings:
        print(warning)
    if not_fetched:
        print(f"note: {not_fetched}", file=sys.stderr)
    if failed:
        raise failed
    if not_fetched:
        raise typer.Exit(DeviceError.exit_code)
