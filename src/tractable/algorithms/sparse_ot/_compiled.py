"""One column after another without an m x n temporary, compiled with Numba; no keywords."""

from typing import no_type_check

import numpy as np
from numba import njit

SHORT = 32
"""Up to so many kept scores are kept sorted while the column is read; more are sorted after."""


@njit(cache=True, nogil=True)
@no_type_check
def _keep_best(  # noqa: PLR0917
    alpha, costs, shift, width, k, floor, values, places
):
    """Collect in falling order the k best scores above `floor` that lie within `width`."""
    count = 0
    limit = floor
    for i in range(alpha.size):
        score = alpha[i] + shift - costs[i]
        if score > limit:
            at = count if count < k else k - 1
            while at > 0 and values[at - 1] < score:
                values[at] = values[at - 1]
                places[at] = places[at - 1]
                at -= 1
            values[at] = score
            places[at] = i
            if count < k:
                count += 1
            while count > 1 and values[count - 1] <= values[0] - width:
                count -= 1
            limit = max(limit, values[0] - width)
            if count == k:
                limit = max(limit, values[count - 1])
    return count


@njit(cache=True, nogil=True)
@no_type_check
def _sort_best(  # noqa: PLR0917
    alpha, costs, shift, width, k, floor, values, places
):
    """The same for many kept scores: find the best, collect what is near it, sort."""
    best = -np.inf
    for i in range(alpha.size):
        best = max(best, alpha[i] + shift - costs[i])
    limit = max(floor, best - width)
    count = 0
    for i in range(alpha.size):
        score = alpha[i] + shift - costs[i]
        if score > limit or (score == best and score > floor):
            values[count] = score
            places[count] = i
            count += 1
    order = np.argsort(-values[:count], kind="mergesort")
    values[:count] = values[:count][order]
    places[:count] = places[:count][order]
    return min(count, k)


@njit(cache=True, nogil=True)
@no_type_check
def _collect(  # noqa: PLR0917
    alpha, costs, shift, width, k, floor, values, places
):
    if k <= SHORT:
        return _keep_best(alpha, costs, shift, width, k, floor, values, places)
    return _sort_best(alpha, costs, shift, width, k, floor, values, places)


@njit(cache=True, nogil=True)
@no_type_check
def project_columns(  # noqa: PLR0917
    alpha, costs, b, gamma, k, sums, rows, mass
):
    """Add up Omega*_b over columns (rows of `costs`), row sums in `sums`, the plan if wanted."""
    m = alpha.size
    values, places = np.empty(m), np.empty(m, np.int64)
    total = 0.0
    for j in range(b.size):
        width = gamma * b[j]
        count = _collect(alpha, costs[j], 0.0, width, k, -np.inf, values, places)
        best = values[0]
        partial, threshold, support = 0.0, 0.0, 0
        for q in range(count):
            gap = values[q] - best
            partial += gap
            level = (partial - width) / (q + 1)
            if gap <= level:
                break
            threshold, support = level, q + 1
        for q in range(support):
            part = (values[q] - best - threshold) / gamma
            total += values[q] * part - 0.5 * gamma * part * part
            sums[places[q]] += part
            if rows.size:
                rows[j, q] = places[q]
                mass[j, q] = part
    return total


@njit(cache=True, nogil=True)
@no_type_check
def clip_columns(  # noqa: PLR0917
    alpha, beta, costs, gamma, k, sums, column_sums, rows, mass
):
    """Add up Omega* of the dual over columns; row and column sums, the plan if wanted."""
    m = alpha.size
    values, places = np.empty(m), np.empty(m, np.int64)
    total = 0.0
    for j in range(beta.size):
        count = _collect(alpha, costs[j], beta[j], np.inf, k, 0.0, values, places)
        for q in range(count):
            part = values[q] / gamma
            total += 0.5 * values[q] * part
            sums[places[q]] += part
            column_sums[j] += part
            if rows.size:
                rows[j, q] = places[q]
                mass[j, q] = part
    return total
