"""Rivals that do not know about exposure: UCB1, EXP3 and EXP3 in batches."""

import importlib.util
import math
import warnings
from abc import ABC, abstractmethod

import numpy as np

from tractable._core import SlowPathWarning, note
from tractable._core.checks import check_integer, check_number
from tractable._core.random import as_generator
from tractable.online.tallying_bandit._environment import RegretTrace, WeightedTallyingBandit

RECORDS = 64
LONGEST_BLOCK = 65_536


class _StepLearner(ABC):
    """Decides at every play; runs in a compiled loop where Numba is there and losses a table."""

    def __init__(self, n_arms: int, horizon: int, rng: int | np.random.Generator | None) -> None:
        self.n_arms = check_integer("n_arms", n_arms, low=1)
        self.horizon = check_integer("horizon", horizon, low=1)
        self._rng = as_generator(rng)

    @abstractmethod
    def next(self) -> int:
        """Return the arm to play now."""

    @abstractmethod
    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named."""

    @abstractmethod
    def _play_compiled(self, bandit: WeightedTallyingBandit, plays: int) -> None:
        """Make `plays` plays in the compiled loop."""

    def run(self, bandit: WeightedTallyingBandit) -> RegretTrace:
        """Play the whole horizon from an empty memory."""
        bandit.reset()
        compiled = bandit.table is not None and _can_compile()
        block = min(LONGEST_BLOCK, -(-self.horizon // RECORDS))
        steps, regret = [], []
        while bandit.time < self.horizon:
            plays = min(block, self.horizon - bandit.time)
            if compiled:
                self._play_compiled(bandit, plays)
            else:
                for _ in range(plays):
                    self.observe(bandit.step(self.next()))
            steps.append(bandit.time)
            regret.append(bandit.regret)
        note("pulls", bandit.time)
        return RegretTrace(np.array(steps), np.array(regret))


class UCB1(_StepLearner):
    """UCB1 for losses: play the arm with the lowest mean less its confidence width.

    Args:
        n_arms: how many arms.
        horizon: how many plays `run` makes.
        sigma: sub-Gaussian parameter of the losses; 1/2, right for losses in [0, 1], gives the
            usual width √(2 ln t / n).
        rng: breaks ties.
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        sigma: float = 0.5,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        super().__init__(n_arms, horizon, rng)
        self.sigma = check_number("sigma", sigma, low=0.0)
        self._counts = np.zeros(self.n_arms)
        self._sums = np.zeros(self.n_arms)
        self._arm = 0

    def next(self) -> int:
        """Return the arm to play now; ties are broken at random."""
        counts = self._counts
        place = self._rng.random()
        index = np.full(self.n_arms, -np.inf)
        tried = counts > 0
        width = 8.0 * self.sigma**2 * math.log(counts.sum() + 1.0)
        index[tried] = self._sums[tried] / counts[tried] - np.sqrt(width / counts[tried])
        lowest = np.flatnonzero(index == index.min())
        self._arm = int(lowest[int(place * len(lowest))])
        return self._arm

    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named."""
        self._counts[self._arm] += 1.0
        self._sums[self._arm] += loss

    def _play_compiled(self, bandit: WeightedTallyingBandit, plays: int) -> None:
        from tractable.online.tallying_bandit._compiled import play

        play(bandit, plays, self._rng, (self._counts, self._sums), width=8.0 * self.sigma**2)


class EXP3(_StepLearner):
    """EXP3 for losses: exponential weights on importance-weighted losses.

    Args:
        n_arms: how many arms.
        horizon: how many plays `run` makes; sets the rate.
        rate: learning rate, above zero; √(2 ln K / (K T)) by default.
        rng: draws the arms.
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        rate: float | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        super().__init__(n_arms, horizon, rng)
        self.rate = self._pick_rate(self.horizon, rate)
        self._weights = np.ones(self.n_arms)
        self._chance = 1.0
        self._arm = 0

    def next(self) -> int:
        """Draw the arm to play now."""
        cumulative = np.cumsum(self._weights)
        place = self._rng.random() * cumulative[-1]
        self._arm = min(int(cumulative.searchsorted(place, side="right")), self.n_arms - 1)
        self._chance = float(self._weights[self._arm] / cumulative[-1])
        return self._arm

    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named, cut to [0, 1]."""
        share = min(max(loss, 0.0), 1.0) / self._chance
        self._weights[self._arm] *= math.exp(-self.rate * share)
        highest = self._weights.max()
        if highest < 1e-100:
            self._weights /= highest

    def _pick_rate(self, rounds: float, rate: float | None) -> float:
        if rate is None:
            return math.sqrt(2.0 * math.log(max(self.n_arms, 2)) / (self.n_arms * rounds))
        return check_number("rate", rate, low=1e-12)

    def _play_compiled(self, bandit: WeightedTallyingBandit, plays: int) -> None:
        from tractable.online.tallying_bandit._compiled import play

        play(bandit, plays, self._rng, (self._weights, np.empty(0)), rate=self.rate)


class BatchedEXP3(EXP3):
    """EXP3 that keeps each drawn arm for a batch: the standard answer to bounded memory.

    Args:
        n_arms: how many arms.
        horizon: how many plays `run` makes.
        batch: plays a batch; the cube root of the horizon by default.
        rate: learning rate, above zero; EXP3's for the number of batches by default.
        rng: draws the arms.
    """

    def __init__(
        self,
        n_arms: int,
        horizon: int,
        *,
        batch: int | None = None,
        rate: float | None = None,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Check the arguments; nothing is played yet."""
        super().__init__(n_arms, horizon, rate=rate, rng=rng)
        chosen = round(self.horizon ** (1 / 3)) if batch is None else batch
        self.batch = check_integer("batch", chosen, low=1)
        self.rate = self._pick_rate(self.horizon / self.batch, rate)
        self._played = 0
        self._sum = 0.0

    def next(self) -> int:
        """Return the arm of this batch."""
        return super().next() if self._played == 0 else self._arm

    def observe(self, loss: float) -> None:
        """Take the loss of the arm that `next` named."""
        self._absorb(loss, 1)

    def run(self, bandit: WeightedTallyingBandit) -> RegretTrace:
        """Play the whole horizon from an empty memory, each batch in closed form."""
        bandit.reset()
        steps, regret = [], []
        every = max(1, self.horizon // self.batch // RECORDS)
        while bandit.time < self.horizon:
            plays = min(self.batch - self._played, self.horizon - bandit.time)
            arm = self.next()
            self._absorb(bandit.play_run(arm, plays), plays)
            if bandit.time // self.batch % every == 0 or bandit.time >= self.horizon:
                steps.append(bandit.time)
                regret.append(bandit.regret)
        note("pulls", bandit.time)
        return RegretTrace(np.array(steps), np.array(regret))

    def _absorb(self, mean: float, plays: int) -> None:
        self._played += plays
        self._sum += plays * mean
        if self._played == self.batch:
            super().observe(self._sum / self.batch)
            self._played, self._sum = 0, 0.0


_warned: set[str] = set()


def _can_compile() -> bool:
    if importlib.util.find_spec("numba") is not None:
        return True
    if "numba" not in _warned:
        _warned.add("numba")
        warnings.warn(
            "numba is missing: UCB1 and EXP3 run step by step, much more slowly; "
            "install it with: pip install 'tractable[jit]'",
            SlowPathWarning,
            stacklevel=3,
        )
    return False
