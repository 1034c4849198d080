"""Noise that is the same whenever the same people are counted, and another for any other people.

Fresh noise can be averaged away by asking again; none at all lets the difference of two
counts give one person away. So the noise is drawn by a secret key from *who* is counted (the
cell-key idea of Fraser and Wooton 2005): asking again gives the same number, and two sets of
people that differ by one person get two noises that have nothing to do with each other.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import os
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from mien.errors import DataError, DeviceError

KEY_NAME: Final = "noise.key"
_KEY_BYTES: Final = 32


def noise_key(folder: Path) -> bytes:
    """Return the secret key that stands in ``folder``, made where there is none; only its owner may read it.

    Raises:
        DataError: the file is not such a key.
        DeviceError: it cannot be read or made.
    """
    path = folder / KEY_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            key = path.read_bytes()
        else:
            with os.fdopen(handle, "wb") as file:
                file.write(key := secrets.token_bytes(_KEY_BYTES))
    except OSError as error:
        raise DeviceError(f"cannot read or make {path} ({error.strerror}). Check the folder's permissions") from error
    if len(key) != _KEY_BYTES:
        raise DataError(f"{path} is not a key of this program ({len(key)} bytes). Remove it; numbers published before stay valid")
    return key


def laplace(key: bytes, people: Iterable[str], about: str, scale: float) -> float:
    """Return a number from the Laplace distribution around 0, always the same for the same arguments.

    Args:
        key: the secret.
        people: who is counted, in any order.
        about: what is counted; another text gives another number.
        scale: of the distribution; its standard deviation is 1.41 times as large.
    """
    text = json.dumps([sorted(people), about]).encode()
    digest = hmac.new(key, text, hashlib.sha256).digest()
    uniform = (int.from_bytes(digest[:8]) >> 11) / 2**53 + 2**-54  # in (0, 1)
    return -scale * math.copysign(math.log1p(-2 * abs(uniform - 0.5)), 0.5 - uniform)
