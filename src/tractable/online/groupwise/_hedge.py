"""Weighing experts of which some sleep: AdaNormalHedge (the paper's) and Hedge for specialists."""

from abc import ABC, abstractmethod

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


def awake_indices(active: ArrayLike, n: int, what: str = "active") -> Int[np.ndarray, "awake"]:
    """Return the places of those awake, ascending, from a boolean mask or from places.

    Raises:
        ShapeError: for a mask of another length, or more than one axis.
        DTypeError: for anything but booleans and whole numbers.
        RangeError: for places outside 0 to n - 1, or named twice.
    """
    given = np.asarray(active)
    if given.ndim == 1 and not given.size and given.dtype.kind != "b":
        return np.zeros(0, np.int64)  # an empty list has NumPy's default type
    given = as_array(what, given, ndim=1, kinds="biu", empty=True)
    if given.dtype.kind == "b":
        if given.size != n:
            raise ShapeError(f"{what} is a mask of {given.size}; wanted one entry each for {n}")
        return np.flatnonzero(given)
    places = np.sort(given).astype(np.int64)
    if places[0] < 0 or places[-1] >= n:
        raise RangeError(f"{what} names {places[0]} to {places[-1]}; wanted places 0 to {n - 1}")
    if np.any(places[1:] == places[:-1]):
        raise RangeError(f"{what} names a place twice: {places.tolist()}; name each once")
    return places


class SleepingHedge(ABC):
    """What both ways to weigh sleeping experts share: a prior, and who is awake."""

    def __init__(self, n_experts: int, prior: ArrayLike | None = None) -> None:
        """Check the prior; nothing has happened yet."""
        self.n_experts = check_integer("n_experts", n_experts, low=1)
        if prior is None:
            self.prior: Floats = np.full(self.n_experts, 1.0 / self.n_experts)
            return
        given = as_array("prior", prior, ndim=1).astype(np.float64)
        if given.size != self.n_experts:
            raise ShapeError(f"prior has {given.size} entries; wanted {self.n_experts}, one each")
        self.prior = given / max(given.sum(), np.finfo(float).tiny)
        if given.min() <= 0.0 or self.prior.min() <= 0.0:
            raise DataError(f"prior has the entry {given.min()}; wanted all well above 0")

    def weights(self, active: ArrayLike) -> Float[np.ndarray, "experts"]:
        """Return the probability of each expert; zero for those asleep.

        Args:
            active: a mask, one boolean an expert, or the places of those awake.

        Raises:
            ShapeError, DTypeError, RangeError: if `active` is neither, or nobody is awake.
        """
        awake = self._awake(active)
        whole = np.zeros(self.n_experts)
        whole[awake] = self.shares(awake)
        return whole

    def update(self, losses: ArrayLike, active: ArrayLike) -> None:
        """Take the losses of a round.

        Args:
            losses: (n_experts,) in [0, 1]; those of experts asleep are not looked at.
            active: as in `weights`.

        Raises:
            ShapeError, DTypeError, RangeError, DataError: for anything else.
        """
        awake = self._awake(active)
        given = as_array("losses", losses, ndim=1, finite=False)
        if given.size != self.n_experts:
            raise ShapeError(f"losses has {given.size} entries; wanted {self.n_experts}, one each")
        heard = given[awake].astype(np.float64)
        if not (heard.min() >= 0.0 and heard.max() <= 1.0):
            raise DataError(f"losses of those awake are {heard}; wanted 0 to 1: rescale them")
        self.learn(self.shares(awake), heard, awake)

    def _awake(self, active: ArrayLike) -> Indices:
        awake = awake_indices(active, self.n_experts)
        if not awake.size:
            raise ShapeError("nobody is awake; wanted at least one expert that is")
        return awake

    def shares(self, awake: Indices) -> Floats:
        """Return the probabilities of those awake, unchecked."""
        if awake.size == 1:
            return np.ones(1)
        logs = self._log_weights(awake)
        if logs.max() == -np.inf:  # nobody has anything to show: the prior decides
            logs = np.zeros(awake.size)
        logs = logs + np.log(self.prior[awake])
        shares = np.exp(logs - logs.max())
        return np.asarray(shares / shares.sum())

    @abstractmethod
    def _log_weights(self, awake: Indices) -> Floats:
        """Return the logarithm of each weight without the prior; -inf for zero."""

    @abstractmethod
    def learn(self, shares: Floats, losses: Floats, awake: Indices) -> None:
        """Take the losses of those awake, who had these shares, unchecked."""

    @abstractmethod
    def regret_bounds(self) -> Float[np.ndarray, "experts"]:
        """Return what the regret to each expert, over the rounds it was awake, cannot exceed."""


class SleepingAdaNormalHedge(SleepingHedge):
    """AdaNormalHedge for sleeping experts: no learning rate, and data-dependent regret.

    With R the regret to an expert and C its total movement, Σ|r|, over the rounds in which it
    was awake, its weight is ½[Φ(R + 1, C + 1) - Φ(R - 1, C + 1)], Φ(R, C) = exp(max(R, 0)²/3C).
    Logarithms are kept instead, so that nothing overflows.

    Args:
        n_experts: how many, asleep or awake.
        prior: a positive number each; all the same by default.

    Attributes:
        regrets: R of each expert.
        movements: C of each expert.

    Raises:
        ShapeError, DTypeError, RangeError, DataError: for arguments outside these ranges.

    Source: H. Luo and R. Schapire, "Achieving All with No Parameters: AdaNormalHedge", 2015,
        figure 1 and section 5; the paper's algorithm 1 takes it for its sleeping experts.

    Example:
        >>> hedge = SleepingAdaNormalHedge(3)
        >>> hedge.update([0.0, 1.0, 0.5], active=[0, 1])
        >>> hedge.weights([True, True, False]).round(3).tolist()
        [0.919, 0.081, 0.0]
    """

    def __init__(self, n_experts: int, prior: ArrayLike | None = None) -> None:
        """Start with no regret to anybody."""
        super().__init__(n_experts, prior)
        self.regrets: Floats = np.zeros(self.n_experts)
        self.movements: Floats = np.zeros(self.n_experts)

    def _log_weights(self, awake: Indices) -> Floats:
        regrets, movements = self.regrets[awake], self.movements[awake] + 1.0
        above = np.maximum(regrets + 1.0, 0.0) ** 2 / (3.0 * movements)
        below = np.maximum(regrets - 1.0, 0.0) ** 2 / (3.0 * movements)
        logs = np.full(awake.size, -np.inf)
        np.log(-np.expm1(below - above), out=logs, where=above > 0.0)
        return np.asarray(above + logs)

    def learn(self, shares: Floats, losses: Floats, awake: Indices) -> None:
        """Take the losses of those awake, who had these shares, unchecked."""
        moves = shares @ losses - losses
        self.regrets[awake] += moves
        self.movements[awake] += np.abs(moves)

    def regret_bounds(self) -> Float[np.ndarray, "experts"]:
        """Return √(3 C (ln 1/q + ln B)), B = 1 + 3/2 Σ q (1 + ln(1 + C)), q the prior.

        The regret to an expert, in the mean loss of those awake, never exceeds it.
        """
        spread = 1.0 + 1.5 * self.prior @ (1.0 + np.log1p(self.movements))
        return np.asarray(np.sqrt(3.0 * self.movements * np.log(spread / self.prior)))


class SpecialistHedge(SleepingHedge):
    """Hedge for specialists: exponential weights, where those asleep lose as much as the mix.

    Where exp(-rate · loss) is concave in the prediction, as it is for the squared loss in [0, 1]
    and rate 1/2, the mean prediction's regret to every expert is at most ln(1/q) / rate.

    Args:
        n_experts, prior: as for `SleepingAdaNormalHedge`.
        rate: learning rate, above 0.

    Attributes:
        scores: rate times the mix's loss less the expert's, over its rounds.

    Source: Y. Freund, R. Schapire, Y. Singer and M. Warmuth, "Using and combining predictors
        that specialize", 1997. It is a rival of the paper's choice.
    """

    def __init__(
        self, n_experts: int, prior: ArrayLike | None = None, *, rate: float = 0.5
    ) -> None:
        """Start from the prior."""
        super().__init__(n_experts, prior)
        self.rate = check_number("rate", rate, low=0.0)
        if self.rate == 0.0:
            raise RangeError("rate is 0; wanted above 0")
        self.scores: Floats = np.zeros(self.n_experts)

    def _log_weights(self, awake: Indices) -> Floats:
        return np.asarray(self.scores[awake])

    def learn(self, shares: Floats, losses: Floats, awake: Indices) -> None:
        """Take the losses of those awake, who had these shares, unchecked."""
        mix = -np.log(shares @ np.exp(-self.rate * losses))
        self.scores[awake] += mix - self.rate * losses

    def regret_bounds(self) -> Float[np.ndarray, "experts"]:
        """Return ln(1/q) / rate, for the mean prediction under such losses."""
        return np.asarray(-np.log(self.prior) / self.rate)


def make_hedge(meta: object, n_experts: int) -> SleepingHedge:
    """Return the way to weigh experts that goes by a name."""
    makers: dict[str, type[SleepingAdaNormalHedge | SpecialistHedge]] = {
        "adanormalhedge": SleepingAdaNormalHedge,
        "hedge": SpecialistHedge,
    }
    if not isinstance(meta, str):
        raise DTypeError(f"meta is {type(meta).__name__}; wanted 'adanormalhedge' or 'hedge'")
    if meta not in makers:
        raise RangeError(f"meta is {meta!r}; wanted 'adanormalhedge' or 'hedge'")
    return makers[meta](n_experts)
