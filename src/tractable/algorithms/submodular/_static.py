"""Selections from scratch: what one runs today after every change."""

from heapq import heapify, heappop, heappush, heapreplace
from itertools import combinations
from math import ceil, log

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from tractable._core import DataError
from tractable._core.checks import check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.submodular._oracles import (
    Ids,
    Numbers,
    SubmodularOracle,
    read_elements,
)


def reference(oracle: SubmodularOracle, elements: Numbers, k: int) -> Int[np.ndarray, "chosen"]:
    """Try every set of at most k elements and return one of the largest value.

    Args:
        oracle: the function.
        elements: distinct element numbers.
        k: at most so many are chosen, at least 1.

    Returns:
        The chosen elements, sorted.

    Raises:
        DTypeError, RangeError: for elements that the oracle does not have, or k below 1.
        DataError: for repeated elements.
    """
    ids, most = _read(oracle, elements, k)
    sets = combinations(np.sort(ids).tolist(), min(most, ids.size))
    return np.array(max(sets, key=oracle.value), np.int64)


def greedy(oracle: SubmodularOracle, elements: Numbers, k: int) -> Int[np.ndarray, "chosen"]:
    """Add the element of the largest gain, k times; at least 1 - 1/e of the best set's value.

    Args:
        oracle, elements, k: as in `reference`.

    Returns:
        The chosen elements in the order they were added; none that adds nothing.

    Raises:
        DTypeError, RangeError, DataError: as `reference`.

    Example:
        >>> from tractable.algorithms.submodular import CoverageOracle
        >>> greedy(CoverageOracle.from_sets([{0}, {0, 1, 2}, {2, 3}]), [0, 1, 2], 2).tolist()
        [1, 2]
    """
    ids, most = _read(oracle, elements, k)
    state, chosen = oracle.empty(), list[int]()
    while ids.size and len(chosen) < most:
        gains = oracle._ask(state, ids)
        best = int(gains.argmax())
        if gains[best] <= 0.0:
            break
        oracle._extend(state, ids[best : best + 1])
        chosen.append(int(ids[best]))
        ids = np.delete(ids, best)
    return np.array(chosen, np.int64)


def lazy_greedy(
    oracle: SubmodularOracle, elements: Numbers, k: int, *, singletons: ArrayLike | None = None
) -> Int[np.ndarray, "chosen"]:
    """Choose what `greedy` chooses, but ask again only for gains that may be the largest.

    Args:
        oracle, elements, k: as in `reference`.
        singletons: the elements' gains over the empty set, where they are known already.

    Returns:
        As `greedy`; where gains tie, another element may be taken.

    Raises:
        DTypeError, RangeError, DataError: as `reference`.
    """
    ids, most = _read(oracle, elements, k)
    state, chosen = oracle.empty(), list[int]()
    first = oracle._ask(state, ids) if singletons is None else np.asarray(singletons)
    heap = list(zip((-first).tolist(), ids.tolist(), [0] * ids.size, strict=True))
    heapify(heap)
    while heap and len(chosen) < most and heap[0][0] < 0.0:
        _, element, when = heap[0]
        one = np.array([element], np.int64)
        if when == len(chosen):
            heappop(heap)
            oracle._extend(state, one)
            chosen.append(element)
        else:
            gain = float(oracle._ask(state, one)[0])
            heapreplace(heap, (-gain, element, len(chosen)))
    return np.array(chosen, np.int64)


def stochastic_greedy(
    oracle: SubmodularOracle,
    elements: Numbers,
    k: int,
    *,
    epsilon: float = 0.1,
    rng: int | np.random.Generator | None = None,
) -> Int[np.ndarray, "chosen"]:
    """Add the best of a random sample, k times; 1 - 1/e - epsilon in expectation.

    Args:
        oracle, elements, k: as in `reference`.
        epsilon: strictly between 0 and 1; each sample has n / k * ln(1 / epsilon) elements.
        rng: a seed, a generator, or None for fresh entropy.

    Returns:
        As `greedy`.

    Raises:
        DTypeError, RangeError, DataError: as `reference`, and for an epsilon out of range.
    """
    ids, most = _read(oracle, elements, k)
    loss = check_number("epsilon", epsilon, low=0.0, high=1.0, open_ends=True)
    generator = as_generator(rng)
    size = ceil(ids.size / most * log(1.0 / loss))
    state, chosen = oracle.empty(), list[int]()
    for _ in range(min(most, ids.size)):
        places = generator.choice(ids.size, min(size, ids.size), replace=False)
        gains = oracle._ask(state, ids[places])
        best = int(places[gains.argmax()])
        if gains.max() > 0.0:
            oracle._extend(state, ids[best : best + 1])
            chosen.append(int(ids[best]))
        ids = np.delete(ids, best)
    return np.array(chosen, np.int64)


class SieveStreaming:
    """One pass with thresholds; a deletion from a sieve reads that sieve's elements again.

    The baseline of the paper's predecessors: insertions are cheap, deletions are not.

    Args:
        oracle: the function.
        k: at most so many are chosen, at least 1.
        epsilon: ratio between neighbouring guesses of the best value, less 1; in (0, 1/2].

    Raises:
        RangeError: for a k or epsilon out of range.
    """

    def __init__(self, oracle: SubmodularOracle, k: int, epsilon: float = 0.2) -> None:
        """Start without elements."""
        self.oracle = oracle
        self.k = check_integer("k", k, low=1)
        self.epsilon = check_number("epsilon", epsilon, low=1e-3, high=0.5)
        self._singletons: dict[int, float] = {}
        self._largest: list[tuple[float, int]] = []
        self._sieves: dict[int, tuple[object, list[int]]] = {}

    def insert(self, element: int) -> None:
        """Let an element arrive.

        Raises:
            DataError: if it is there already.
            DTypeError, RangeError: if the oracle does not have it.
        """
        one = read_elements("elements", [element], self.oracle.n_elements)
        if element in self._singletons:
            raise DataError(f"element {element} is there already; delete it first")
        single = float(self.oracle._ask(self.oracle.empty(), one)[0])
        self._singletons[element] = single
        heappush(self._largest, (-single, element))
        for guess in self._guesses():
            if guess not in self._sieves:
                self._sieves[guess] = (self.oracle.empty(), [])
                self._read(guess, list(self._singletons))
            else:
                self._read(guess, [element])

    def delete(self, element: int) -> None:
        """Remove an element; sieves that hold it start again.

        Raises:
            DataError: if it is not there.
        """
        if self._singletons.pop(element, None) is None:
            raise DataError(f"element {element} is not there; insert it first")
        guesses = set(self._guesses())
        for guess in guesses | set(self._sieves):
            state, chosen = self._sieves.get(guess, (None, []))
            if guess not in guesses:
                del self._sieves[guess]
            elif state is None or element in chosen:
                self._sieves[guess] = (self.oracle.empty(), [])
                self._read(guess, list(self._singletons))

    def solution(self) -> Int[np.ndarray, "chosen"]:
        """Return the best sieve's elements."""
        sieves = self._sieves.values()
        best = max(sieves, key=lambda sieve: self.oracle._value(sieve[0]), default=(None, []))
        return np.array(best[1], np.int64)

    def value(self) -> float:
        """Return the value of the best sieve."""
        return max((self.oracle._value(state) for state, _ in self._sieves.values()), default=0.0)

    def _guesses(self) -> range:
        """Return the exponents of guesses from the largest single value to k times it."""
        while self._largest and self._singletons.get(self._largest[0][1]) != -self._largest[0][0]:
            heappop(self._largest)
        if not self._largest or self._largest[0][0] >= 0.0:
            return range(0)
        low, step = log(-self._largest[0][0]), log(1.0 + self.epsilon)
        return range(ceil(low / step - 1e-9), ceil((low + log(self.k)) / step - 1e-9) + 1)

    def _read(self, guess: int, elements: list[int]) -> None:
        state, chosen = self._sieves[guess]
        half = (1.0 + self.epsilon) ** guess / 2.0
        for element in elements:
            left = self.k - len(chosen)
            if not left:
                return
            wanted = (half - self.oracle._value(state)) / left
            if self._singletons[element] < wanted:
                continue  # gains only fall
            one = np.array([element], np.int64)
            gain = self._singletons[element] if not chosen else self.oracle._ask(state, one)[0]
            if gain >= wanted and gain > 0.0:
                self.oracle._extend(state, one)
                chosen.append(element)


def _read(oracle: SubmodularOracle, elements: Numbers, k: int) -> tuple[Ids, int]:
    ids = read_elements("elements", elements, oracle.n_elements)
    if np.unique(ids).size != ids.size:
        raise DataError("elements has repeats; wanted each element once")
    return ids, check_integer("k", k, low=1)
