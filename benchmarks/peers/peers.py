"""Who runs: how each peer is installed, which script drives it, and who cannot run and why.

Versions of the peers themselves are fixed, so that two races are about the same programs; what they
depend on is resolved by the package manager, as a user's install would, and written down.
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
        steps: arguments of ``pip install`` or ``npm install``, one tuple a call.
        note: what a reader of the table must know of it, or "".
    """

    steps: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that reads expressions.

    Attributes:
        name: as ``--peers`` takes it.
        runtime: ``python`` or ``node``.
        script: the worker's file in this folder.
        package: the distribution that carries the peer's own version.
        recipes: ways to install it; the first that works is used.
        arguments: for the script, where one peer runs in two ways.
        folder: its environment's, where that is another peer's; "" for its own.
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
# fer asks for setuptools without a bound and imports pkg_resources, which newer ones no longer have
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
            Recipe(((_FER, _SETUPTOOLS),), f"with {_SETUPTOOLS}: newer ones lack pkg_resources, which it imports"),
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
                "reduced install, without PyTorch and with TensorFlow for CPUs: the plain one did not succeed here",
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

_WEIGHTS: Final = "not raced: a plain install holds no weights of its expression network; at first use it fetches them from"

ABSENT: Final[dict[str, str]] = {
    "deepface": f"{_WEIGHTS} a GitHub release (wheel of 0.0.103: 0.3 MB)",
    "rmn": f"{_WEIGHTS} a model hub or a GitHub release, on import (wheel of 3.3.0: 0.1 MB)",
    "emotiefflib": f"{_WEIGHTS} a GitHub repository (wheel of 1.1.1: 0.04 MB)",
    "py-feat": f"{_WEIGHTS} a model hub (2.1.5)",
}
"""Peers that package registries alone do not bring, by name, and why. A race touches nothing else."""
