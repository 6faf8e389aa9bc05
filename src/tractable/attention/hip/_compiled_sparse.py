"""The sparse pass as compiled loops: a softmax with a running maximum, tile by tile."""

# ruff: noqa: PLR0917 - compiled functions take plain arrays, one argument each

from typing import no_type_check

import numpy as np
from numba import njit

from tractable.attention.hip._compiled_tree import OPTIONS, SIDE

__all__ = ["attend_blocks"]

TILE = 64
"""Keys whose scores are held at once."""


@njit(**OPTIONS)
@no_type_check
def attend_blocks(
    query, key, value, indices, counts, first_key, local_start, block_q, block_k,
    num_sink, is_causal, scale, out, lse, start, stop,
):  # fmt: skip
    """Fill the output of the query blocks [start, stop)."""
    heads, length, width = query.shape[1], query.shape[2], query.shape[3]
    total, group = key.shape[2], heads // key.shape[1]
    blocks = indices.shape[2]
    sides = (min(block_q, length) + SIDE - 1) // SIDE * SIDE
    positions = np.zeros(total, dtype=np.int64)
    limits = np.zeros(sides, dtype=np.int64)
    queries = np.zeros((sides, width), dtype=np.float32)
    weights = np.zeros((sides, TILE), dtype=np.float32)
    powers = np.zeros(TILE, dtype=np.int32)
    sums = np.zeros((sides, value.shape[3]), dtype=np.float32)
    highest = np.zeros(sides, dtype=np.float32)
    totals = np.zeros(sides, dtype=np.float32)
    for item in range(start, stop):
        block, head, row = item % blocks, item // blocks % heads, item // (blocks * heads)
        first = block * block_q
        asked = min(first + block_q, length) - first
        for s in range((asked + SIDE - 1) // SIDE * SIDE):
            i = first + min(s, asked - 1)
            limits[s] = total - length + i if is_causal else total - 1
            for d in range(width):
                queries[s, d] = query[row, head, i, d] * scale
        used = _list_keys(
            indices[row, head, block], counts[row, head, block], first_key[row],
            local_start[row, block], limits[asked - 1], block_k, num_sink, positions,
        )  # fmt: skip
        _attend_block(
            queries, asked if asked == 1 else -(-asked // SIDE) * SIDE,
            key[row, head // group], value[row, head // group], positions, used,
            limits, weights, powers, sums, highest, totals,
        )  # fmt: skip
        for s in range(asked):
            if totals[s] > 0.0:
                share = np.float32(1.0) / totals[s]
                for d in range(sums.shape[1]):
                    out[row, head, first + s, d] = sums[s, d] * share
                lse[row, head, first + s] = highest[s] + np.log(totals[s])
            elif used > 0 and limits[s] >= positions[0]:
                out[row, head, first + s] = np.nan
                lse[row, head, first + s] = np.nan


@njit(**OPTIONS)
@no_type_check
def _list_keys(chosen, count, first, local, last, block_k, num_sink, positions):
    """Write the positions that one query block reads; return how many."""
    used = 0
    for position in range(first, min(first + num_sink, local, last + 1)):
        positions[used] = position
        used += 1
    for j in range(count):
        begin = first + num_sink + chosen[j] * block_k
        for position in range(begin, min(begin + block_k, local)):
            positions[used] = position
            used += 1
    for position in range(local, last + 1):
        positions[used] = position
        used += 1
    return used


@njit(**OPTIONS)
@no_type_check
def _attend_block(
    queries, asked, keys, values, positions, used, limits,
    weights, powers, sums, highest, totals,
):  # fmt: skip
    """A softmax with a running maximum, a tile of keys at a time; fills sums, highest, totals."""
    sums[:asked] = np.float32(0.0)
    totals[:] = np.float32(0.0)
    highest[:] = np.float32(-np.inf)
    for begin in range(0, used, TILE):
        size = min(TILE, used - begin)
        if asked == 1:
            _multiply_one(keys, positions, begin, size, queries, weights)
        else:
            _multiply(keys, positions, begin, size, queries, asked, weights)
        for s in range(asked):
            # Positions ascend, so only a tile's end can lie behind a query.
            for j in range(size - 1, -1, -1):
                if positions[begin + j] <= limits[s]:
                    break
                weights[s, j] = -np.inf
            _weigh(weights, s, size, powers, highest, totals, sums)
        if asked == 1:
            _accumulate_one(values, positions, begin, size, weights, sums)
        else:
            _accumulate(values, positions, begin, size, weights, asked, sums)


@njit(**OPTIONS)
@no_type_check
def _multiply_one(keys, positions, begin, size, queries, weights):
    for j in range(size):
        position = positions[begin + j]
        a = np.float32(0.0)
        for d in range(keys.shape[1]):
            a += keys[position, d] * queries[0, d]
        weights[0, j] = a


@njit(**OPTIONS)
@no_type_check
def _multiply(keys, positions, begin, size, queries, asked, weights):
    for j in range(size):
        position = positions[begin + j]
        for s in range(0, asked, SIDE):
            a = b = c = e = np.float32(0.0)
            for d in range(keys.shape[1]):
                entry = keys[position, d]
                a += entry * queries[s, d]
                b += entry * queries[s + 1, d]
                c += entry * queries[s + 2, d]
                e += entry * queries[s + 3, d]
            weights[s, j] = a
            weights[s + 1, j] = b
            weights[s + 2, j] = c
            weights[s + 3, j] = e


@njit(**OPTIONS)
@no_type_check
def _weigh(weights, s, size, powers, highest, totals, sums):
    """Turn one query's scores into weights under the new maximum; rescale what was summed."""
    top = highest[s]
    for j in range(size):
        top = max(top, weights[s, j])
    if top == -np.inf:
        for j in range(size):
            weights[s, j] = np.float32(0.0)
        return
    if top > highest[s]:
        shrink = np.float32(np.exp(highest[s] - top))
        totals[s] *= shrink
        for d in range(sums.shape[1]):
            sums[s, d] *= shrink
        highest[s] = top
    twos = powers.view(np.float32)
    for j in range(size):
        # exp(x) = 2^n 2^f with n whole and f in [0, 1): the polynomial is as close as float32 gets.
        x = (weights[s, j] - top) * np.float32(1.4426950408889634)
        n = np.floor(max(x, np.float32(-126.0)))
        f = x - n
        powers[j] = (np.int32(n) + np.int32(127)) << np.int32(23)
        curve = np.float32(2.1611705e-4) * f + np.float32(1.2468161e-3)
        curve = curve * f + np.float32(9.6754218e-3)
        curve = curve * f + np.float32(5.5485293e-2)
        curve = curve * f + np.float32(2.4022930e-1)
        curve = curve * f + np.float32(6.9314705e-1)
        curve = curve * f + np.float32(1.0)
        weights[s, j] = np.float32(0.0) if x < np.float32(-126.0) else curve
    total = np.float32(0.0)
    for j in range(size):
        weights[s, j] *= twos[j]
        total += weights[s, j]
    totals[s] += total


@njit(**OPTIONS)
@no_type_check
def _accumulate_one(values, positions, begin, size, weights, sums):
    for j in range(size):
        position, a = positions[begin + j], weights[0, j]
        for d in range(values.shape[1]):
            sums[0, d] += a * values[position, d]


@njit(**OPTIONS)
@no_type_check
def _accumulate(values, positions, begin, size, weights, asked, sums):
    """Add weighted values, two keys and four queries at a time."""
    for j in range(size, size + size % 2):
        weights[:, j] = np.float32(0.0)
    for j in range(0, size, 2):
        p, q = positions[begin + j], positions[begin + min(j + 1, size - 1)]
        for s in range(0, asked, SIDE):
            a, b, c, e = weights[s, j], weights[s + 1, j], weights[s + 2, j], weights[s + 3, j]
            f, g = weights[s, j + 1], weights[s + 1, j + 1]
            h, i = weights[s + 2, j + 1], weights[s + 3, j + 1]
            for d in range(values.shape[1]):
                one, two = values[p, d], values[q, d]
                sums[s, d] += a * one + f * two
                sums[s + 1, d] += b * one + g * two
                sums[s + 2, d] += c * one + h * two
                sums[s + 3, d] += e * one + i * two
