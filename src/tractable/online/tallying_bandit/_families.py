"""Families of losses, and the instance of the lower bound."""

from functools import partial

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from tractable._core import RangeError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number
from tractable.online.tallying_bandit._environment import Curve, WeightedTallyingBandit
from tractable.online.tallying_bandit._window import Floats

GRID = np.linspace(0.0, 1.0, 257)


def habituation(saturated: ArrayLike, slopes: ArrayLike) -> Float[np.ndarray, "K 2"]:
    """Losses that fall in a straight line to `saturated` as an arm is played more.

    Args:
        saturated: (K,) loss at full exposure.
        slopes: (K,) how much more an arm never played would lose.

    Example:
        >>> habituation([0.25], [0.5]).tolist()
        [[0.75, 0.25]]
    """
    end, slope = _pair(saturated, "slopes", slopes)
    return np.stack([end + slope, end], axis=1)


def unimodal(saturated: ArrayLike, heights: ArrayLike) -> Float[np.ndarray, "K 257"]:
    """Losses that rise (boredom) and then fall to `saturated` (habit).

    Args:
        saturated: (K,) loss at full exposure and at none.
        heights: (K,) how much more an arm loses half-way.
    """
    end, height = _pair(saturated, "heights", heights)
    return np.asarray(end[:, None] + height[:, None] * 4.0 * GRID * (1.0 - GRID))


def learning_curves(saturated: ArrayLike, rates: ArrayLike) -> Float[np.ndarray, "K 257"]:
    """Losses that fall from 1 to `saturated` exponentially, fast learners with a high rate.

    Args:
        saturated: (K,) loss at full exposure.
        rates: (K,) above zero; the exponent at full exposure.
    """
    end, rate = _pair(saturated, "rates", rates)
    if rate.min() <= 0.0:
        raise RangeError(f"rates go down to {rate.min():g}; wanted all above zero")
    left = (np.exp(-rate[:, None] * GRID) - np.exp(-rate[:, None])) / -np.expm1(-rate[:, None])
    return np.asarray(end[:, None] + (1.0 - end[:, None]) * left)


def step_at_full_exposure(saturated: ArrayLike, *, before: float = 1.0) -> list[Curve]:
    """Losses of `before` until the arm alone fills the memory, `saturated` from then on.

    Args:
        saturated: (K,) loss at full exposure.
        before: loss at less, 0 to 1.
    """
    ends = as_array("saturated", saturated, ndim=1).astype(np.float64)
    return [partial(_step, end=float(end), before=before) for end in ends]


def lower_bound_instance(
    n_arms: int,
    memory: int,
    good: int,
    *,
    lure: float | None = None,
    noise: float = 0.25,
    rng: int | np.random.Generator | None = None,
) -> WeightedTallyingBandit:
    """Build the bandit in which nothing is learnt about an arm before its memory is full.

    All arms lose 1, save arm `good` after `memory` plays in a row: it loses 0 from then on.
    Over all placements of the good arm no learner, told everything else, has less mean regret
    than `lower_bound`.

    Args:
        n_arms: arms that look alike.
        memory: plays in a row until an arm shows what it is.
        good: which of them is good.
        lure: loss of one more, last arm that never changes; None leaves it out. A learner that
            measures too early settles on it. The bound needs a horizon in which settling costs
            more than looking: lure times the horizon over n_arms times memory.
        noise: standard deviation of the noise.
        rng: seed or generator of the noise.

    Example:
        >>> bandit = lower_bound_instance(2, 3, good=1, noise=0.0, rng=0)
        >>> [bandit.step(arm) for arm in (0, 1, 1, 1)]
        [1.0, 1.0, 1.0, 0.0]
    """
    n_arms = check_integer("n_arms", n_arms, low=1)
    good = check_integer("good", good, low=0, high=n_arms - 1)
    curves = step_at_full_exposure(np.where(np.arange(n_arms) == good, 0.0, 1.0))
    if lure is not None:
        level = check_number("lure", lure, low=0.0, high=1.0)
        curves.append(partial(_step, end=level, before=level))
    return WeightedTallyingBandit(curves, memory, noise=noise, rng=rng)


def lower_bound(n_arms: int, memory: int) -> float:
    """Return the least mean regret on `lower_bound_instance`, memory * (n_arms - 1) / 2.

    The j-th arm that is tried shows itself at play j * memory, and the good one is the j-th
    with probability 1 / n_arms; the best sequence loses memory - 1 plays too.

    Example:
        >>> lower_bound(5, 100)
        200.0
    """
    n_arms = check_integer("n_arms", n_arms, low=1)
    return check_integer("memory", memory, low=1) * (n_arms - 1) / 2


def _step(shares: Floats, *, end: float, before: float) -> Floats:
    # the slack is for tallies that were kept by recursion
    return np.where(shares >= 1.0 - 1e-9, end, before)


def _pair(saturated: ArrayLike, name: str, other: ArrayLike) -> tuple[Floats, Floats]:
    first = as_array("saturated", saturated, ndim=1).astype(np.float64)
    second = as_array(name, other, ndim=1).astype(np.float64)
    if first.shape != second.shape:
        raise ShapeError(
            f"saturated has shape {first.shape} and {name} {second.shape}; wanted one an arm each"
        )
    return first, second
