"""Networks that the page loads: the face detector and, where expressions may be read, a model bundle."""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mien.errors import BundleError, MienError
from mien.files import atomic_path, write_json
from mien.privacy.policy import ExpressionPermit, permit_expressions, policy_here
from mien.vision.bundles import bundle_path
from mien.vision.detector_choice import find_detector
from mien.vision.predictor import Predictor
from mien.vision.runtime import optimised_model
from mien.vision.yunet import YuNetDetector
from mien.web.onnx_graph import free_input_size, keep_outputs

PAGE_MODEL: Final = "mien-xs"
"""Default model of the page: a tenth of the size of ``mien-s`` and a third of its run time
(``docs/decisions/0026-the-browser.md``)."""
_OUTPUTS: Final = frozenset({"probabilities"})
"""The page needs the probabilities only; the other head, embeddings and maps are neither sent nor computed."""


@dataclass(frozen=True, slots=True)
class Networks:
    """Network files and their descriptions for the page.

    Attributes:
        files: ONNX files by the name under which they are served; names contain a hash of the content.
        detector: ``name`` and ``file`` of the face detector.
        model: ``name``, ``file`` and ``uncertain_below`` of the model; None where expressions may not be read.
    """

    files: Mapping[str, bytes]
    detector: Mapping[str, Any]
    model: Mapping[str, Any] | None

    @property
    def detector_name(self) -> str:
        """The detector's name."""
        return str(self.detector["name"])

    @property
    def model_name(self) -> str:
        """The model's display name."""
        return str(self.model["name"]) if self.model else "no model"


def open_networks(model: str, permit: ExpressionPermit | None) -> Networks:
    """Return the networks, prepared for the browser.

    Args:
        model: name of a packaged bundle, or path of a bundle.
        permit: permission to read expressions; without it the model is not opened.

    Raises:
        MienError: a file is missing, broken or invalid.
    """
    files: dict[str, bytes] = {}
    name, path = find_detector()
    detector = {"name": name, "file": _add(files, name, served_detector(name, path))}
    if permit is None:
        return Networks(files, detector, None)
    path = bundle_path(model)
    card = Predictor(path, threads=1).card
    served = {"name": card.name, "file": _add(files, "model", served_model(path)), "uncertain_below": card.uncertain_below}
    return Networks(files, detector, served)


def served_detector(name: str, path: Path) -> bytes:
    """Return a face detector's file, prepared for the browser.

    Raises:
        BundleError: the file is not a complete ONNX model.
    """
    # the published YuNet file fixes the input size at 640x640, which ONNX Runtime cannot change
    return _served(path, free_input_size if name == YuNetDetector.name else lambda content: content)


def served_model(path: Path) -> bytes:
    """Return a model bundle reduced to the output that the page uses.

    Raises:
        BundleError: the file is not a complete ONNX model.
    """
    return _served(path, lambda content: keep_outputs(content, _OUTPUTS))


def _served(path: Path, change: Callable[[bytes], bytes]) -> bytes:
    """Return a modified and optimised model; optimising it on the server makes the page start a third faster."""
    try:
        return optimised_model(change(path.read_bytes()))
    except ValueError as error:
        raise BundleError(f"{path} is not a complete ONNX model ({error}). Copy or export it again") from error


def write_networks(folder: Path, model: str) -> list[Path]:
    """Write the networks and ``networks.json``, the input of ``MienCamera``, into a folder; return the paths of the files.

    The policy of this computer applies: if expressions may not be read, no model is written.

    Raises:
        MienError: a file is missing, or the folder cannot be written.
    """
    policy, _ = policy_here()
    networks = open_networks(model, permit_expressions(policy))
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in networks.files.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_bytes(content)
    described = {"detector": described_network(networks.detector, folder.name), "model": None}
    if networks.model is not None:
        described["model"] = described_network(networks.model, folder.name)
    write_json(folder / "networks.json", described)
    return [*(folder / name for name in networks.files), folder / "networks.json"]


def described_network(network: Mapping[str, Any], place: str) -> dict[str, Any]:
    """Return the description of a network for the page, with a ``url`` below ``place`` instead of its file name."""
    return {**{key: value for key, value in network.items() if key != "file"}, "url": f"{place}/{network['file']}"}


def _add(files: dict[str, bytes], kind: str, content: bytes) -> str:
    name = f"{kind}-{hashlib.sha256(content).hexdigest()[:10]}.onnx"
    files[name] = content
    return name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mien.web.networks",
        description="Write the networks that a page with the npm package mien-learner loads: the face detector, a model, and "
        "networks.json, which describes them. Where the declared deployment does not permit reading expressions, no model is "
        "written.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where to write; a folder next to the page that loads them")
    parser.add_argument(
        "model", nargs="?", default=PAGE_MODEL, metavar="MODEL", help="bundle name or path (default: %(default)s)"
    )
    chosen = parser.parse_args(arguments)
    try:
        for path in write_networks(chosen.folder, chosen.model):
            print(f"{path}  {path.stat().st_size:,} bytes")
    except MienError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
