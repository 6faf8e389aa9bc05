"""Vectors over GF(2) as the bits of uint64, and the sums and bases that are made of them."""

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]

ONE = np.uint64(1)


def parity(words: Words) -> NDArray[np.bool_]:
    """Whether each word has an odd number of ones."""
    return (np.bitwise_count(words) & 1).astype(np.bool_)


def signs(offsets: Words, keys: Words) -> NDArray[np.float64]:
    """Return (-1)^<d, k>: one row a key, one column an offset."""
    return np.where(parity(keys[:, None] & offsets), -1.0, 1.0)


def span(basis: Words) -> Words:
    """Return all sums of the basis, the sum of the bits of j at place j."""
    table = np.zeros(1, np.uint64)
    for vector in basis:
        table = np.concatenate([table, table ^ vector])
    return table


def products(basis: Words, keys: Words) -> Words:
    """Return, for each key, the word whose bit i is <basis_i, key>."""
    found = np.zeros(keys.shape, np.uint64)
    for i, vector in enumerate(basis):
        found |= parity(keys & vector).astype(np.uint64) << np.uint64(i)
    return found


def combine(basis: Words, words: Words) -> Words:
    """Return, for each word, the sum of the basis vectors at its ones."""
    found = np.zeros(words.shape, np.uint64)
    for i, vector in enumerate(basis):
        found ^= np.where((words >> np.uint64(i)) & ONE, vector, np.uint64(0))
    return found


def random_words(n: int, count: int, rng: np.random.Generator) -> Words:
    """Draw words of n bits, at most 63."""
    return rng.integers(0, 1 << n, count, dtype=np.uint64)


def random_basis(n: int, rng: np.random.Generator) -> tuple[Words, Words]:
    """Draw a basis uniformly, and its dual: <basis_i, dual_j> is 1 for i = j, else 0."""
    while True:  # a square matrix is invertible with probability 0.29 or more
        basis = random_words(n, n, rng)
        dual = _invert([int(word) for word in basis], n)
        if dual is not None:
            return basis, np.array(dual, np.uint64)


def _invert(rows: list[int], n: int) -> list[int] | None:
    """Return the columns of the inverse of a matrix given by rows, or None."""
    work = [row | (1 << (n + i)) for i, row in enumerate(rows)]
    for column in range(n):
        pivot = next((i for i in range(column, n) if work[i] >> column & 1), None)
        if pivot is None:
            return None
        work[column], work[pivot] = work[pivot], work[column]
        for i in range(n):
            if i != column and work[i] >> column & 1:
                work[i] ^= work[column]
    # Row c of the inverse has bit i where basis_i takes part in e_c; its columns are the dual.
    inverse = [row >> n for row in work]
    return [sum((inverse[c] >> i & 1) << c for c in range(n)) for i in range(n)]
