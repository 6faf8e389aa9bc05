"""The environment: losses that depend on the weighted tally of recent plays."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.online.tallying_bandit._window import (
    Floats,
    Integers,
    Method,
    Window,
    pick_method,
    sequence_tallies,
)

Curve = Callable[[Floats], Floats]


@dataclass(frozen=True)
class RegretTrace:
    """How regret grew in one run.

    Args:
        steps: plays made when the regret was recorded, increasing.
        regret: the regret in expected losses up to then.
        counters: what the learner counted, such as "burn-in pulls" and "epochs".
    """

    steps: Int[np.ndarray, " n"]
    regret: Float[np.ndarray, " n"]
    counters: Mapping[str, int] = field(default_factory=dict)

    @property
    def final(self) -> float:
        """The regret at the end."""
        return float(self.regret[-1])


class WeightedTallyingBandit:
    """A bandit whose losses depend on the weighted number of recent plays of the same arm.

    Args:
        losses: each arm's loss in [0, 1] as a function of the share of the full tally, 0 to 1:
            a table (K, L) on an even grid of shares, read by linear interpolation, or K
            functions that map an array of shares to an array of losses.
        memory: how many plays, the current one included, count for the tally, at least 1.
        weights: how much each of them weighs, newest first, (memory,), not negative; all ones
            by default.
        noise: standard deviation of Gaussian noise on the observed losses.
        noise_kind: "gaussian", or "bernoulli" for losses of 0 or 1 with the given mean.
        tally: how the tally is kept: "ring" (equal weights), "recursive" (geometric ones) or
            "general"; by default the cheapest that fits.
        rng: seed or generator of the noise.

    Raises:
        ShapeError, DTypeError, DataError, RangeError: for arguments that break these rules.

    Example:
        >>> bandit = WeightedTallyingBandit([[0.9, 0.1], [0.5, 0.5]], memory=3, noise=0.0)
        >>> [round(bandit.step(arm), 2) for arm in (0, 0, 0, 1)]
        [0.63, 0.37, 0.1, 0.5]
        >>> bandit.best_fixed()
        0
    """

    def __init__(
        self,
        losses: ArrayLike | Sequence[Curve],
        memory: int,
        *,
        weights: ArrayLike | None = None,
        noise: float = 0.25,
        noise_kind: Literal["gaussian", "bernoulli"] = "gaussian",
        tally: Method | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments and start with an empty memory."""
        self.memory = check_integer("memory", memory, low=1)
        self.noise = check_number("noise", noise, low=0.0)
        if noise_kind not in ("gaussian", "bernoulli"):
            raise RangeError(f"noise_kind is {noise_kind!r}; wanted 'gaussian' or 'bernoulli'")
        self.noise_kind = noise_kind
        self.weights = _check_weights(weights, self.memory)
        self.full_tally = float(self.weights.sum())
        self.table, self._curves = _check_losses(losses)
        self.n_arms = len(self._curves) if self.table is None else len(self.table)
        self._rows = [] if self.table is None else self.table.tolist()
        self._window = Window(self.n_arms, self.weights, _check_method(tally, self.weights))
        self._fresh: dict[int, Floats] = {}
        self._rng = as_generator(rng)
        self._check_range()
        self.floor = self._find_floor()
        self.time = 0
        self.expected_loss = 0.0

    @property
    def state(self) -> Int[np.ndarray, " n"]:
        """The plays that still count, oldest first, at most `memory`."""
        return self._window.actions()

    @property
    def regret(self) -> float:
        """Expected loss so far beyond `time` times `floor`, which no sequence of plays beats."""
        return self.expected_loss - self.time * self.floor

    def tallies(self) -> Float[np.ndarray, " K"]:
        """Return the weight of each arm's plays among the last `memory`."""
        return self._window.tallies()

    def reset(self, rng: int | np.random.Generator | None = None) -> None:
        """Forget all plays; the noise goes on, or starts again from `rng`."""
        self._window.reset()
        self.time = 0
        self.expected_loss = 0.0
        if rng is not None:
            self._rng = as_generator(rng)

    def step(self, arm: int) -> float:
        """Play an arm once and return its noisy loss.

        Raises:
            RangeError: if there is no such arm.
        """
        arm = check_integer("arm", arm, low=0, high=self.n_arms - 1)
        mean = self._loss(arm, self._window.push(arm))
        self._account(1, mean)
        if self.noise_kind == "bernoulli":
            return float(self._rng.random() < mean)
        return mean + self.noise * float(self._rng.standard_normal())

    def play_run(self, arm: int, plays: int) -> float:
        """Play an arm `plays` times in a row and return the mean of the noisy losses.

        The sum has a closed form once the window is full, and the noise of the mean is drawn
        once, so that the cost does not depend on `plays` beyond the memory.
        """
        arm = check_integer("arm", arm, low=0, high=self.n_arms - 1)
        plays = check_integer("plays", plays, low=1)
        if self.noise_kind == "gaussian":
            total = self._run_total(arm, plays)
            self._account(plays, total)
            return total / plays + self.noise / math.sqrt(plays) * self._rng.standard_normal()
        means = self._losses(arm, self._window.push_run(arm, plays))
        later = plays - len(means)
        self._account(plays, float(means.sum()) + later * float(means[-1]))
        hits = np.count_nonzero(self._rng.random(len(means)) < means)
        return float(hits + self._rng.binomial(later, np.clip(means[-1], 0, 1))) / plays

    def play_cycle(self, arms: Sequence[int], rounds: int) -> Float[np.ndarray, " n"]:
        """Play different arms in turn, `rounds` times round, and return each one's mean loss.

        Once the window is full of the cycle every round repeats the last, so that the cost
        does not depend on `rounds` beyond the memory.
        """
        cycle = as_array("arms", arms, ndim=1, kinds="iu").astype(np.int64)
        rounds = check_integer("rounds", rounds, low=1)
        if cycle.min() < 0 or cycle.max() >= self.n_arms or len(np.unique(cycle)) < len(cycle):
            raise RangeError(
                f"arms are {list(arms)}; wanted different ones of 0..{self.n_arms - 1}"
            )
        explicit = min(rounds, 1 + -(-self.memory // len(cycle)))
        tallies = self._window.push_sequence(np.tile(cycle, explicit)).reshape(explicit, -1)
        columns = [self._losses(int(arm), tallies[:, i]) for i, arm in enumerate(cycle)]
        means = np.stack(columns, axis=1)
        later = rounds - explicit
        totals = means.sum(axis=0) + later * means[-1]
        self._account(rounds * len(cycle), float(totals.sum()))
        if self.noise_kind == "bernoulli":
            hits = (self._rng.random(means.shape) < means).sum(axis=0)
            return np.asarray(hits + self._rng.binomial(later, np.clip(means[-1], 0, 1))) / rounds
        noise = self.noise / np.sqrt(rounds) * self._rng.standard_normal(len(cycle))
        return np.asarray(totals / rounds + noise)

    def expected_losses(self, actions: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the expected loss of each play of a sequence from an empty memory."""
        played = as_array("actions", actions, ndim=1, kinds="iu", empty=True).astype(np.int64)
        if len(played) and not 0 <= played.min() <= played.max() < self.n_arms:
            raise RangeError(
                f"actions reach {played.min()}..{played.max()}; wanted arms of 0..{self.n_arms - 1}"
            )
        tallies = sequence_tallies(played, self.weights)
        losses = np.zeros(len(played))
        for arm in np.unique(played):
            losses[played == arm] = self._losses(int(arm), tallies[played == arm])
        return losses

    def loss(self, arm: int, tally: ArrayLike) -> Float[np.ndarray, "..."]:
        """Return the expected loss of an arm at a tally, the function h of the paper."""
        arm = check_integer("arm", arm, low=0, high=self.n_arms - 1)
        tallies = as_array("tally", tally).astype(np.float64)
        return self._losses(arm, np.atleast_1d(tallies)).reshape(tallies.shape)

    def saturated_losses(self) -> Float[np.ndarray, " K"]:
        """Return each arm's loss once it alone fills the memory."""
        return np.array([self._saturated(arm) for arm in range(self.n_arms)])

    def best_fixed(self) -> int:
        """Return the arm with the lowest saturated loss; the first of equals."""
        return int(np.argmin(self.saturated_losses()))

    def is_reo(self) -> bool:
        """Whether playing some arm for ever is eventually as good as anything.

        Certain where an arm's saturated loss is the lowest of all reachable losses, and decided
        by the best cycle of plays where K to the power of `memory` - 1 is at most 1,024;
        elsewhere False means that it could not be shown.
        """
        from tractable.online.tallying_bandit._exact import best_cycle_mean

        best = float(self.saturated_losses().min())
        if best <= self.floor + 1e-12:
            return True
        mean = best_cycle_mean(self)
        return mean is not None and mean >= best - 1e-9

    def _loss(self, arm: int, tally: float) -> float:
        if self.table is None:
            return float(self._losses(arm, np.array([tally]))[0])
        row = self._rows[arm]
        place = min(max(tally / self.full_tally, 0.0), 1.0) * (len(row) - 1)
        left = min(int(place), len(row) - 2)
        return float(row[left] + (place - left) * (row[left + 1] - row[left]))

    def _saturated(self, arm: int) -> float:
        return self._loss(arm, self.full_tally)

    def _losses(self, arm: int, tallies: Floats) -> Floats:
        shares = np.clip(tallies / self.full_tally, 0.0, 1.0)
        if self.table is None:
            return np.asarray(self._curves[arm](shares), dtype=np.float64)
        grid = np.linspace(0.0, 1.0, self.table.shape[1])
        return np.asarray(np.interp(shares, grid, self.table[arm]))

    def _run_total(self, arm: int, plays: int) -> float:
        """Play a run and return its expected loss; O(1) if it starts with all or nothing."""
        window = self._window
        if window.is_full_of(arm) or not window.holds(arm):
            fresh = self._fresh_losses(arm)
            first = 0 if window.is_full_of(arm) else min(plays, self.memory)
            window.extend(arm, plays)
            return float(fresh[first]) + (plays - first) * self._saturated(arm)
        means = self._losses(arm, window.push_run(arm, plays))
        return float(means.sum() + (plays - len(means)) * means[-1])

    def _fresh_losses(self, arm: int) -> Floats:
        """Expected loss of the first n plays of an arm that the window does not hold, n >= 0."""
        if arm not in self._fresh:
            losses = self._losses(arm, np.cumsum(self.weights))
            self._fresh[arm] = np.concatenate([[0.0], np.cumsum(losses)])
        return self._fresh[arm]

    def _account(self, plays: int, expected: float) -> None:
        self.time += plays
        self.expected_loss += expected

    def _resume(self, actions: Integers, plays: int, expected: float) -> None:
        """Take over from a compiled loop that made `plays` plays, the last ones given."""
        self._window.push_sequence(actions)
        self._account(plays, expected)

    def _reachable(self) -> Floats:
        """A grid from the least tally of a played arm to the full one, with those of a run."""
        low = float(self.weights[0])
        return np.concatenate(
            [np.linspace(low, self.full_tally, 1025), np.cumsum(self.weights), [self.full_tally]]
        )

    def _find_floor(self) -> float:
        """The lowest loss at any tally that a play can have."""
        tallies = self._reachable()
        if self.table is not None:
            knots = np.linspace(0.0, self.full_tally, self.table.shape[1])
            tallies = np.concatenate([tallies, knots[knots >= self.weights[0]]])
        return min(float(self._losses(arm, tallies).min()) for arm in range(self.n_arms))

    def _check_range(self) -> None:
        for arm in range(self.n_arms):
            values = self._losses(arm, self._reachable()) if self.table is None else self.table[arm]
            if values.shape != (len(values),) or not np.isfinite(values).all():
                raise DataError(f"losses of arm {arm} are not finite numbers, one a share")
            if values.min() < 0.0 or values.max() > 1.0:
                raise RangeError(
                    f"losses of arm {arm} reach {values.min():g}..{values.max():g}; wanted 0 to 1; "
                    "scale them"
                )


def _check_weights(weights: ArrayLike | None, memory: int) -> Floats:
    if weights is None:
        return np.ones(memory)
    array = as_array("weights", weights, ndim=1).astype(np.float64)
    if len(array) != memory:
        raise ShapeError(f"weights has shape {array.shape}; wanted ({memory},), one a play")
    if array.min() < 0.0 or array.sum() <= 0.0:
        raise RangeError("weights are negative or all zero; wanted some above zero and none below")
    return array


def _check_method(tally: Method | None, weights: Floats) -> Method:
    fits = pick_method(weights)
    if tally in (None, fits, "general"):
        return fits if tally is None else tally
    raise RangeError(f"tally is {tally!r}, which these weights do not fit; wanted {fits!r}")


def _check_losses(losses: ArrayLike | Sequence[Curve]) -> tuple[Floats | None, list[Curve]]:
    """Return a table, or the functions where the losses are functions."""
    if isinstance(losses, Sequence) and losses and any(callable(loss) for loss in losses):
        curves = [loss for loss in losses if callable(loss)]
        if len(curves) < len(losses):
            raise DTypeError("losses mixes functions and numbers; wanted all of one kind")
        return None, curves
    table = as_array("losses", losses, ndim=2).astype(np.float64)  # type: ignore[arg-type]
    return (np.repeat(table, 2, axis=1) if table.shape[1] == 1 else table), []
