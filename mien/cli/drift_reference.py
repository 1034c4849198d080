"""The drift reference that commands make beside a new bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mien.data.dataset import FaceDataset


def reference_beside(bundle: Path, dataset: FaceDataset, votes: Path | None) -> str:
    """Make the drift reference of a bundle and return a message; failing to make it is not an error."""
    from mien.cli.progress import logged_progress
    from mien.errors import MienError, require
    from mien.monitoring.reference_file import reference_path, write_reference
    from mien.vision.weights import find_yunet
    from mien.watch import make_reference

    target = reference_path(bundle)
    try:
        require(("scipy",), "monitor", "The reference for drift")
        with logged_progress("reading faces for the drift reference") as progress:
            write_reference(target, make_reference(bundle, dataset, "PublicTest", find_yunet(), votes=votes, progress=progress))
    except MienError as error:
        return f"no drift reference: {error}"
    return f"{target}: drift reference, {target.stat().st_size / 1000:.0f} kB"
