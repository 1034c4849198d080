"""Could the class server add up what it cannot read? Sums of masked vectors (secure aggregation), tried and attacked.

    python benchmarks/masked_sums.py --chromium /usr/bin/chromium

After Bonawitz et al. 2017, the variant against a server that follows the protocol, and Bell et al. 2020 for the graph of
neighbours. Nothing of it is part of the package. One lesson with all pages and the server runs in this process:

1. Joining: a page draws a channel key for the lesson and, for each bin, two secrets of 127 bits: one for its own mask, one
   for a key pair (X25519). It sends its public keys. The secrets of different bins are drawn separately, so that what is
   revealed to close one bin says nothing about another. The price: one key agreement for each neighbour and bin instead
   of one for each neighbour and lesson, and a public key of 32 bytes for each bin.
2. Shares: for each bin a page splits both secrets (Shamir) and sends each neighbour one share of each, encrypted.
3. Masked vector: seconds of the bin in hundredths, modulo 2^32, plus the page's own mask, plus or minus one mask for each
   neighbour. Masks of neighbours cancel in the sum.
4. Unmasking: the server says who sent a vector. Of each neighbour that did, a page reveals its share of the own mask; of
   each that did not, its share of the key pair. Never both. With enough shares the server removes the masks from the sum.

The attacks are tried with both masks and with the masks of neighbours alone. Prints the attacks, a test whether masked
vectors look random, the risks of small neighbourhoods and the costs, and ends with one line of JSON. Times are of
Python with the package cryptography; ``--chromium`` also measures WebCrypto in Chromium and compares its masks with Python's.
"""

from __future__ import annotations

import argparse
import hmac
import json
import math
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.privacy.aggregates import K
from mien.privacy.lesson_bins import SIGNALS

try:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CTR
except ImportError as error:
    raise SystemExit("masked_sums needs the package cryptography: pip install 'mien[lti]'") from error

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
LEAK, LOSS = 2.0**-40, 2.0**-20
"""Accepted risks of a neighbourhood: that one of the pages can be read, and that a bin is lost."""
BROWSER_SCRIPT: Final = Path(__file__).parent / "web" / "masked_sums.js"
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


# attacks: each returns whether the server finds what the victim, page 0, sent

CLASS = 16
VICTIM = 0


def attacked_lesson(has_own_masks: bool, random: np.random.Generator) -> tuple[Lesson, list[Vector]]:
    lesson = open_lesson(group(CLASS, None, random), 1, has_own_masks=has_own_masks)
    return lesson, [learner_values(random) for _ in range(CLASS)]


def late_message(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The victim's vector comes after its key pair has been revealed, because it seemed to have left."""
    lesson, values = attacked_lesson(has_own_masks, random)
    server = collect(lesson, 0, values, frozenset({VICTIM}))
    late = lesson.pages[VICTIM].mask(0, server.shares_for(VICTIM), values[VICTIM])
    sent = frozenset(server.masked)
    answers = {page.number: page.unmask(0, sent) for page in lesson.pages if page.number in sent}
    assert np.array_equal(server.total(answers), plain_sum(values, sent))
    revealed = server.secret(VICTIM, answers)
    return np.array_equal(late - server.pair_masks(VICTIM, revealed, server.group.neighbours[VICTIM]), values[VICTIM])


def two_lists(has_own_masks: bool, random: np.random.Generator, threshold: int | None = None) -> bool:
    """The server tells half of the pages that the victim sent a vector, and the other half that it did not."""
    lesson, values = attacked_lesson(has_own_masks, random)
    if threshold is not None:
        lesson.group = Group(lesson.group.neighbours, threshold)
    server = collect(lesson, 0, values)
    everybody, half = frozenset(server.masked), CLASS // 2
    others = [page for page in lesson.pages if page.number != VICTIM]
    told_sent = {page.number: page.unmask(0, everybody) for page in others[:half]}
    told_left = {page.number: page.unmask(0, everybody - {VICTIM}) for page in others[half:]}
    try:
        read = server.masked[VICTIM] - server.pair_masks(
            VICTIM, server.secret(VICTIM, told_left), server.group.neighbours[VICTIM]
        )
        if has_own_masks:
            read -= own_mask(server.secret(VICTIM, told_sent))
    except RefusedError:
        return False
    return np.array_equal(read, values[VICTIM])


def two_lists_low_threshold(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The same where fewer than half of the shares are enough."""
    return two_lists(has_own_masks, random, CLASS // 2 - 1)


def helpers(has_own_masks: bool, random: np.random.Generator, more: int) -> bool:
    """Pages that work for the server give it all their shares, ``more`` than the threshold."""
    lesson, values = attacked_lesson(has_own_masks, random)
    server = collect(lesson, 0, values)
    points = range(2, 2 + lesson.group.threshold + more)
    found = []
    for use in range(2):
        shares = {}
        for point in points:
            cipher = lesson.pages[point - 1]._cipher(0, VICTIM, point - 1)
            text = cipher.decrypt(bytes(12), server.sealed[VICTIM][point - 1], None)
            shares[point] = int.from_bytes(text[SHARE_BYTES * use : SHARE_BYTES * (use + 1)], "little")
        found.append(combine(shares, len(shares)))  # with too few shares: the best guess, the other coefficients being zero
    read = server.masked[VICTIM] - server.pair_masks(VICTIM, found[1], server.group.neighbours[VICTIM])
    return np.array_equal(read - own_mask(found[0]) if has_own_masks else read, values[VICTIM])


def too_few_helpers(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The pages that work for the server have one share too few."""
    return helpers(has_own_masks, random, -1)


def enough_helpers(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The pages that work for the server have as many shares as are needed."""
    return helpers(has_own_masks, random, 0)


def sybil(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The server invents all pages but the victim's: it relays the public keys, and nobody vouches for them."""
    lesson, values = attacked_lesson(has_own_masks, random)
    server = collect(lesson, 0, values)
    everybody = frozenset(server.masked)
    answers = {page.number: page.unmask(0, everybody) for page in lesson.pages}
    invented = plain_sum(values, everybody - {VICTIM})
    return np.array_equal(server.total(answers) - invented, values[VICTIM])


def foreign_shares(has_own_masks: bool, random: np.random.Generator) -> bool:
    """The server itself tries to decrypt the shares that it relays, with the public keys it has."""
    lesson, values = attacked_lesson(has_own_masks, random)
    server = collect(lesson, 0, values)
    key = X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(lesson.keys[1].channel))
    try:
        AESGCM(derive(key, b"shares 0 0 1")).decrypt(bytes(12), server.sealed[VICTIM][1], None)
    except InvalidTag:
        return False
    return True


ATTACKS: Final[Mapping[str, Callable[[bool, np.random.Generator], bool]]] = {
    "late message of somebody whose masks were revealed": late_message,
    "server tells half of the pages that somebody left": two_lists,
    "the same, where fewer than half of the shares are enough": two_lists_low_threshold,
    "server decrypts the shares it relays": foreign_shares,
    "pages that work for the server, one share too few": too_few_helpers,
    "pages that work for the server, enough shares": enough_helpers,
    "server that invents all other pages": sybil,
}


def success(attack: Callable[[bool, np.random.Generator], bool], has_own_masks: bool, rounds: int) -> float:
    """Return the share of rounds in which the server reads the victim's vector."""
    return sum(attack(has_own_masks, np.random.default_rng((each, 5))) for each in range(rounds)) / rounds


def destroyed(random: np.random.Generator) -> bool:
    """One page adds random numbers to its vector: return whether the sum is wrong and nobody was told."""
    lesson, values = attacked_lesson(True, random)
    garbage = [values[0] + random.integers(0, 2**32, SIZE, dtype=np.uint32), *values[1:]]
    return not np.array_equal(run_bin(lesson, 0, garbage, frozenset(), frozenset()).total, plain_sum(values, range(CLASS)))


def uniformity(vectors: Sequence[Vector]) -> float:
    """Return how far the bytes of vectors are from uniform, in standard deviations of chi-squared (256 values)."""
    counts = np.bincount(np.frombuffer(np.concatenate(vectors).tobytes(), np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float((((counts - expected) ** 2 / expected).sum() - 255) / math.sqrt(2 * 255))


def views(has_masks: bool, is_large: bool, random: np.random.Generator) -> list[Vector]:
    """Return what the server has of each page when a bin is closed: the vectors without the own masks, which it can compute then.

    The victim has a full bin and page 1 nothing, or the reverse: the sum is the same.
    """
    lesson = open_lesson(group(CLASS, None, random), 1)
    values = [learner_values(random) for _ in range(CLASS)]
    full, nothing = np.full(SIZE, BIN_S * 100, np.uint32), np.zeros(SIZE, np.uint32)
    values[:2] = (full, nothing) if is_large else (nothing, full)
    if not has_masks:
        return values
    server = collect(lesson, 0, values)
    answers = {page.number: page.unmask(0, frozenset(server.masked)) for page in lesson.pages}
    return [vector - own_mask(server.secret(number, answers)) for number, vector in server.masked.items()]


def distinguished(has_masks: bool, rounds: int, random: np.random.Generator) -> tuple[float, float]:
    """Return how far what the server has is from uniform, and how often it guesses right who has the full bin.

    The guess: the mean of the victim's numbers, compared with those of both cases in the first half of the rounds.
    """
    seen = {is_large: [views(has_masks, is_large, random) for _ in range(rounds)] for is_large in (False, True)}
    means = {is_large: np.array([each[VICTIM].mean(dtype=float) for each in found]) for is_large, found in seen.items()}
    low, high = (float(means[is_large][: rounds // 2].mean()) for is_large in (False, True))
    right = [
        ((each > (low + high) / 2) == (high > low)) == is_large for is_large in seen for each in means[is_large][rounds // 2 :]
    ]
    return uniformity([vector for found in seen.values() for each in found for vector in each]), float(np.mean(right))


# neighbourhoods


def tail(total: int, bad: int, drawn: int, least: int) -> float:
    """Return the probability of ``least`` or more bad ones among some that are drawn (hypergeometric)."""
    ways = sum(math.comb(bad, k) * math.comb(total - bad, drawn - k) for k in range(least, min(bad, drawn) + 1))
    return ways / math.comb(total, drawn)


def risks(people: int, neighbours: int, share: float) -> tuple[float, float]:
    """Return bounds for the risks of a ring: that a page can be read, and that a bin is lost.

    A share of the pages works for the server, and as many leave. A page can be read if enough of its neighbours work for
    the server, or if its part of the ring is cut off from the rest.
    """
    bad, threshold = math.floor(people * share), neighbours // 2 + 1
    cut = float(people)
    for k in range(neighbours // 2):
        cut *= max(0, 2 * bad - k) / (people - k)
    read = people * tail(people - 1, bad, neighbours, threshold) + cut
    lost = people * tail(people - 1, bad, neighbours, neighbours - threshold + 1)
    return min(1.0, read), min(1.0, lost)


@cache
def enough_neighbours(people: int, share: float) -> int | None:
    """Return the smallest number of neighbours with accepted risks; None if everybody must be everybody's neighbour."""
    for neighbours in range(2, people - 1, 2):
        read, lost = risks(people, neighbours, share)
        if read <= LEAK and lost <= LOSS:
            return neighbours
    return None


def survives(who: Group, gone: NDArray[np.intp]) -> bool:
    """Return whether enough holders of every page's shares are left."""
    left = set(who.neighbours) - {int(each) for each in gone}
    return all(len(left.intersection(holders)) >= who.threshold for holders in who.neighbours.values())


def most_dropouts(who: Group, random: np.random.Generator, tries: int) -> int:
    """Return the largest number of pages that may leave at random such that the sum was found in each of some tries."""
    people, low, high = len(who.neighbours), 0, len(who.neighbours)
    while high - low > 1:
        middle = (low + high) // 2
        if all(survives(who, random.permutation(people)[:middle]) for _ in range(tries)):
            low = middle
        else:
            high = middle
    return low


def lost_bins(who: Group, random: np.random.Generator, miss: float, tries: int) -> float:
    """Return the share of bins that are lost if each page misses the last round with probability ``miss``."""
    people = len(who.neighbours)
    return statistics.fmean(not survives(who, np.flatnonzero(random.random(people) < miss)) for _ in range(tries))


def dropouts(who: Group, count: int, random: np.random.Generator) -> list[int]:
    """Return pages in random order that leave, such that the sum can be found: a ring survives most orders, not all."""
    while True:
        order = random.permutation(len(who.neighbours))[:count]
        if survives(who, order):
            return [int(each) for each in order]


# costs


def measure(people: int, neighbours: int | None, share: float, tries: int) -> dict[str, Any]:
    """Run two bins of a class, one with some dropouts and one with as many as it survives; return costs and results."""
    random = np.random.default_rng((people, neighbours or 0))
    who = group(people, neighbours, random)
    lesson = open_lesson(who)
    most = most_dropouts(who, random, tries)
    runs = []
    for number, gone in enumerate((min(most, round(people * share)), most)):
        values, order = [learner_values(random) for _ in range(people)], dropouts(who, gone, random)
        before, after = frozenset(order[: gone // 2]), frozenset(order[gone // 2 :])
        run = run_bin(lesson, number, values, before, after)
        if not np.array_equal(run.total, plain_sum(values, set(range(people)) - before)):
            raise SystemExit(f"the sum of {people} people is wrong")
        runs.append(run)
    first = runs[0]
    return {
        "people": people,
        "neighbours": len(who.neighbours[0]),
        "threshold": who.threshold,
        "sent_bytes": first.sent_bytes,
        "received_bytes": first.received_bytes,
        "page_ms": first.page_ms,
        "join_ms": lesson.join_ms,
        "server_ms": first.server_ms,
        "server_most_dropouts_ms": runs[1].server_ms,
        "most_dropouts": most / people,
        "lost_bins": lost_bins(who, random, 0.3, 10 * tries),
    }


def browser_costs(chromium: str, neighbours: Sequence[int]) -> dict[str, float]:
    """Return milliseconds that a page in Chromium needs for a bin, by number of neighbours; its masks must be Python's."""
    from playwright.sync_api import sync_playwright

    secret, other = 2**126 + 12345, X25519PrivateKey.generate()
    public = other.public_key().public_bytes_raw()
    expected = own_mask(secret) + pair_mask(mask_key(secret), 0, 1, public)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("https://class.test/", lambda route: route.fulfill(content_type="text/html", body="<!doctype html>"))
        page.goto("https://class.test/")  # WebCrypto needs a secure context
        page.add_script_tag(content=BROWSER_SCRIPT.read_text(encoding="utf-8"))
        found = page.evaluate("([secret, key, size]) => masked(BigInt(secret), key, size)", [str(secret), list(public), SIZE])
        if found != expected.tolist():
            raise SystemExit("WebCrypto and Python do not compute the same masks")
        costs = {}
        for each in neighbours:
            times = [float(page.evaluate("([count, size]) => cost(count, size)", [each, SIZE])) for _ in range(5)]
            costs[str(each)] = statistics.median(times)
        browser.close()
    return costs


def print_attacks(rounds: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    print("| attack | read, masks of neighbours alone | read, own mask as well |\n|---|---|---|")
    for name, attack in ATTACKS.items():
        single, double = (success(attack, has_own_masks, rounds) for has_own_masks in (False, True))
        found[name] = [single, double]
        print(f"| {name} | {single:.0%} | {double:.0%} |")
    wrong = statistics.fmean(destroyed(np.random.default_rng(each)) for each in range(rounds))
    print(f"\nOne page sends random numbers: the sum is wrong and nobody is told in {wrong:.0%}.\n")
    print("| what the server has of each page | bytes from uniform, standard deviations | guesses who was there, 50% is chance |")
    print("|---|---|---|")
    for name, has_masks in (("vectors without masks", False), ("vectors with the masks of neighbours, after unmasking", True)):
        off, right = found[name] = distinguished(has_masks, 5 * rounds, np.random.default_rng(0))
        print(f"| {name} | {off:+.1f} | {right:.1%} |")
    print()
    return {**found, "destroyed": wrong}


def print_neighbourhoods(people: Sequence[int], share: float) -> dict[str, Any]:
    found = {}
    print("| people | neighbours, log2 n times 2 | a page can be read | bin lost | enough neighbours |\n|---|---|---|---|---|")
    for each in people:
        few = 2 * round(math.log2(each))
        read, lost = risks(each, few, share)
        found[str(each)] = [few, read, lost, enough_neighbours(each, share)]
        print(f"| {each} | {few} | {read:.1%} | {lost:.1%} | {enough_neighbours(each, share) or 'all'} |")
    print()
    return found


def print_costs(people: Sequence[int], share: float, tries: int, complete: int) -> list[dict[str, Any]]:
    rows = []
    print("| people | neighbours | shares needed | sent a bin, bytes | received, bytes | round trips | page, ms a bin", end=" ")
    print("| page, ms at joining | server, ms a bin | with most dropouts | dropouts survived | bins lost, 30% miss the end |")
    print("|---" * 12 + "|")
    for each in people:
        some = enough_neighbours(each, share)
        kinds = [None] * (each <= complete) + [some] * (some is not None and each >= 300)
        for neighbours in kinds:
            row = measure(each, neighbours, share, tries)
            rows.append(row)
            print(
                f"| {each} | {row['neighbours']} | {row['threshold']} | {row['sent_bytes']} | {row['received_bytes']}"
                f" | {ROUND_TRIPS} | {row['page_ms']:.1f} | {row['join_ms']:.1f}"
                f" | {row['server_ms']:.0f} | {row['server_most_dropouts_ms']:.0f}"
                f" | {row['most_dropouts']:.1%} | {row['lost_bins']:.1%} |",
                flush=True,
            )
    print()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, nargs="+", default=[15, 50, 100, 300, 1000], help="sizes of the class")
    parser.add_argument("--rounds", type=int, default=40, help="rounds of each attack")
    parser.add_argument("--tries", type=int, default=200, help="random sets of dropouts for each class")
    parser.add_argument("--share", type=float, default=0.2, help="share of pages that leave, and that work for the server")
    parser.add_argument("--complete", type=int, default=300, help="largest class in which everybody is everybody's neighbour")
    parser.add_argument("--chromium", help="path of Chromium: measure WebCrypto in it as well")
    settings = parser.parse_args()
    if min(settings.people) <= K:
        parser.error(f"a class has more than {K} people")
    found: dict[str, Any] = {"attacks": print_attacks(settings.rounds)}
    found["neighbourhoods"] = print_neighbourhoods(settings.people, settings.share)
    found["costs"] = print_costs(settings.people, settings.share, settings.tries, settings.complete)
    if settings.chromium:
        found["browser_ms"] = browser_costs(settings.chromium, sorted({row["neighbours"] for row in found["costs"]}))
        print("| neighbours | a page in Chromium, ms a bin |\n|---|---|")
        print("".join(f"| {each} | {ms:.0f} |\n" for each, ms in found["browser_ms"].items()))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
