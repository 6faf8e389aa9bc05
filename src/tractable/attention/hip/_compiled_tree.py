"""The tree as compiled loops: four queries at a time, along the width, which is contiguous."""

# ruff: noqa: PLR0917 - compiled functions take plain arrays, one argument each

from typing import Any, no_type_check

import numpy as np
from numba import njit

from tractable.attention.hip._tree import LOWEST, MODULUS

__all__ = ["OPTIONS", "SIDE", "choose_in_blocks"]

OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz"},
}
SIDE = 4
"""Queries that run side by side; blocks are padded to a multiple."""


@njit(**OPTIONS)
@no_type_check
def choose_in_blocks(
    query, key, first_key, first_query, local_start, totals, chunks, block_q, block_k,
    stride_q, stride_k, num_sink, rule, seed, indices, counts, reads, start, stop,
):  # fmt: skip
    """Fill indices, counts and reads of the query blocks [start, stop)."""
    heads, length, width = query.shape[1], query.shape[2], query.shape[3]
    group = heads // key.shape[1]
    blocks = totals.shape[1]
    sides = ((block_q + stride_q - 1) // stride_q + SIDE - 1) // SIDE * SIDE
    sampled = np.zeros((sides, width), dtype=np.float32)
    begin = np.zeros(2 * chunks, dtype=np.int64)
    end = np.zeros(2 * chunks, dtype=np.int64)
    scores = np.zeros(2 * chunks, dtype=np.float32)
    work = np.zeros(2 * chunks, dtype=np.float32)
    for item in range(start, stop):
        block, head, row = item % blocks, item // blocks % heads, item // (blocks * heads)
        total = totals[row, block]
        if total <= chunks:
            for j in range(total):
                indices[item, j] = j
            counts[item] = total
            continue
        first = max(block * block_q, first_query[row])
        last = min((block + 1) * block_q, length) - 1
        asked = (last - first) // stride_q + 1
        used = (asked + SIDE - 1) // SIDE * SIDE
        for s in range(used):
            # Rows left over repeat the last query, which leaves the maximum as it is.
            i = last - (s * stride_q if s < asked else 0)
            for d in range(width):
                sampled[s, d] = query[row, head, i, d]
        reads[item] = _descend(
            key[row, head // group], first_key[row] + num_sink, local_start[row, block], total,
            chunks, block_k, stride_k, rule, seed, sampled, asked, begin, end, scores, work,
        )  # fmt: skip
        for j in range(chunks):
            indices[item, j] = begin[j]
        counts[item] = chunks


@njit(**OPTIONS)
@no_type_check
def _descend(
    keys, low, high, total, chunks, block_k, stride_k, rule, seed,
    sampled, asked, begin, end, scores, work,
):  # fmt: skip
    """Halve chunks and keep the best halves until each holds one block; return keys scored."""
    longest, reads = 0, 0
    for j in range(chunks):
        begin[j] = (2 * j * total + chunks) // (2 * chunks)
        end[j] = (2 * (j + 1) * total + chunks) // (2 * chunks)
        longest = max(longest, end[j] - begin[j])
    while longest > 1:
        # Split in place from the back: chunk j becomes halves 2j and 2j + 1.
        for j in range(chunks - 1, -1, -1):
            f, e = begin[j], end[j]
            middle = (f + e + 1) // 2
            begin[2 * j], end[2 * j] = f, middle
            begin[2 * j + 1], end[2 * j + 1] = middle, e
        for j in range(2 * chunks):
            f, e = begin[j], end[j]
            scores[j] = -np.inf
            if f < e:
                at = low + _represent(f, e, rule, seed) * block_k
                until = min(at + block_k, high)
                scores[j] = _score(keys, at, until, stride_k, sampled, asked)
                reads += (until - at + stride_k - 1) // stride_k
        _keep_best(begin, end, scores, work, chunks)
        longest = 0
        for j in range(chunks):
            longest = max(longest, end[j] - begin[j])
    return reads


@njit(**OPTIONS)
@no_type_check
def _represent(f, e, rule, seed):
    """The block that speaks for [f, e)."""
    if rule == 0:
        return (f + e - 1) // 2
    if rule == 1:
        return f
    if rule == 2:
        return e - 1
    return f + (f * 2654435761 + e * 40503 + seed) % MODULUS * 48271 % MODULUS % (e - f)


@njit(**OPTIONS)
@no_type_check
def _score(keys, at, until, stride, sampled, asked):
    """The largest product of the sampled queries with the keys [at, until); NaN counts as low."""
    best = np.float32(LOWEST)
    width = keys.shape[1]
    for position in range(at, until, stride):
        if asked == 1:
            a = np.float32(0.0)
            for d in range(width):
                a += keys[position, d] * sampled[0, d]
            best = _larger(best, a)
            continue
        for s in range(0, asked, SIDE):
            a = b = c = e = np.float32(0.0)
            for d in range(width):
                entry = keys[position, d]
                a += entry * sampled[s, d]
                b += entry * sampled[s + 1, d]
                c += entry * sampled[s + 2, d]
                e += entry * sampled[s + 3, d]
            best = _larger(best, a)
            best = _larger(best, b)
            best = _larger(best, c)
            best = _larger(best, e)
    return best


@njit(**OPTIONS)
@no_type_check
def _larger(best, found):
    """The larger of the two; NaN loses, which `max` does not promise."""
    return found if found > best else best


@njit(**OPTIONS)
@no_type_check
def _keep_best(begin, end, scores, work, chunks):
    """Keep the `chunks` best halves in their order; of equals the earlier ones."""
    for j in range(2 * chunks):
        work[j] = scores[j]
    threshold = _select_largest(work, chunks)
    equals = chunks
    for j in range(2 * chunks):
        equals -= scores[j] > threshold
    used = 0
    for j in range(2 * chunks):
        tied = scores[j] == threshold and equals > 0
        equals -= tied
        if tied or scores[j] > threshold:
            begin[used] = begin[j]
            end[used] = end[j]
            used += 1


@njit(**OPTIONS)
@no_type_check
def _select_largest(values, rank):
    """The rank-th largest of the values (rank from 1), which are reordered."""
    low, high = 0, values.shape[0] - 1
    wanted = rank - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]
