"""The step-by-step loop of UCB1 and EXP3 with the environment inside, compiled by Numba.

It makes the same draws in the same order as `next`, `step` and `observe` do one at a time.
"""

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from tractable.online.tallying_bandit._environment import WeightedTallyingBandit
from tractable.online.tallying_bandit._window import Floats, Integers

Function = TypeVar("Function", bound=Callable[..., Any])
METHODS = {"ring": 0, "recursive": 1, "general": 2}


def _compile(function: Function) -> Function:
    # unwrapped: type checks that tests put around a function cannot be compiled
    compiled = numba.njit(cache=True, nogil=True)(inspect.unwrap(function))
    return cast(Function, compiled)


def play(
    bandit: WeightedTallyingBandit,
    plays: int,
    rng: np.random.Generator,
    state: tuple[Floats, Floats],
    *,
    width: float = 0.0,
    rate: float = 0.0,
) -> None:
    """Make `plays` plays of UCB1 (state: counts and sums) or EXP3 (state: weights, unused).

    Args:
        bandit: the environment, with tabulated losses; it is moved on.
        plays: how many.
        rng: the learner's generator; one uniform number a play.
        state: changed in place.
        width: UCB1's squared width without the logarithm.
        rate: EXP3's learning rate; above zero chooses EXP3.
    """
    window = bandit._window
    recent = window.actions()
    ring = np.full(bandit.memory, -1, dtype=np.int64)
    ring[len(ring) - len(recent) :] = recent
    gaussian = bandit.noise_kind == "gaussian"
    draws = bandit._rng.standard_normal(plays) if gaussian else bandit._rng.random(plays)
    index = np.zeros(bandit.n_arms)
    expected = _loop(
        cast(Floats, bandit.table),
        (bandit.weights, ring, window.tallies(), index),
        (draws, rng.random(plays)),
        state,
        (METHODS[window.method], bandit.noise if gaussian else -1.0, width, rate),
    )
    ring = np.roll(ring, -plays)  # the next play's place held the oldest one
    bandit._resume(ring[-min(plays, len(ring)) :], plays, expected)


@_compile
def _sum(values: Floats) -> float:
    """Add in order, as `numpy.cumsum` does."""
    total = 0.0
    for i in range(len(values)):
        total += values[i]
    return total


@_compile
def _rescale(weights: Floats) -> None:
    """Keep EXP3's weights from vanishing all together."""
    highest = 0.0
    for arm in range(len(weights)):
        highest = max(highest, weights[arm])
    if highest < 1e-100:
        for arm in range(len(weights)):
            weights[arm] /= highest


@_compile
def _choose(state: tuple[Floats, Floats], width: float, place: float, index: Floats) -> int:
    """Choose UCB1's arm; ties at random."""
    counts, sums = state
    squared = width * math.log(_sum(counts) + 1.0)
    lowest = math.inf
    ties = 0
    for arm in range(len(counts)):
        if counts[arm] == 0.0:
            index[arm] = -math.inf
        else:
            index[arm] = sums[arm] / counts[arm] - math.sqrt(squared / counts[arm])
        if index[arm] < lowest:
            lowest = index[arm]
            ties = 1
        elif index[arm] == lowest:
            ties += 1
    rank = int(place * ties)
    for arm in range(len(counts)):
        if index[arm] == lowest:
            if rank == 0:
                return arm
            rank -= 1
    return 0


@_compile
def _draw(weights: Floats, place: float) -> int:
    """Draw EXP3's arm."""
    threshold = place * _sum(weights)
    arm = 0
    cumulative = weights[0]
    while arm < len(weights) - 1 and cumulative <= threshold:
        arm += 1
        cumulative += weights[arm]
    return arm


@_compile
def _tally(
    window: tuple[Floats, Integers, Floats, Floats], method: int, place: int, arm: int
) -> float:
    """Return the arm's tally with this play, which takes the place of the oldest in the ring."""
    weights, ring, values, _ = window
    memory = len(weights)
    leaving = ring[place]
    ring[place] = arm
    if method == 2:
        tally = 0.0
        for j in range(memory):
            if ring[place - j] == arm:  # negative indices wrap around, as the ring does
                tally += weights[j]
        return tally
    decay = 1.0
    if method == 1:
        decay = weights[1] / weights[0]
        for other in range(len(values)):
            values[other] *= decay
    if leaving >= 0:
        values[leaving] -= weights[0] * decay**memory
    values[arm] += weights[0]
    return values[arm]  # type: ignore[no-any-return]


@_compile
def _loop(
    table: Floats,
    window: tuple[Floats, Integers, Floats, Floats],
    randomness: tuple[Floats, Floats],
    state: tuple[Floats, Floats],
    numbers: tuple[int, float, float, float],
) -> float:
    """Play once a draw and return the sum of expected losses; the ring starts oldest first."""
    weights, ring, _, index = window
    draws, places = randomness
    first, second = state
    method, noise, width, rate = numbers
    knots = table.shape[1]
    full = _sum(weights)
    place = 0
    expected = 0.0
    for step in range(len(draws)):
        if rate > 0.0:
            arm = _draw(first, places[step])
        else:
            arm = _choose(state, width, places[step], index)
        tally = _tally(window, method, place, arm)
        place = (place + 1) % len(ring)
        spot = min(max(tally / full, 0.0), 1.0) * (knots - 1)
        left = min(int(spot), knots - 2)
        mean = table[arm, left] + (spot - left) * (table[arm, left + 1] - table[arm, left])
        expected += mean
        if noise >= 0.0:
            loss = mean + noise * draws[step]
        elif draws[step] < mean:  # Bernoulli
            loss = 1.0
        else:
            loss = 0.0
        if rate > 0.0:
            chance = first[arm] / _sum(first)
            first[arm] *= math.exp(-rate * min(max(loss, 0.0), 1.0) / chance)
            _rescale(first)
        else:
            first[arm] += 1.0
            second[arm] += loss
    return expected
