"""``mien fetch``: download the face detector."""

from __future__ import annotations


def fetch() -> None:
    """Download the YuNet face detector (233 kB, checked by hash) into your cache folder.

    The only command that uses the network. Without it a slower detector does the work.

    Example: mien fetch
    """
    from mien.vision.weights import fetch_yunet, find_yunet

    path = find_yunet()
    if path is not None:
        print(f"already here: {path}")
        return
    print(f"fetched: {fetch_yunet()}")
