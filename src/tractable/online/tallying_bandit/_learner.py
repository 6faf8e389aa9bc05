"""Successive elimination: with burn-in (the paper's), by turns (the textbook's), doubling."""

import math
import warnings

import numpy as np

from tractable._core import RangeError, note
from tractable._core.checks import check_integer, check_number
from tractable._core.random import as_generator
from tractable.online.tallying_bandit._environment import RegretTrace, WeightedTallyingBandit


class _Elimination:
    """Epochs of equally many samples an arm; what is surely worse than the best is dropped."""

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        sigma: float,
        delta: float | None,
        scale: float,
        pool: bool,
        rng: int | np.random.Generator | None,
    ) -> None:
        self.n_arms = check_integer("n_arms", n_arms, low=1)
        self.horizon = check_integer("horizon", horizon, low=1)
        self.sigma = check_number("sigma", sigma, low=0.0)
        delta = 1.0 / (self.horizon + 1) if delta is None else delta
        self.delta = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
        self.scale = check_number("scale", scale, low=0.0, high=1.0)
        if self.scale == 0.0:
            raise RangeError("scale is 0; wanted above 0, at most 1")
        self.pool = bool(pool)
        self._rng = as_generator(rng)
        self._counters = {"epochs": 0, "burn-in pulls": 0, "restarts": 0}
        self._restart()

    @property
    def active(self) -> tuple[int, ...]:
        """The arms not yet eliminated, in ascending order."""
        return tuple(sorted(self._active))

    def _restart(self) -> None:
        self._epoch = 0
        self._active = [int(arm) for arm in self._rng.permutation(self.n_arms)]
        self._sums = np.zeros(self.n_arms)
        self._counts = np.zeros(self.n_arms, dtype=np.int64)

    def _log_term(self) -> float:
        return math.log(self.n_arms * self.horizon * self._epoch**2 / self.delta)

    def _samples(self) -> int:
        """Samples an arm for gaps of 2^-epoch, n_s."""
        theory = 8.0 * self.sigma**2 * self._log_term() * 4.0**self._epoch
        return max(1, math.ceil(self.scale * theory))

    def _next_epoch(self) -> int:
        """Begin an epoch and return the samples that each active arm still needs in it."""
        self._epoch += 1
        self._counters["epochs"] += 1
        if not self.pool:
            self._sums[:] = 0.0
            self._counts[:] = 0
        return self._samples() - int(self._counts[self._active[0]])

    def _eliminate(self) -> None:
        """Drop every arm whose mean is two confidence radii above the best."""
        active = np.array(self._active)
        means = self._sums[active] / self._counts[active]
        radius = self.sigma * math.sqrt(2.0 * self._log_term() / self._counts[active[0]])
        self._active = [int(arm) for arm in active[means <= means.min() + 2.0 * radius]]


class BurnInSuccessiveElimination(_Elimination):
    """The paper's learner: play an arm `memory_bound` times unmeasured, then measure it.

    Each epoch plays every active arm in one run. The first `memory_bound` losses of a run are
    discarded: they fill the memory with the arm and flush the others. The last active arm is
    played for ever.

    Args:
        n_arms: how many arms.
        horizon: how many plays the guarantee is for.
        memory_bound: plays to discard; the guarantee needs it to be at least the memory.
        sigma: sub-Gaussian parameter of the noise; 1/2 always suffices for losses in [0, 1].
        delta: probability with which the guarantee may fail, between 0 and 1; 1 / horizon by
            default.
        scale: factor, above 0 and at most 1, on the theory's samples an epoch. The confidence
            radius is the theory's at the samples taken, whatever the scale.
        pool: keep the samples of earlier epochs, which are as good, instead of fresh averages.
        rng: decides the order in which arms are tried.

    Raises:
        RangeError, DTypeError: for arguments outside these ranges.

    Example:
        >>> bandit = WeightedTallyingBandit([[0.9, 0.1], [0.5, 0.5]], memory=20, rng=0)
        >>> learner = BurnInSuccessiveElimination(2, 10_000, memory_bound=40, sigma=0.25, rng=0)
        >>> trace = learner.run(bandit)
        >>> learner.active, trace.final < 1000
        ((0,), True)
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        memory_bound: int,
        *,
        sigma: float = 1.0,
        delta: float | None = None,
        scale: float = 1 / 16,
        pool: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        self.memory_bound = check_integer("memory_bound", memory_bound, low=1)
        self._playing: int | None = None
        super().__init__(n_arms, horizon, sigma=sigma, delta=delta, scale=scale, pool=pool, rng=rng)
        if self.horizon < self.n_arms * self.memory_bound:
            warnings.warn(
                f"horizon {self.horizon} is below n_arms * memory_bound = "
                f"{self.n_arms * self.memory_bound}: the regret bound says nothing here",
                UserWarning,
                stacklevel=2,
            )

    def next(self) -> int:
        """Return the arm to play now."""
        return self._arm

    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named."""
        self._absorb(loss, 1)

    def run(self, bandit: WeightedTallyingBandit) -> RegretTrace:
        """Play the whole horizon from an empty memory, each run of an arm in closed form."""
        bandit.reset()
        steps, regret = [], []
        while bandit.time < self.horizon:
            left = self.horizon - bandit.time
            plays = left if self._left is None else min(self._left, left)
            self._absorb(bandit.play_run(self._arm, plays), plays)
            steps.append(bandit.time)
            regret.append(bandit.regret)
        note("pulls", bandit.time)
        return RegretTrace(np.array(steps), np.array(regret), dict(self._counters))

    def _restart(self) -> None:
        super()._restart()
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._quota = self._next_epoch()
        order = self._active
        if self._playing in order:  # its memory is full: going on with it needs no burn-in
            order = [self._playing, *(arm for arm in order if arm != self._playing)]
        self._queue = order[::-1]
        self._begin_arm()

    def _begin_arm(self) -> None:
        self._arm = self._queue.pop()
        self._burn = 0 if self._arm == self._playing else self.memory_bound
        self._keep = self._quota
        self._playing = self._arm

    @property
    def _left(self) -> int | None:
        """Plays until something changes; None if nothing ever will."""
        if len(self._active) == 1:
            return None
        return self._burn or self._keep

    def _absorb(self, mean: float, plays: int) -> None:
        """Take the mean loss of plays of the current arm, all burn-in or all kept."""
        if len(self._active) == 1:
            return
        if self._burn:
            self._burn -= plays
            self._counters["burn-in pulls"] += plays
            return
        self._keep -= plays
        self._sums[self._arm] += plays * mean
        self._counts[self._arm] += plays
        if self._keep == 0:
            self._finish_arm()

    def _finish_arm(self) -> None:
        if self._queue:
            self._begin_arm()
            return
        self._eliminate()
        if len(self._active) == 1:
            self._arm = self._active[0]
        else:
            self._begin_epoch()


class DoublingBurnIn(BurnInSuccessiveElimination):
    """A heuristic for an unknown memory: double the burn-in where kept losses still drift.

    Each run's kept losses are split into halves; halves that differ by more than their noise
    mean that the memory was not full. Then the burn-in doubles and elimination starts again.
    Nothing is proved about it: a loss that moves only after a long plateau goes unnoticed.

    Args:
        n_arms: how many arms.
        horizon: how many plays.
        first_bound: the burn-in to begin with.
        sigma, delta, scale, rng: as for `BurnInSuccessiveElimination`.
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        first_bound: int = 1,
        sigma: float = 1.0,
        delta: float | None = None,
        scale: float = 1 / 16,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        self._half_sums = [0.0, 0.0]
        super().__init__(
            n_arms, horizon, first_bound, sigma=sigma, delta=delta, scale=scale, rng=rng
        )

    @property
    def _left(self) -> int | None:
        left = super()._left
        second = self._quota // 2
        return left - second if left is not None and not self._burn and left > second else left

    def _absorb(self, mean: float, plays: int) -> None:
        if len(self._active) > 1 and not self._burn:
            self._half_sums[self._keep <= self._quota // 2] += plays * mean
        super()._absorb(mean, plays)

    def _finish_arm(self) -> None:
        second = self._quota // 2
        first = self._quota - second
        drifts = False
        if second:
            gap = abs(self._half_sums[0] / first - self._half_sums[1] / second)
            spread = self.sigma * math.sqrt(2.0 * self._log_term() * (1 / first + 1 / second))
            drifts = gap > spread
        self._half_sums = [0.0, 0.0]
        if drifts and self.memory_bound < self.horizon:
            self.memory_bound *= 2
            self._counters["restarts"] += 1
            self._restart()
        else:
            super()._finish_arm()


class PlainSuccessiveElimination(_Elimination):
    """The textbook's learner: every active arm once a round, in turn, all losses kept.

    With two or more arms left no arm is ever played twice running, so none fills the memory.

    Args:
        n_arms, horizon, sigma, delta, scale, pool, rng: as for `BurnInSuccessiveElimination`,
            whose epochs it shares.
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        sigma: float = 1.0,
        delta: float | None = None,
        scale: float = 1 / 16,
        pool: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        self._turn = 0
        super().__init__(n_arms, horizon, sigma=sigma, delta=delta, scale=scale, pool=pool, rng=rng)

    def next(self) -> int:
        """Return the arm to play now."""
        return self._active[self._turn]

    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named."""
        if len(self._active) == 1:
            return
        arm = self._active[self._turn]
        self._sums[arm] += loss
        self._counts[arm] += 1
        self._turn += 1
        if self._turn == len(self._active):
            self._turn = 0
            self._count_rounds(1)

    def run(self, bandit: WeightedTallyingBandit) -> RegretTrace:
        """Play the whole horizon from an empty memory, each epoch in closed form."""
        bandit.reset()
        steps, regret = [], []
        while bandit.time < self.horizon:
            self._play_on(bandit, self.horizon - bandit.time)
            steps.append(bandit.time)
            regret.append(bandit.regret)
        note("pulls", bandit.time)
        return RegretTrace(np.array(steps), np.array(regret), dict(self._counters))

    def _play_on(self, bandit: WeightedTallyingBandit, left: int) -> None:
        active = self._active
        if len(active) == 1:
            bandit.play_run(active[0], left)
            return
        rounds = min(self._rounds_left, left // len(active))
        if rounds == 0 or self._turn:  # the horizon ends within a round, or a step was made
            self.observe(bandit.step(self.next()))
            return
        means = bandit.play_cycle(active, rounds)
        self._sums[active] += rounds * means
        self._counts[active] += rounds
        self._count_rounds(rounds)

    def _restart(self) -> None:
        super()._restart()
        self._rounds_left = self._next_epoch()

    def _count_rounds(self, rounds: int) -> None:
        self._rounds_left -= rounds
        if self._rounds_left == 0:
            self._eliminate()
            if len(self._active) > 1:
                self._rounds_left = self._next_epoch()
