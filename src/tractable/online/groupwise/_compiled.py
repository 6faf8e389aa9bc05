"""All rounds of ridges mixed by sleeping experts in one loop, compiled by Numba."""

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Function = TypeVar("Function", bound=Callable[..., Any])


def _compile(function: Function) -> Function:
    # sums may be reordered, so that the processor adds several numbers at once; the shape checks
    # that tests put around a function cannot be compiled
    compiled = numba.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})(
        inspect.unwrap(function)
    )
    return cast(Function, compiled)


@_compile
def _turn(root: Floats, row: Floats, turned: Floats) -> float:
    """Write Sᵀx and return its square; rows of one-hot features are mostly zeros."""
    turned[:] = 0.0
    for i in range(row.size):
        if row[i] != 0.0:
            value = row[i]
            for j in range(row.size):
                turned[j] += value * root[i, j]
    square = 0.0
    for j in range(row.size):
        square += turned[j] * turned[j]
    return square


@_compile
def _learn(root: Floats, coefficients: Floats, turned: Floats, scale: float, error: float) -> None:
    """Update a square root and its coefficients in one pass over the rows of the root."""
    width = coefficients.size
    factor = 1.0 / (scale + math.sqrt(scale))
    step = error / scale
    for i in range(width):
        gain = 0.0
        for j in range(width):
            gain += root[i, j] * turned[j]
        coefficients[i] += gain * step
        gain *= factor
        for j in range(width):
            root[i, j] -= gain * turned[j]


@_compile
def _log_weight(regret: float, movement: float) -> float:
    """Return the logarithm of AdaNormalHedge's weight."""
    above = max(regret + 1.0, 0.0) ** 2 / (3.0 * (movement + 1.0))
    below = max(regret - 1.0, 0.0) ** 2 / (3.0 * (movement + 1.0))
    if above == 0.0:
        return -math.inf
    return above + math.log(-math.expm1(below - above))


@_compile
def _share(logs: Floats, prior: Floats, awake: NDArray[np.int64], shares: Floats) -> None:
    """Turn logarithms into probabilities, as `SleepingHedge.shares` does."""
    best = -math.inf
    for k in range(awake.size):
        best = max(best, logs[k])
    total = 0.0
    for k in range(awake.size):
        shares[k] = prior[awake[k]]
        if best > -math.inf:
            shares[k] *= math.exp(logs[k] - best)
        total += shares[k]
    for k in range(awake.size):
        shares[k] /= total


@_compile
def play(
    data: tuple[Floats, Floats, NDArray[np.int64], NDArray[np.int64]],
    ridges: tuple[Floats, Floats],
    hedge: tuple[Floats, Floats, Floats],
    totals: tuple[Floats, Floats, Floats, Floats],
    numbers: tuple[bool, float, float, float],
) -> Floats:
    """Predict and learn every row in turn, and return the predictions.

    Args:
        data: rows, labels, and those awake: the places of round t are members[t] to
            members[t + 1] of the last array.
        ridges: square roots and coefficients, changed in place.
        hedge: prior, regrets (or scores) and movements, the last two changed in place.
        totals: own loss, the experts' loss and rounds of each expert, added to in place; and
            zeros, for the weights of the last round.
        numbers: whether ridges are Vovk-Azoury-Warmuth's, the rate (0 for AdaNormalHedge), and
            the lowest and highest prediction.
    """
    rows, labels, starts, members = data
    roots, coefficients = ridges
    prior, first, second = hedge
    own, theirs, rounds, weights = totals
    vaw, rate, low, high = numbers
    experts, width = coefficients.shape
    turned = np.empty((experts, width))
    guesses, scales, proposals = np.empty(experts), np.empty(experts), np.empty(experts)
    losses, logs, shares = np.empty(experts), np.empty(experts), np.empty(experts)
    predictions = np.empty(labels.size)
    for t in range(labels.size):
        awake = members[starts[t] : starts[t + 1]]
        row, label = rows[t], labels[t]
        for k in range(awake.size):
            g = awake[k]
            scales[k] = 1.0 + _turn(roots[g], row, turned[k])
            guess = 0.0
            for j in range(width):
                guess += row[j] * coefficients[g, j]
            guesses[k] = guess
            if vaw:
                guess /= scales[k]
            proposals[k] = min(max(guess, low), high)
            losses[k] = ((proposals[k] - label) / (high - low)) ** 2
            logs[k] = first[g] if rate > 0.0 else _log_weight(first[g], second[g])
        _share(logs, prior, awake, shares)
        prediction, mean, mixed = 0.0, 0.0, 0.0
        for k in range(awake.size):
            prediction += shares[k] * proposals[k]
            mean += shares[k] * losses[k]
            mixed += shares[k] * math.exp(-rate * losses[k])
        predictions[t] = prediction
        loss = ((prediction - label) / (high - low)) ** 2
        for k in range(awake.size):
            g = awake[k]
            if rate > 0.0:
                first[g] += -math.log(mixed) - rate * losses[k]
            else:
                first[g] += mean - losses[k]
                second[g] += abs(mean - losses[k])
            own[g] += loss
            theirs[g] += losses[k]
            rounds[g] += 1.0
            _learn(roots[g], coefficients[g], turned[k], scales[k], label - guesses[k])
    for k in range(starts[-1] - starts[-2]):
        weights[members[starts[-2] + k]] = shares[k]
    return predictions
