"""Noise for group statistics: discrete Gaussian samples, determined by a secret key and the query with its data.

Independent noise could be averaged out by repeating a query. Here the same query on the same data
always gets the same noise, even if the record of the first result is lost; any other query, or the
same query on other data, gets independent noise. Without the key, the samples cannot be
distinguished from random ones (HMAC-SHA256 in counter mode).

The sampler is exact: it uses integers only, so floating-point rounding leaks nothing (Mironov
2012). It follows Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy"
(2020), algorithms 1 to 3, https://arxiv.org/abs/2004.00010.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from mien.documents import read_limited
from mien.errors import DataError, DeviceError
from mien.files import atomic_path, close_to_others
from mien.locks import one_writer

KEY_NAME: Final = "noise.key"
_KEY_BYTES: Final = 32


def noise_key(folder: Path) -> bytes:
    """Return the secret key in ``folder`` (32 bytes); it is created if missing and readable by its owner only.

    The key is written atomically.

    Raises:
        DataError: the file is not a valid key.
        DeviceError: the file cannot be read or created.
    """
    path = folder / KEY_NAME
    with one_writer(path):
        try:
            if not path.exists():
                with atomic_path(path, private=True) as temporary, temporary.open("wb") as file:
                    file.write(secrets.token_bytes(_KEY_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            close_to_others(path)
            key = read_limited(path, _KEY_BYTES)
        except OSError as error:
            raise DeviceError(f"cannot read {path} ({error.strerror}). Check the folder's permissions") from error
        except ValueError:
            key = b""
    if len(key) != _KEY_BYTES:
        raise DataError(f"{path} is not a valid key. Restore a copy of it; without it, the spent privacy budgets are unknown")
    return key


class KeyedRandom:
    """Pseudorandom numbers determined by a key and a query, unpredictable without the key.

    Args:
        key: the secret key.
        query: the purpose of the numbers; different queries get independent numbers.
    """

    def __init__(self, key: bytes, query: bytes) -> None:
        self._seed = hmac.digest(key, query, "sha256")
        self._blocks = 0
        self._pool = b""

    def below(self, limit: int) -> int:
        """Return a uniform integer from 0 to ``limit - 1``."""
        bits = (limit - 1).bit_length()
        size = (bits + 7) // 8
        while True:
            while len(self._pool) < size:
                self._pool += hmac.digest(self._seed, self._blocks.to_bytes(8), "sha256")
                self._blocks += 1
            taken, self._pool = self._pool[:size], self._pool[size:]
            value = int.from_bytes(taken) >> (8 * size - bits)
            if value < limit:
                return value


def discrete_gaussian(random: KeyedRandom, sigma: int) -> int:
    """Return an integer x with probability proportional to exp(-x² / (2 sigma²)).

    Args:
        random: source of randomness.
        sigma: scale, very nearly the standard deviation, 1 or more.
    """
    scale = sigma + 1
    while True:
        value = _discrete_laplace(random, scale)
        if _bernoulli_exp(random, (abs(value) * scale - sigma**2) ** 2, 2 * (sigma * scale) ** 2):
            return value


def _discrete_laplace(random: KeyedRandom, scale: int) -> int:
    """Return an integer x with probability proportional to exp(-abs(x) / scale)."""
    while True:
        rest = random.below(scale)
        if not _bernoulli_exp(random, rest, scale):
            continue
        whole = 0
        while _bernoulli_exp(random, 1, 1):
            whole += 1
        size, negative = rest + scale * whole, random.below(2)
        if size or not negative:
            return -size if negative else size


def _bernoulli_exp(random: KeyedRandom, numerator: int, denominator: int) -> bool:
    """Return True with probability exp(-numerator / denominator), exactly."""
    while numerator > denominator:
        if not _bernoulli_exp(random, 1, 1):
            return False
        numerator -= denominator
    count = 1
    while random.below(denominator * count) < numerator:
        count += 1
    return count % 2 == 1
