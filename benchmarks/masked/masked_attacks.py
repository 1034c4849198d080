"""Attacks on masked sums: each returns whether the server finds what the victim, page 0, sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from masked_protocol import (
    BIN_S,
    SHARE_BYTES,
    SIZE,
    Group,
    Lesson,
    RefusedError,
    Vector,
    collect,
    combine,
    derive,
    group,
    learner_values,
    open_lesson,
    own_mask,
    plain_sum,
    run_bin,
)

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
