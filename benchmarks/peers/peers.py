"""The peers: how each is installed, which script drives it, and why some cannot run.

Versions of the peers themselves are pinned, so that two comparisons cover the same programs. Their
dependencies are resolved by the package manager, as in a user's installation, and recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
REPOSITORY: Final = HERE.parents[1]


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to install a peer.

    Attributes:
        steps: arguments of ``pip install`` or ``npm install``, one tuple per call.
        note: remark for readers of the table, or "".
    """

    steps: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that reads expressions.

    Attributes:
        name: name in ``--peers``.
        runtime: ``python`` or ``node``.
        script: file of its worker in this folder.
        package: distribution with the peer's version.
        recipes: ways to install it; the first that succeeds is used.
        arguments: arguments of the script, if one peer runs in two configurations.
        folder: folder of another peer's environment to share, or "".
    """

    name: str
    runtime: str
    script: str
    package: str
    recipes: tuple[Recipe, ...]
    arguments: tuple[str, ...] = ()
    folder: str = ""


_FER: Final = "fer==25.10.3"
_TFJS: Final = "4.22.0"
# fer requires setuptools without a bound and imports pkg_resources, which newer versions lack
_SETUPTOOLS: Final = "setuptools<81"
_FACE_API: Final = (
    Recipe((("@vladmandic/face-api@1.7.15", f"@tensorflow/tfjs@{_TFJS}", f"@tensorflow/tfjs-backend-wasm@{_TFJS}"),)),
)

PEERS: Final[tuple[Peer, ...]] = (
    Peer(
        "mien",
        "python",
        "worker_mien.py",
        "mien",
        (Recipe(((str(REPOSITORY),),)),),
    ),
    Peer(
        "fer",
        "python",
        "worker_fer.py",
        "fer",
        (
            Recipe(((_FER, _SETUPTOOLS),), f"with {_SETUPTOOLS}: newer versions lack pkg_resources, which it imports"),
            Recipe(
                (
                    ("--no-deps", _FER),
                    (
                        _SETUPTOOLS,
                        "numpy<2",
                        "tensorflow-cpu",
                        "opencv-contrib-python<4.12",
                        "requests",
                        "pandas",
                        "pillow",
                        "tqdm",
                    ),
                ),
                "reduced installation without PyTorch and with TensorFlow for CPUs, because the plain one failed here",
            ),
        ),
    ),
    Peer(
        "human",
        "node",
        "worker_human.mjs",
        "@vladmandic/human",
        (
            Recipe(
                (
                    (
                        "@vladmandic/human@3.3.6",
                        f"@tensorflow/tfjs-core@{_TFJS}",
                        f"@tensorflow/tfjs-converter@{_TFJS}",
                        f"@tensorflow/tfjs-backend-wasm@{_TFJS}",
                    ),
                )
            ),
        ),
    ),
    Peer("face-api", "node", "worker_faceapi.mjs", "@vladmandic/face-api", _FACE_API),
    Peer("face-api-tiny", "node", "worker_faceapi.mjs", "@vladmandic/face-api", _FACE_API, ("tiny",), "face-api"),
)

_WEIGHTS: Final = "not run: the installation has no weights of the expression network; they are downloaded at first use from"

ABSENT: Final[dict[str, str]] = {
    "deepface": f"{_WEIGHTS} a GitHub release (wheel of 0.0.103: 0.3 MB)",
    "rmn": f"{_WEIGHTS} a model hub or a GitHub release, on import (wheel of 3.3.0: 0.1 MB)",
    "emotiefflib": f"{_WEIGHTS} a GitHub repository (wheel of 1.1.1: 0.04 MB)",
    "py-feat": f"{_WEIGHTS} a model hub (2.1.5)",
}
"""Peers that cannot be installed from package registries alone, and why. The comparison uses no other source."""
