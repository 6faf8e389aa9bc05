"""Exact answers at tiny sizes, and the readable reference."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from tractable._core import RangeError
from tractable._core.checks import check_integer
from tractable.online.tallying_bandit._environment import WeightedTallyingBandit
from tractable.online.tallying_bandit._window import Floats

MOST_HISTORIES = 100_000
MOST_DECISIONS = 20_000_000
MOST_CYCLE_STATES = 1024


def optimal_sequence(
    bandit: WeightedTallyingBandit, horizon: int
) -> tuple[Int[np.ndarray, " T"], float]:
    """Find a sequence of plays with the least expected loss, by dynamic programming.

    The state is the last `memory` - 1 plays, so this is for tiny sizes: K to the power of
    `memory` at most 100,000.

    Args:
        bandit: the environment; its own state is neither read nor changed.
        horizon: how many plays, at least 1.

    Returns:
        The sequence, the first arms preferred among equals, and its expected loss.

    Raises:
        RangeError: if there are too many histories.

    Example:
        >>> bandit = WeightedTallyingBandit([[0.9, 0.1], [0.5, 0.5]], memory=2)
        >>> optimal_sequence(bandit, 3)[0].tolist()
        [0, 0, 0]
    """
    horizon = check_integer("horizon", horizon, low=1)
    arms, longest = bandit.n_arms, bandit.memory - 1
    if not _fits(bandit, horizon):
        raise RangeError(
            f"{arms} arms with memory {bandit.memory} over {horizon} plays have too many "
            f"histories; wanted at most {MOST_HISTORIES:,} and {MOST_DECISIONS:,} decisions"
        )
    value = np.zeros(arms ** min(horizon, longest))
    choices = []
    costs = _costs(bandit, longest) if horizon > longest else np.zeros((1, arms))
    for time in reversed(range(horizon)):
        held = min(time, longest)
        if held < longest:
            costs = _costs(bandit, held)
        following = np.arange(arms**held)[:, None] * arms + np.arange(arms)
        total = costs + value[following % len(value)]
        choices.append(total.argmin(axis=1))
        value = total.min(axis=1)
    state, actions = 0, np.zeros(horizon, dtype=np.int64)
    for time, choice in enumerate(reversed(choices)):
        actions[time] = choice[state]
        state = (state * arms + int(actions[time])) % arms ** min(time + 1, longest)
    return actions, float(value[0])


def complete_policy_regret(
    bandit: WeightedTallyingBandit,
    actions: ArrayLike,
    *,
    comparator: Literal["auto", "sequence", "floor"] = "auto",
) -> float:
    """Return the expected loss of a sequence beyond that of the best sequence.

    Args:
        bandit: the environment; its own state is neither read nor changed.
        actions: the arms played, from an empty memory.
        comparator: "sequence" finds the best sequence exactly (tiny sizes), "floor" takes the
            lowest reachable loss at every play, which no sequence beats; "auto" the first
            where it fits.

    Raises:
        RangeError: for "sequence" on more than tiny sizes, or a comparator that is none.

    Example:
        >>> bandit = WeightedTallyingBandit([[0.9, 0.1], [0.5, 0.5]], memory=2)
        >>> round(complete_policy_regret(bandit, [1, 1, 1]), 2)
        0.8
    """
    if comparator not in ("auto", "sequence", "floor"):
        raise RangeError(f"comparator is {comparator!r}; wanted 'auto', 'sequence' or 'floor'")
    losses = bandit.expected_losses(actions)
    if len(losses) == 0:
        return 0.0
    if comparator == "floor" or (comparator == "auto" and not _fits(bandit, len(losses))):
        return float(losses.sum()) - len(losses) * bandit.floor
    return float(losses.sum()) - optimal_sequence(bandit, len(losses))[1]


def reference(bandit: WeightedTallyingBandit, actions: ArrayLike) -> Float[np.ndarray, " n"]:
    """Return the expected losses of a sequence by the paper's formula, nothing else.

    The thing that tests trust: y = Σ_j w_j 1{a_{t-j} = a_t} over j = 0..m-1, loss h(y).
    """
    played = [int(arm) for arm in np.asarray(actions)]
    losses = []
    for time, arm in enumerate(played):
        tally = 0.0
        for j in range(min(bandit.memory, time + 1)):
            if played[time - j] == arm:
                tally += float(bandit.weights[j])
        losses.append(float(bandit.loss(arm, tally)))
    return np.array(losses)


def best_cycle_mean(bandit: WeightedTallyingBandit) -> float | None:
    """Return the least mean loss that any endless sequence reaches, by Karp's formula.

    None where there are too many histories.
    """
    arms, longest = bandit.n_arms, bandit.memory - 1
    if arms**longest > MOST_CYCLE_STATES:
        return None
    costs = _costs(bandit, longest)
    states = len(costs)
    if longest == 0:
        return float(costs.min())
    paths = np.full((states + 1, states), np.inf)
    paths[0, 0] = 0.0
    for length in range(states):
        # state u = (oldest, rest) goes to (rest, new arm), so the oldest play is what is chosen
        total = (paths[length][:, None] + costs).reshape(arms, states // arms, arms)
        paths[length + 1] = total.min(axis=0).reshape(-1)
    lengths = np.arange(states)[:, None]
    with np.errstate(invalid="ignore"):
        means = (paths[-1] - paths[:-1]) / (states - lengths)
    means[~np.isfinite(paths[:-1])] = -np.inf
    return float(means.max(axis=0).min())


def _costs(bandit: WeightedTallyingBandit, held: int) -> Floats:
    """Expected loss of each arm after each history of `held` plays, newest digit lowest."""
    arms = bandit.n_arms
    history = np.arange(arms**held)
    costs = np.zeros((len(history), arms))
    for arm in range(arms):
        tally = np.full(len(history), float(bandit.weights[0]))
        for j in range(held):
            tally += bandit.weights[j + 1] * (history // arms**j % arms == arm)
        costs[:, arm] = bandit.loss(arm, tally)
    return costs


def _fits(bandit: WeightedTallyingBandit, horizon: int) -> bool:
    # a float power, so that a memory of thousands overflows to infinity and not to huge integers
    with np.errstate(over="ignore"):
        histories = float(np.float64(bandit.n_arms) ** bandit.memory)
    decisions = histories / bandit.n_arms * horizon
    return histories <= MOST_HISTORIES and decisions <= MOST_DECISIONS
