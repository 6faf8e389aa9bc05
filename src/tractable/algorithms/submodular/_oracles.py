"""Set functions that answer with gains and count what they were asked."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from tractable._common.compiled import load_compiled
from tractable._core import DataError, DTypeError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Numbers = ArrayLike | Sequence[int]
"""Element numbers as a caller gives them: an array, a list, a tuple or a range."""

BLOCK = 1 << 20
"""Similarities that the NumPy loops compare at a time."""


def read_elements(name: str, elements: Numbers, size: int) -> Ids:
    """Return element numbers as int64, all of them within 0 to size - 1."""
    array = np.asarray(elements)
    if array.size == 0 and array.ndim == 1:
        return np.zeros(0, np.int64)
    array = as_array(name, array, ndim=1, kinds="iu")
    if int(array.min()) < 0 or int(array.max()) >= size:
        raise RangeError(
            f"{name} go from {array.min()} to {array.max()}; the oracle has 0 to {size - 1}"
        )
    return np.asarray(array, dtype=np.int64)


class SubmodularOracle(ABC):
    """A monotone submodular function of sets of elements 0 to n_elements - 1, with f(empty) = 0.

    A state stands for a set: gains are asked against it, and adding changes it in place. A
    subclass writes `empty`, `copy`, `_gains`, `_add` and `_value`; the count is kept here.

    Attributes:
        calls: how often f was evaluated. A gain is one evaluation, since f of the state is known;
            so is f of several elements added at once; adding a single one is none, because its
            gain was asked before.
    """

    def __init__(self, n_elements: int) -> None:
        """Start with nothing asked."""
        self.n_elements = check_integer("n_elements", n_elements, low=0)
        self.calls = 0

    @abstractmethod
    def empty(self) -> Any:
        """Return the state of the empty set."""

    @abstractmethod
    def copy(self, state: Any) -> Any:
        """Return a state that can change without changing the given one."""

    @abstractmethod
    def _gains(self, state: Any, elements: Ids) -> Floats:
        """Return f(state + e) - f(state) for every element e; 0 for one that is in the state."""

    @abstractmethod
    def _add(self, state: Any, elements: Ids) -> None:
        """Put elements into the state."""

    @abstractmethod
    def _value(self, state: Any) -> float:
        """Return f of the state; nothing is evaluated anew."""

    def gains(self, state: Any, elements: Numbers) -> Float[np.ndarray, "elements"]:
        """Ask for the gain of each element.

        Args:
            state: what `empty` or `copy` returned.
            elements: element numbers.

        Returns:
            f(state + e) - f(state) for each element e, in the elements' order.

        Raises:
            DTypeError: for elements that are not whole numbers.
            RangeError: for elements that the oracle does not have.
        """
        return self._ask(state, read_elements("elements", elements, self.n_elements))

    def gain(self, state: Any, element: int) -> float:
        """Ask for the gain of one element; see `gains`."""
        return float(self.gains(state, [element])[0])

    def add(self, state: Any, elements: Numbers) -> None:
        """Put one element or several into the state, in place.

        Raises:
            DTypeError, RangeError: as `gains`.
        """
        self._extend(state, read_elements("elements", np.atleast_1d(elements), self.n_elements))

    def value(self, elements: Numbers) -> float:
        """Evaluate f of a set, as one call.

        Raises:
            DTypeError, RangeError: as `gains`.
        """
        return self._evaluate(read_elements("elements", elements, self.n_elements))

    def _ask(self, state: Any, elements: Ids) -> Floats:
        """Return gains of elements that were checked before."""
        self._count(elements.size)
        return self._gains(state, elements)

    def _extend(self, state: Any, elements: Ids) -> None:
        if elements.size > 1:
            self._count(1)
        self._add(state, elements)

    def _evaluate(self, elements: Ids) -> float:
        self._count(1)
        state = self.empty()
        self._add(state, elements)
        return self._value(state)

    def _count(self, number: int) -> None:
        self.calls += number
        note("oracle queries", number)


class _Covered:
    """Which items are covered, and their weight."""

    def __init__(self, items: NDArray[np.bool_], value: float) -> None:
        self.items = items
        self.value = value


class CoverageOracle(SubmodularOracle):
    """The weight of the union of sets of items; element e is the e-th set.

    Args:
        indptr: (n + 1,) where each set starts in `indices`, as in a CSR matrix.
        indices: the items of all sets, one set after another; repeats within a set count once.
        weights: what each item is worth, at least 0; None makes all worth 1.

    Raises:
        DTypeError: for items or starts that are not whole numbers.
        ShapeError: for starts that do not fit the items.
        RangeError: for items below 0 or without a weight.
        DataError: for weights below 0, NaN or infinite.

    Example:
        >>> oracle = CoverageOracle([0, 2, 4, 5], [0, 1, 1, 2, 3])
        >>> oracle.value([0, 1]), oracle.gains(oracle.empty(), [0, 2]).tolist()
        (3.0, [2.0, 1.0])
    """

    def __init__(self, indptr: Numbers, indices: Numbers, weights: ArrayLike | None = None) -> None:
        """Check the sets and sort out repeats."""
        starts = as_array("indptr", indptr, ndim=1, kinds="iu").astype(np.int64)
        super().__init__(starts.size - 1)
        items = read_items(indices)
        if starts[0] != 0 or starts[-1] != items.size or (np.diff(starts) < 0).any():
            raise ShapeError(
                f"indptr goes from {starts[0]} to {starts[-1]} for {items.size} items; wanted it "
                "to rise from 0 to the number of items"
            )
        if weights is None:
            self._weights = np.ones(int(items.max(initial=-1)) + 1)
        else:
            self._weights = read_weights(weights)
            if items.max(initial=-1) >= self._weights.size:
                raise RangeError(
                    f"indices go up to {items.max()} and weights has {self._weights.size} entries; "
                    "wanted one weight an item"
                )
        owners = np.repeat(np.arange(self.n_elements), np.diff(starts))
        order = np.lexsort((items, owners))
        items, owners = items[order], owners[order]
        fresh = np.ones(items.size, np.bool_)
        fresh[1:] = (np.diff(items) != 0) | (np.diff(owners) != 0)
        sizes = np.bincount(owners[fresh], minlength=self.n_elements)
        self._indices = items[fresh]
        self._indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    @classmethod
    def from_sets(
        cls, sets: Iterable[Iterable[int]], weights: ArrayLike | None = None
    ) -> "CoverageOracle":
        """Take a list of sets of item numbers.

        Example:
            >>> CoverageOracle.from_sets([{0, 1}, {1, 2}]).value([0, 1])
            3.0
        """
        lists = [list(each) for each in sets]
        indptr = np.cumsum([0, *(len(each) for each in lists)])
        return cls(indptr, [item for each in lists for item in each], weights)

    def empty(self) -> _Covered:
        """Return the state without any item covered."""
        return _Covered(np.zeros(self._weights.size, np.bool_), 0.0)

    def copy(self, state: _Covered) -> _Covered:
        """Return an independent state of the same set."""
        return _Covered(state.items.copy(), state.value)

    def _gains(self, state: _Covered, elements: Ids) -> Floats:
        compiled = load_compiled(__package__)
        arguments = (self._indptr, self._indices, self._weights, state.items, elements)
        if compiled is not None:
            return np.asarray(compiled.gains_of_sets(*arguments))
        starts, sizes = self._indptr[elements], np.diff(self._indptr)[elements]
        owners = np.repeat(np.arange(elements.size), sizes)
        places = np.arange(owners.size) + np.repeat(starts - (np.cumsum(sizes) - sizes), sizes)
        items = self._indices[places]
        worth = np.where(state.items[items], 0.0, self._weights[items])
        return np.bincount(owners, worth, elements.size).astype(np.float64)

    def _add(self, state: _Covered, elements: Ids) -> None:
        compiled = load_compiled(__package__)
        if compiled is not None:
            arguments = (self._indptr, self._indices, self._weights, state.items, elements)
            state.value += float(compiled.cover(*arguments))
            return
        for element in elements:
            items = self._indices[self._indptr[element] : self._indptr[element + 1]]
            new = items[~state.items[items]]
            state.items[new] = True
            state.value += float(self._weights[new].sum())

    def _value(self, state: _Covered) -> float:
        return state.value


class FacilityLocationOracle(SubmodularOracle):
    """How well every point is served by its most similar chosen element, summed over points.

    Args:
        similarity: (n, points) similarity of each element to each point; what is below 0 serves
            nobody.

    Raises:
        DTypeError, ShapeError, DataError: for anything but a finite matrix of numbers.

    Example:
        >>> FacilityLocationOracle([[3.0, 0.0], [1.0, 2.0]]).value([0, 1])
        5.0
    """

    def __init__(self, similarity: ArrayLike) -> None:
        """Check and store the similarities."""
        matrix = as_array("similarity", similarity, ndim=2)
        self._similarity = np.ascontiguousarray(matrix, dtype=np.float64)
        super().__init__(matrix.shape[0])

    def empty(self) -> Floats:
        """Return the state in which nobody is served."""
        return np.zeros(self._similarity.shape[1])

    def copy(self, state: Floats) -> Floats:
        """Return an independent state of the same set."""
        return state.copy()

    def _gains(self, state: Floats, elements: Ids) -> Floats:
        compiled = load_compiled(__package__)
        if compiled is not None:
            return np.asarray(compiled.gains_of_facilities(self._similarity, state, elements))
        gains, rows = np.empty(elements.size), max(1, BLOCK // state.size)
        for first in range(0, elements.size, rows):
            part = self._similarity[elements[first : first + rows]]
            gains[first : first + rows] = np.maximum(part - state, 0.0).sum(axis=1)
        return gains

    def _add(self, state: Floats, elements: Ids) -> None:
        for element in elements:
            np.maximum(state, self._similarity[element], out=state)

    def _value(self, state: Floats) -> float:
        return float(state.sum())


class CallableOracle(SubmodularOracle):
    """Any function of a set of element numbers; every evaluation is counted, and none repeated.

    Args:
        function: takes a frozenset of ints and returns a number. It must be monotone and
            submodular, which is not checked; its value of the empty set is subtracted.
        n_elements: elements are 0 to n_elements - 1.

    Raises:
        DTypeError: for a function that cannot be called.
        DataError: when the function returns NaN, an infinity or no number.

    Example:
        >>> oracle = CallableOracle(lambda chosen: len({e % 3 for e in chosen}), 9)
        >>> oracle.value([0, 1, 3]), oracle.calls
        (2.0, 2)
    """

    def __init__(self, function: Callable[[frozenset[int]], float], n_elements: int) -> None:
        """Evaluate the empty set, which is one call."""
        if not callable(function):
            raise DTypeError(f"function is {type(function).__name__}; wanted something to call")
        super().__init__(n_elements)
        self._function = function
        self._nothing = 0.0
        self._singles: dict[int, float] = {}
        self._count(1)
        self._nothing = self._call(frozenset())

    def empty(self) -> "_Seen":
        """Return the state of the empty set."""
        return _Seen(frozenset(), 0.0, self._singles)

    def copy(self, state: "_Seen") -> "_Seen":
        """Return an independent state of the same set; what is known of it is shared."""
        return _Seen(state.members, state.value, state.values)

    def _gains(self, state: "_Seen", elements: Ids) -> Floats:
        numbers: Sequence[int] = elements.tolist()
        for element in numbers:
            state.values[element] = self._call(state.members | {element})
        return np.array([state.values[element] - state.value for element in numbers], np.float64)

    def _add(self, state: "_Seen", elements: Ids) -> None:
        joined = state.members.union(elements.tolist())
        known = state.values.get(int(elements[0])) if elements.size == 1 else None
        if known is None:
            if elements.size == 1:
                self._count(1)  # nobody asked for its gain, as `_extend` takes for granted
            known = self._call(joined)
        state.value = known
        state.members = joined
        state.values = {}

    def _value(self, state: "_Seen") -> float:
        return state.value

    def _evaluate(self, elements: Ids) -> float:
        self._count(1)
        return self._call(frozenset(elements.tolist()))

    def _call(self, members: frozenset[int]) -> float:
        try:
            value = float(self._function(members))
        except TypeError as error:
            raise DataError(f"function failed or returned no number: {error}") from error
        if not np.isfinite(value):
            raise DataError(f"function returned {value} for {sorted(members)[:9]}; wanted a number")
        return value - self._nothing


class _Seen:
    """Members of a set, its value, and the values of the sets with one more element."""

    def __init__(self, members: frozenset[int], value: float, values: dict[int, float]) -> None:
        self.members = members
        self.value = value
        self.values = values


def read_items(indices: Numbers) -> Int[np.ndarray, "items"]:
    """Return item numbers as int64, none below 0; none at all are fine."""
    array = np.asarray(indices)
    if array.size == 0:
        return np.zeros(0, np.int64)
    items = as_array("indices", array, ndim=1, kinds="iu")
    if int(items.min()) < 0:
        raise RangeError(f"indices go down to {items.min()}; wanted items from 0")
    return np.asarray(items, dtype=np.int64)


def read_weights(weights: ArrayLike) -> Floats:
    """Return weights as float64, none below 0."""
    array = as_array("weights", weights, ndim=1, empty=True).astype(np.float64)
    if array.size and array.min() < 0.0:
        raise DataError(f"weights go down to {array.min():g}; wanted none below 0")
    return array


def check_sigma(sigma: float) -> float:
    """Return the noise of a log-determinant, above 0."""
    return check_number("sigma", sigma, low=0.0, high=float("inf"), open_ends=True)
