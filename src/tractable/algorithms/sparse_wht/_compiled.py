"""The loops that NumPy cannot fuse, compiled with Numba; they take no keywords."""

from typing import no_type_check

import numpy as np
from numba import njit

BLOCK = 1 << 12
"""Numbers whose levels are finished together: 32 KiB, the first cache."""


@njit(cache=True, nogil=True)
@no_type_check
def _ones(x):
    """Do the levels of distance 1 and 2, which lie inside four neighbours."""
    for i in range(0, x.size, 4):
        a, b, c, d = x[i], x[i + 1], x[i + 2], x[i + 3]
        p, q, r, s = a + b, a - b, c + d, c - d
        x[i] = p + r
        x[i + 1] = q + s
        x[i + 2] = p - r
        x[i + 3] = q - s


@njit(cache=True, nogil=True)
@no_type_check
def _levels(x, h):
    """Do all levels from distance h on, two at a time."""
    size = x.size
    if h == 1 and size >= 4:
        _ones(x)
        h = 4
    while 4 * h <= size:
        for start in range(0, size, 4 * h):
            first = x[start : start + h]
            second = x[start + h : start + 2 * h]
            third = x[start + 2 * h : start + 3 * h]
            fourth = x[start + 3 * h : start + 4 * h]
            for i in range(h):
                a, b, c, d = first[i], second[i], third[i], fourth[i]
                p, q, r, s = a + b, a - b, c + d, c - d
                first[i] = p + r
                second[i] = q + s
                third[i] = p - r
                fourth[i] = q - s
        h *= 4
    if 2 * h <= size:
        for start in range(0, size, 2 * h):
            first = x[start : start + h]
            second = x[start + h : start + 2 * h]
            for i in range(h):
                a, b = first[i], second[i]
                first[i] = a + b
                second[i] = a - b


@njit(cache=True, nogil=True)
@no_type_check
def transform(x, length, inner):
    """Transform each stretch of `length` numbers in place, `inner` numbers being one entry."""
    block = min(max(BLOCK, 2 * inner), length)
    while length % block:  # only if inner is no power of two
        block = length
    for start in range(0, x.size, length):
        row = x[start : start + length]
        for part in range(0, length, block):
            _levels(row[part : part + block], inner)
        if block < length:
            _levels(row, block)


@njit(cache=True, nogil=True)
@no_type_check
def _odd(x):
    for shift in (32, 16, 8, 4, 2, 1):
        x ^= x >> np.uint64(shift)
    return (x & np.uint64(1)) != 0


@njit(cache=True, nogil=True)
@no_type_check
def subtract(values, bins, offsets, keys, amounts):
    """Take each coefficient out of its bin, with its sign at every offset."""
    for i in range(keys.size):
        row = values[bins[i]]
        for p in range(offsets.size):
            if _odd(offsets[p] & keys[i]):
                row[p] += amounts[i]
            else:
                row[p] -= amounts[i]


@njit(cache=True, nogil=True)
@no_type_check
def viterbi(soft, outputs, memory):
    """Return the message whose terminated code word correlates best with each row."""
    rows, steps, _ = soft.shape
    states = 1 << memory
    width = steps - memory
    found = np.zeros(rows, np.uint64)
    best, after = np.empty(states), np.empty(states)
    chosen = np.empty((steps, states), np.uint8)
    gain = np.empty(4)
    for row in range(rows):
        best[:] = -np.inf
        best[0] = 0.0
        for t in range(steps):
            a, b = soft[row, t, 0], soft[row, t, 1]
            gain[0], gain[1], gain[2], gain[3] = a + b, a - b, b - a, -a - b
            for state in range(states):
                bit = state >> (memory - 1)
                if bit == 1 and t >= width:
                    after[state] = -np.inf
                    chosen[t, state] = 0
                    continue
                low = (state << 1) & (states - 1)
                x = best[low] + gain[outputs[bit, low]]
                y = best[low | 1] + gain[outputs[bit, low | 1]]
                chosen[t, state] = y > x
                after[state] = max(x, y)
            best, after = after, best
        state = 0
        for t in range(steps - 1, -1, -1):
            if t < width and state >> (memory - 1):
                found[row] |= np.uint64(1) << np.uint64(t)
            state = ((state << 1) & (states - 1)) | chosen[t, state]
    return found
