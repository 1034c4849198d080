"""The protocol: sums of masked vectors of one lesson, with all pages and the server in one process.

1. Joining: a page draws a channel key for the lesson and, for each bin, two secrets of 127 bits: one for its own mask, one
   for a key pair (X25519). It sends its public keys. The secrets of different bins are drawn separately, so that what is
   revealed to close one bin says nothing about another. The price: one key agreement for each neighbour and bin instead
   of one for each neighbour and lesson, and a public key of 32 bytes for each bin.
2. Shares: for each bin a page splits both secrets (Shamir) and sends each neighbour one share of each, encrypted.
3. Masked vector: seconds of the bin in hundredths, modulo 2^32, plus the page's own mask, plus or minus one mask for each
   neighbour. Masks of neighbours cancel in the sum.
4. Unmasking: the server says who sent a vector. Of each neighbour that did, a page reveals its share of the own mask; of
   each that did not, its share of the key pair. Never both. With enough shares the server removes the masks from the sum.

After Bonawitz et al. 2017 (the variant against a server that follows the protocol) and Bell et al. 2020 (graph of neighbours).
"""

from __future__ import annotations

import hmac
import math
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, wraps
from typing import Concatenate, Final, ParamSpec, TypeVar

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.privacy.aggregates import K
from mien.privacy.lesson_bins import SIGNALS

PRIME: Final = 2**127 - 1
"""Secrets and their shares are numbers below this prime: 16 bytes."""
SHARE_BYTES: Final = 16
ROUND_TRIPS: Final = 3
"""For each bin: shares, masked vector, unmasking."""
HEADER_BYTES: Final = 2
"""Number of the bin, in each message."""
SIZE: Final = 3 + len(EMOTIONS) + len(SIGNALS)
"""Numbers of a vector: 1 for the participant, seconds measured, seconds facing the screen, seconds by expression, signals."""
BINS: Final = 12
BIN_S: Final = 300
Vector = NDArray[np.uint32]
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class RefusedError(Exception):
    """A page or the server does not go on: too few others are left."""


def derive(secret: bytes, use: bytes) -> bytes:
    """Return 32 bytes for one use of a secret: HKDF with SHA-256 and no salt (RFC 5869), as WebCrypto computes it."""
    return hmac.digest(hmac.digest(bytes(32), secret, "sha256"), use + b"\x01", "sha256")


def stream(key: bytes) -> Vector:
    """Return a mask: the key stream of AES-256-CTR from counter 0."""
    return np.frombuffer(Cipher(AES(key), CTR(bytes(16))).encryptor().update(bytes(4 * SIZE)), "<u4").astype(np.uint32)


def split(secret: int, threshold: int, points: Iterable[int]) -> list[int]:
    """Return a share of a secret for each point (Shamir 1979): ``threshold`` of them give it, fewer say nothing."""
    coefficients = [secrets.randbelow(PRIME) for _ in range(threshold - 1)]
    shares = []
    for point in points:
        value = 0
        for coefficient in coefficients:
            value = (value + coefficient) * point % PRIME
        shares.append((value + secret) % PRIME)
    return shares


@lru_cache(maxsize=4096)
def weights(points: tuple[int, ...]) -> tuple[int, ...]:
    """Return the weights by which shares at these points add up to the secret (Lagrange)."""
    found = []
    for point in points:
        top = bottom = 1
        for other in points:
            if other != point:
                top, bottom = top * other % PRIME, bottom * (other - point) % PRIME
        found.append(top * pow(bottom, -1, PRIME) % PRIME)
    return tuple(found)


def combine(shares: Mapping[int, int], threshold: int) -> int:
    """Return the secret from shares by point.

    Raises:
        RefusedError: there are fewer than ``threshold`` of them.
    """
    if len(shares) < threshold:
        raise RefusedError(f"{len(shares)} shares of a secret are left; {threshold} are needed")
    points = tuple(sorted(shares)[:threshold])
    return sum(weight * shares[point] for weight, point in zip(weights(points), points, strict=True)) % PRIME


def own_mask(secret: int) -> Vector:
    return stream(derive(secret.to_bytes(SHARE_BYTES, "little"), b"own mask"))


def mask_key(secret: int) -> X25519PrivateKey:
    """Return the private key that belongs to the secret of a bin."""
    return X25519PrivateKey.from_private_bytes(derive(secret.to_bytes(SHARE_BYTES, "little"), b"mask key"))


def pair_mask(key: X25519PrivateKey, number: int, other: int, public: bytes) -> Vector:
    """Return what ``number`` adds to its vector for its neighbour ``other``; the neighbour adds the opposite."""
    mask = stream(derive(key.exchange(X25519PublicKey.from_public_bytes(public)), b"pair mask"))
    return mask if number < other else np.zeros_like(mask) - mask


@dataclass(frozen=True)
class Group:
    """Who masks for whom.

    Attributes:
        neighbours: numbers of the pages that hold a page's shares, by page.
        threshold: shares that give a secret.
    """

    neighbours: Mapping[int, tuple[int, ...]]
    threshold: int


def group(people: int, neighbours: int | None, random: np.random.Generator) -> Group:
    """Return a group in which everybody is everybody's neighbour, or a ring in random order with the nearest as neighbours.

    The threshold is more than half of the neighbours: a server that tells pages different things about somebody cannot
    get both of their secrets, as long as none of the pages works for it.
    """
    if neighbours is None or neighbours >= people - 1:
        return Group({each: tuple(k for k in range(people) if k != each) for each in range(people)}, (people - 1) // 2 + 1)
    ring = [int(each) for each in random.permutation(people)]
    steps = [step for k in range(1, neighbours // 2 + 1) for step in (-k, k)]
    found = {each: tuple(sorted(ring[(place + step) % people] for step in steps)) for place, each in enumerate(ring)}
    return Group(found, len(steps) // 2 + 1)


@dataclass(frozen=True)
class PublicKeys:
    """What a page sends when it joins.

    Attributes:
        channel: key for the encryption of shares in the whole lesson.
        masks: key for the masks of each bin.
    """

    channel: bytes
    masks: tuple[bytes, ...]


@dataclass
class BinSecrets:
    """What a page keeps of a bin until it has helped to unmask it.

    Attributes:
        own: secret of its own mask.
        pair: secret of its key pair.
        sealed: encrypted shares of its neighbours' secrets, by neighbour.
    """

    own: int = field(default_factory=lambda: secrets.randbelow(PRIME))
    pair: int = field(default_factory=lambda: secrets.randbelow(PRIME))
    sealed: Mapping[int, bytes] = field(default_factory=dict)


def timed(
    method: Callable[Concatenate[Page, Parameters], Returned],
) -> Callable[Concatenate[Page, Parameters], Returned]:
    """Add the time that a method takes to what its page has spent."""

    @wraps(method)
    def counted(page: Page, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Returned:
        start_s = time.perf_counter()
        try:
            return method(page, *args, **kwargs)
        finally:
            page.spent_s += time.perf_counter() - start_s

    return counted


class Page:
    """A learner's page.

    Args:
        number: number of the participant in the class.
        bins: number of bins of the lesson.
        has_own_mask: whether the page adds a mask of its own; without it, there are the masks of neighbours only.
    """

    def __init__(self, number: int, bins: int = BINS, *, has_own_mask: bool = True) -> None:
        self.number, self._has_own_mask = number, has_own_mask
        self._channel = X25519PrivateKey.generate()
        self._bins = {each: BinSecrets() for each in range(bins)}
        self._channels: dict[int, bytes] = {}
        self._keys: dict[int, bytes] = {}
        self._threshold = 0
        self.spent_s = 0.0

    @timed
    def join(self) -> PublicKeys:
        """Return the public keys of the lesson."""
        masks = tuple(mask_key(each.pair).public_key().public_bytes_raw() for each in self._bins.values())
        return PublicKeys(self._channel.public_key().public_bytes_raw(), masks)

    @timed
    def meet(self, channels: Mapping[int, bytes]) -> None:
        """Agree on a channel with each neighbour; once a lesson."""
        for other, public in channels.items():
            self._channels[other] = self._channel.exchange(X25519PublicKey.from_public_bytes(public))

    @timed
    def share(self, number: int, keys: Mapping[int, bytes], threshold: int) -> dict[int, bytes]:
        """First message of a bin: return encrypted shares of both secrets for each neighbour, whose keys of the bin are given."""
        self._keys, self._threshold = dict(keys), threshold
        mine, points = self._bins[number], [other + 1 for other in keys]
        rows = zip(keys, split(mine.own, threshold, points), split(mine.pair, threshold, points), strict=True)
        return {
            other: self._cipher(number, self.number, other).encrypt(
                bytes(12), own.to_bytes(SHARE_BYTES, "little") + pair.to_bytes(SHARE_BYTES, "little"), None
            )
            for other, own, pair in rows
        }

    @timed
    def mask(self, number: int, sealed: Mapping[int, bytes], values: Vector) -> Vector:
        """Second message: return the masked vector, given the encrypted shares of those neighbours that sent some.

        Raises:
            RefusedError: too few neighbours sent shares.
        """
        if len(sealed) < self._threshold:
            raise RefusedError(f"{len(sealed)} neighbours sent shares; {self._threshold} are needed")
        mine = self._bins[number]
        mine.sealed = sealed
        key, masked = mask_key(mine.pair), values.copy()
        for other in sealed:
            masked += pair_mask(key, self.number, other, self._keys[other])
        return masked + own_mask(mine.own) if self._has_own_mask else masked

    @timed
    def unmask(self, number: int, sent: frozenset[int]) -> dict[int, int]:
        """Third message: return one share for each neighbour, of the own mask of who sent a vector, of the key of who did not.

        Raises:
            RefusedError: too few people sent a vector, or this page has answered for the bin before.
        """
        mine = self._bins.pop(number, None)
        if mine is None:
            raise RefusedError("a page answers once for a bin")
        if len(sent) < K or len(sent & mine.sealed.keys()) < self._threshold:
            raise RefusedError(f"{len(sent)} people sent a vector; {K}, and {self._threshold} neighbours, are needed")
        answer = {}
        for other, sealed in mine.sealed.items():
            own_and_pair = self._cipher(number, other, self.number).decrypt(bytes(12), sealed, None)
            if other not in sent:
                answer[other] = int.from_bytes(own_and_pair[SHARE_BYTES:], "little")
            elif self._has_own_mask:
                answer[other] = int.from_bytes(own_and_pair[:SHARE_BYTES], "little")
        return answer

    def _cipher(self, number: int, sender: int, receiver: int) -> AESGCM:
        """Return the cipher of one message: its key is used once, so that its nonce may be zero."""
        other = receiver if sender == self.number else sender
        return AESGCM(derive(self._channels[other], b"shares %d %d %d" % (number, sender, receiver)))


def plain_sum(values: Sequence[Vector], sent: Iterable[int]) -> Vector:
    """Return the sum of the vectors with these positions."""
    total = np.zeros(SIZE, np.uint32)
    for each in sent:
        total += values[each]
    return total


@dataclass
class Server:
    """What the server has of one bin.

    Attributes:
        group: who masks for whom.
        keys: public keys of the bin, by page.
        sealed: encrypted shares, by sender and receiver.
        masked: masked vectors, by page.
        has_own_masks: whether pages add masks of their own.
    """

    group: Group
    keys: Mapping[int, bytes]
    sealed: dict[int, dict[int, bytes]] = field(default_factory=dict)
    masked: dict[int, Vector] = field(default_factory=dict)
    has_own_masks: bool = True

    def shares_for(self, number: int) -> dict[int, bytes]:
        """Return the encrypted shares for a page."""
        return {other: self.sealed[other][number] for other in self.group.neighbours[number] if other in self.sealed}

    def secret(self, number: int, answers: Mapping[int, Mapping[int, int]]) -> int:
        """Return the secret of a page from the shares that its neighbours revealed."""
        holders = (other for other in self.group.neighbours[number] if number in answers.get(other, ()))
        return combine({other + 1: answers[other][number] for other in holders}, self.group.threshold)

    def pair_masks(self, number: int, secret: int, others: Iterable[int]) -> Vector:
        """Return the sum of the masks that a page added for ``others``, given the secret of its key pair."""
        key, total = mask_key(secret), np.zeros(SIZE, np.uint32)
        for other in others:
            total += pair_mask(key, number, other, self.keys[other])
        return total

    def total(self, answers: Mapping[int, Mapping[int, int]]) -> Vector:
        """Return the sum of all vectors that were sent.

        Raises:
            RefusedError: too few pages answered.
        """
        total = plain_sum(list(self.masked.values()), range(len(self.masked)))
        for number in self.sealed:
            if number not in self.masked:
                # what the others added for it is the opposite of what it would have added for them
                others = (other for other in self.group.neighbours[number] if other in self.masked)
                total += self.pair_masks(number, self.secret(number, answers), others)
            elif self.has_own_masks:
                total -= own_mask(self.secret(number, answers))
        return total


@dataclass
class Lesson:
    """The pages of a lesson, their public keys, and who masks for whom.

    Attributes:
        pages: the pages, by number.
        keys: their public keys.
        group: who masks for whom.
        has_own_masks: whether pages add masks of their own.
        join_ms: mean time that a page needs for keys and channels.
    """

    pages: list[Page]
    keys: list[PublicKeys]
    group: Group
    has_own_masks: bool
    join_ms: float


def open_lesson(who: Group, bins: int = BINS, *, has_own_masks: bool = True) -> Lesson:
    """Let pages join and exchange their public keys through the server."""
    pages = [Page(number, bins, has_own_mask=has_own_masks) for number in range(len(who.neighbours))]
    keys = [page.join() for page in pages]
    for page in pages:
        page.meet({other: keys[other].channel for other in who.neighbours[page.number]})
    return Lesson(pages, keys, who, has_own_masks, 1000 * statistics.fmean(page.spent_s for page in pages))


@dataclass
class BinRun:
    """A bin that was closed.

    Attributes:
        total: the sum that the server found.
        sent_bytes: bytes that a page sent, the largest of all pages.
        received_bytes: bytes that a page received, the largest of all pages.
        page_ms: time that a page needed, mean of those that stayed.
        server_ms: time that the server needed to unmask the sum.
    """

    total: Vector
    sent_bytes: int
    received_bytes: int
    page_ms: float
    server_ms: float


def collect(lesson: Lesson, number: int, values: Sequence[Vector], silent: frozenset[int] = frozenset()) -> Server:
    """Let all pages send shares, and all but the silent ones masked vectors; return what the server has."""
    who = lesson.group
    server = Server(who, {k: each.masks[number] for k, each in enumerate(lesson.keys)}, has_own_masks=lesson.has_own_masks)
    for page in lesson.pages:
        keys = {other: server.keys[other] for other in who.neighbours[page.number]}
        server.sealed[page.number] = page.share(number, keys, who.threshold)
    for page in lesson.pages:
        if page.number not in silent:
            server.masked[page.number] = page.mask(number, server.shares_for(page.number), values[page.number])
    return server


def run_bin(lesson: Lesson, number: int, values: Sequence[Vector], before: frozenset[int], after: frozenset[int]) -> BinRun:
    """Close a bin: pages in ``before`` leave after their shares, those in ``after`` when they have sent their vector.

    Raises:
        RefusedError: too many left.
    """
    earlier_s = [page.spent_s for page in lesson.pages]
    server = collect(lesson, number, values, before)
    sent = frozenset(server.masked)
    answers = {page.number: page.unmask(number, sent) for page in lesson.pages if page.number not in before | after}
    weights.cache_clear()
    start_s = time.perf_counter()
    total = server.total(answers)
    server_s = time.perf_counter() - start_s
    sizes = [(len(server.sealed[k]), sum(map(len, server.sealed[k].values())), len(answer)) for k, answer in answers.items()]
    listed = math.ceil(len(lesson.pages) / 8)  # who sent shares, and who sent a vector: one bit for each page
    return BinRun(
        total,
        max(ROUND_TRIPS * HEADER_BYTES + sealed + 4 * SIZE + SHARE_BYTES * revealed for _, sealed, revealed in sizes),
        max(ROUND_TRIPS * HEADER_BYTES + 32 * neighbours + sealed + 2 * listed for neighbours, sealed, _ in sizes),
        1000 * statistics.fmean(lesson.pages[k].spent_s - earlier_s[k] for k in answers),
        1000 * server_s,
    )


def learner_values(random: np.random.Generator, bin_s: int = BIN_S) -> Vector:
    """Return what a learner might send for a bin: hundredths of seconds."""
    measured = random.uniform(0.5, 1) * bin_s * 100
    expressions = random.dirichlet(np.full(len(EMOTIONS), 0.4)) * measured
    signals = np.arange(len(SIGNALS)) == random.integers(-1, len(SIGNALS))
    return np.round([1, measured, measured * random.uniform(), *expressions, *signals]).astype(np.uint32)
