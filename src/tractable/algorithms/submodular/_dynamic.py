"""The best few of elements that come and go."""

from heapq import heappop, heappush
from math import ceil, floor, inf, log, log1p
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from tractable._core import DataError, RangeError
from tractable._core.checks import check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.submodular._copy import Copy, Elements, Rules
from tractable.algorithms.submodular._oracles import Numbers, SubmodularOracle, read_elements

EDGE = 1e-9
"""What rounding may add to the exponent of a guess."""


class Stats(NamedTuple):
    """What a maximizer has done and holds.

    Args:
        calls: evaluations of the function that it asked for.
        rebuilds: how often levels were built.
        copies: guesses of the best value that have elements.
        active: guesses that are up to date, the others wait.
        levels: levels of all guesses.
    """

    calls: int
    rebuilds: int
    copies: int
    active: int
    levels: int


class DynamicSubmodularMaximizer:
    """Keep at most k elements whose value is nearly half of the best, while elements come and go.

    After every update f(solution) is at least (1/2 - O(epsilon)) of the best k elements' value in
    expectation, if the updates do not depend on the solutions.

    Args:
        oracle: a monotone submodular function.
        k: at most so many elements are chosen, at least 1.
        epsilon: the accuracy, from 0.001 to 1/2: guesses of the best value and edges of buckets
            are this far apart, and this share of a bucket may die.
        n_trials: random draws that a sample size is tested with, at least 1; None takes
            2 / epsilon, at least 8. The paper's are of the order of log n / epsilon^2.
        rebuild_ratio: a level is built again when it has more than this times the elements that
            it was built with; above 1.
        rng: a seed, a generator, or None for fresh entropy.

    Raises:
        DTypeError, RangeError: for parameters of another type or out of range.

    Example:
        >>> from tractable.algorithms.submodular import CoverageOracle
        >>> oracle = CoverageOracle.from_sets([{0, 1, 2}, {2, 3}, {4}])
        >>> best = DynamicSubmodularMaximizer(oracle, k=2, rng=0)
        >>> best.update(insert=[0, 1, 2])
        >>> best.value()
        4.0
        >>> best.delete(0)
        >>> best.solution().tolist()
        [1, 2]
    """

    def __init__(
        self,
        oracle: SubmodularOracle,
        k: int,
        epsilon: float = 0.2,
        *,
        n_trials: int | None = None,
        rebuild_ratio: float = 1.5,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        """Start without elements."""
        self.oracle = oracle
        self.k = check_integer("k", k, low=1)
        self.epsilon = check_number("epsilon", epsilon, low=1e-3, high=0.5)
        growth = check_number("rebuild_ratio", rebuild_ratio, low=1.0)
        if growth == 1.0:
            raise RangeError("rebuild_ratio is 1.0; wanted more than 1")
        trials = max(8, ceil(2.0 / self.epsilon)) if n_trials is None else n_trials
        self._rules = Rules(
            self.k,
            self.epsilon,
            growth,
            self.epsilon,
            check_integer("n_trials", trials, low=1),
        )
        self._rng = as_generator(rng)
        self._step = log1p(self.epsilon)
        self._known = Elements()
        self._numbers: dict[int, int] = {}
        self._copies: dict[int, Copy] = {}
        self._active: set[int] = set()
        self._best: int | None = None
        self._largest: list[tuple[float, int]] = []
        self._calls = 0
        self._rebuilds = 0  # of guesses that were dropped since
        self._nothing = oracle.empty()

    @property
    def n_alive(self) -> int:
        """How many elements are there."""
        return len(self._numbers)

    @property
    def stats(self) -> Stats:
        """What was asked and built so far."""
        copies = self._copies.values()
        return Stats(
            self._calls,
            self._rebuilds + sum(copy.rebuilds for copy in copies),
            len(copies),
            len(self._active),
            sum(len(copy.levels) for copy in copies),
        )

    def insert(self, element: int) -> None:
        """Let an element arrive.

        Raises:
            DataError: if it is there already, or the oracle's value of it is below 0 or no number.
            DTypeError, RangeError: if the oracle does not have it.
        """
        self.update(insert=[element])

    def delete(self, element: int) -> None:
        """Remove an element.

        Raises:
            DataError: if it is not there.
            DTypeError, RangeError: if the oracle does not have it.
        """
        self.update(delete=[element])

    def update(self, insert: Numbers = (), delete: Numbers = ()) -> None:
        """Remove elements and let others arrive, all or (where something is wrong) none of them.

        Args:
            insert: elements that arrive; one that is deleted by the same call may come back.
            delete: elements that leave, before the others arrive.

        Raises:
            DataError, DTypeError, RangeError: as `insert` and `delete`, and for repeats.
        """
        arriving = read_elements("insert", insert, self.oracle.n_elements)
        leaving = read_elements("delete", delete, self.oracle.n_elements)
        self._check(arriving.tolist(), leaving.tolist())
        before = self.oracle.calls
        singles = self.oracle._ask(self._nothing, arriving)
        if not np.isfinite(singles).all() or (singles < 0.0).any():
            at = int(np.flatnonzero(~(np.isfinite(singles) & (singles >= 0.0)))[0])
            raise DataError(
                f"the oracle's value of element {arriving[at]} is {singles[at]}; wanted a monotone "
                "function, whose values are finite and at least 0"
            )
        for element in leaving.tolist():
            self._delete(element)
        for element, single in zip(arriving.tolist(), singles.tolist(), strict=True):
            self._insert(element, single)
        self._settle()
        self._calls += self.oracle.calls - before

    def solution(self) -> Int[np.ndarray, "chosen"]:
        """Return the chosen elements, at most k, sorted; no call is made."""
        if self._best is None:
            return np.zeros(0, np.int64)
        members = self._copies[self._best].members()
        return np.sort(self._known.elements_of(members))

    def value(self) -> float:
        """Return f of the solution; no call is made."""
        return 0.0 if self._best is None else self._copies[self._best].value()

    def _check(self, arriving: list[int], leaving: list[int]) -> None:
        out, into = set(leaving), set(arriving)
        if len(out) < len(leaving) or len(into) < len(arriving):
            raise DataError("the same element twice; wanted each at most once a call")
        for element in leaving:
            if element not in self._numbers:
                raise DataError(f"element {element} is not there; insert it before deleting it")
        for element in arriving:
            if element in self._numbers and element not in out:
                raise DataError(f"element {element} is there already; delete it first")

    def _insert(self, element: int, single: float) -> None:
        number = self._known.put(element, single)
        self._numbers[element] = number
        if single <= 0.0:
            return
        heappush(self._largest, (-single, number))
        for guess in self._guesses(single):
            copy = self._copies.get(guess)
            if copy is None:
                copy = Copy(self.oracle, self._known, self._rules, guess=guess, rng=self._rng)
                self._copies[guess] = copy
            if guess in self._active:
                copy.insert(number)
            else:
                copy.later_insert(number)

    def _delete(self, element: int) -> None:
        number = self._numbers.pop(element)
        single = self._known.single[number]
        self._known.drop(number)
        if single <= 0.0:
            return
        for guess in self._guesses(single):
            copy = self._copies[guess]
            if guess in self._active:
                copy.delete(number)
            else:
                copy.later_delete(number)
            if copy.void:
                self._rebuilds += copy.rebuilds
                del self._copies[guess]
                self._active.discard(guess)

    def _guesses(self, single: float) -> range:
        """Return the exponents j of the guesses (1 + epsilon)^j that want such an element."""
        low, high = log(single), log(single) + log(2.0 * self.k)
        return range(ceil(low / self._step - EDGE), floor(high / self._step + EDGE) + 1)

    def _exponent(self, value: float) -> int:
        """Return the exponent of the least guess that is not below a value."""
        return ceil(log(value) / self._step - EDGE)

    def _largest_single(self) -> float:
        while self._largest and self._largest[0][1] not in self._known.single:
            heappop(self._largest)
        return -self._largest[0][0] if self._largest else 0.0

    def _settle(self) -> None:
        """Bring the guesses up to date that may be right, and choose the best.

        The best value lies between what guesses have reached and what they have excluded. Others
        wait; a bracket that widens later makes them catch up.
        """
        top = self._largest_single()
        if top <= 0.0:
            self._active, self._best = set(), None
            return
        floor_ = self._exponent(top)
        ceiling = self._exponent(top) + ceil(
            log(min(self.k, len(self._numbers))) / self._step - EDGE
        )
        while True:
            best, where, bound = 0.0, None, inf
            for guess in sorted(self._active):
                copy = self._copies[guess]
                value = copy.value()
                if value > best:
                    best, where = value, guess
                if guess >= floor_:
                    bound = min(bound, copy.bound())
            low = max(floor_, self._exponent(best)) if best > 0.0 else floor_
            high = ceiling if bound == inf else min(ceiling, self._exponent(bound))
            wanted = [guess for guess in range(low, max(low, high) + 1) if guess in self._copies]
            behind = [guess for guess in wanted if guess not in self._active]
            if not behind:
                break
            # Half-way, so that what it finds excludes half of the others.
            chosen = behind[len(behind) // 2]
            self._copies[chosen].catch_up()
            self._active.add(chosen)
        self._best = where
        self._active = set(wanted) if where is None else {*wanted, where}
