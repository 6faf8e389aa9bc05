"""The loops over lines, compiled with Numba; `_plain` has the same functions in NumPy."""

# ruff: noqa: PLR0917 - compiled functions take plain arrays, one argument each

from typing import no_type_check

import numpy as np
from numba import njit

FAST = {"reassoc", "contract", "nsz"}
"""Sums may be reordered, so that they use vector registers; NaN and infinities keep their rules."""
TINY = 1e-12
"""A pivot below this share of its diagonal entry means that the line does not fix all of x."""


@njit(cache=True, nogil=True, fastmath=FAST)
@no_type_check
def _multiply(places, factor, p, w):
    """Put A^T A p into w, reading four rows of A at a time and each once."""
    k = p.size
    w[:] = 0.0
    whole = places.size - places.size % 4
    for i in range(0, whole, 4):
        a, b = factor[places[i]], factor[places[i + 1]]
        c, d = factor[places[i + 2]], factor[places[i + 3]]
        t, u, v, y = 0.0, 0.0, 0.0, 0.0
        for j in range(k):
            q = p[j]
            t += a[j] * q
            u += b[j] * q
            v += c[j] * q
            y += d[j] * q
        for j in range(k):
            w[j] += t * a[j] + u * b[j] + v * c[j] + y * d[j]
    for i in range(whole, places.size):
        a = factor[places[i]]
        t = 0.0
        for j in range(k):
            t += a[j] * p[j]
        for j in range(k):
            w[j] += t * a[j]


@njit(cache=True, nogil=True, fastmath=FAST)
@no_type_check
def _gradient(places, values, factor, x, g):
    """Put A^T (b - A x) into g."""
    k = x.size
    g[:] = 0.0
    for i in range(places.size):
        a = factor[places[i]]
        t = values[i]
        for j in range(k):
            t -= a[j] * x[j]
        for j in range(k):
            g[j] += t * a[j]


@njit(cache=True, nogil=True)
@no_type_check
def iterate(places, values, factor, ridge, inverse, x, tol, most, steepest):
    """Improve x by conjugate gradients, or steepest descent; return the steps taken."""
    k = x.size
    g, w, z = np.empty(k), np.empty(k), np.empty(k)
    _gradient(places, values, factor, x, g)
    g -= ridge * x
    plain = inverse.shape[0] == 0
    if plain:
        z[:] = g
    else:
        z[:] = inverse @ g
    p = z.copy()
    size = g @ z
    least = max(tol * np.sqrt(max(size, 0.0)), 1e-15 * np.sqrt(values @ values))
    for step in range(most):
        if not size > least * least:
            return step
        _multiply(places, factor, p, w)
        w += ridge * p
        curve = p @ w
        if not curve > 0.0:
            return step
        x += (size / curve) * p
        g -= (size / curve) * w
        if plain:
            z[:] = g
        else:
            z[:] = inverse @ g
        new = g @ z
        p *= 0.0 if steepest else new / size
        p += z
        size = new
    return most


@njit(cache=True, nogil=True)
@no_type_check
def iterate_lines(starts, places, values, factor, ridge, x, tol, most, steps):
    """Improve every line of x without a preconditioner."""
    none = np.empty((0, 0))
    for i in range(steps.size):
        low, high = starts[i], starts[i + 1]
        if low == high:
            x[i] = 0.0
            continue
        part = places[low:high]
        line = x[i]
        steps[i] = iterate(part, values[low:high], factor, ridge, none, line, tol, most, False)


@njit(cache=True, nogil=True, fastmath=FAST)
@no_type_check
def solve_lines(starts, places, values, factor, ridge, x, unsure):
    """Solve every line by Cholesky's factor; mark lines that it does not determine."""
    k = factor.shape[1]
    G = np.empty((k, k))
    for i in range(unsure.size):
        line = x[i]
        line[:] = 0.0
        G[:] = 0.0
        for e in range(starts[i], starts[i + 1]):
            a = factor[places[e]]
            for r in range(k):
                line[r] += values[e] * a[r]
                t = a[r]
                for c in range(r + 1):
                    G[r, c] += t * a[c]
        for r in range(k):
            G[r, r] += ridge[r]
        for r in range(k):
            whole = G[r, r]
            for c in range(r + 1):
                t = G[r, c]
                for j in range(c):
                    t -= G[r, j] * G[c, j]
                if c < r:
                    G[r, c] = t / G[c, c]
                elif t > TINY * whole:
                    G[r, r] = np.sqrt(t)
                else:
                    unsure[i] = True
                    G[r, r] = 1.0
            if unsure[i]:
                break
        if unsure[i]:
            continue
        for r in range(k):
            t = line[r]
            for c in range(r):
                t -= G[r, c] * line[c]
            line[r] = t / G[r, r]
        for r in range(k - 1, -1, -1):
            t = line[r]
            for c in range(r + 1, k):
                t -= G[c, r] * line[c]
            line[r] = t / G[r, r]


@njit(cache=True, nogil=True)
@no_type_check
def sketch_line(places, factor, bucket, sign, out):
    """Add each row of A, with its sign, to the row of `out` that it is hashed to."""
    out[:] = 0.0
    for i in range(places.size):
        out[bucket[places[i]]] += sign[places[i]] * factor[places[i]]
