"""A summary of a stream of rows as a scikit-learn estimator; needs the extra `sklearn`."""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from tractable._core import DataError
from tractable._core.checks import check_integer, check_number
from tractable.algorithms.submodular._determinant import KernelOracle
from tractable.algorithms.submodular._dynamic import DynamicSubmodularMaximizer
from tractable.algorithms.submodular._oracles import (
    Floats,
    Ids,
    Numbers,
    check_sigma,
    read_elements,
)

__all__ = ["StreamSummarizer"]


class StreamSummarizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn has no types
    """Keep a few rows of a stream that differ as much as possible, while old rows expire.

    The rows are chosen by log det(I + K / sigma^2) with an RBF kernel K, by
    `DynamicSubmodularMaximizer`; after a change they are not chosen again from scratch. Memory is
    that of the rows that count, times a logarithm.

    Args:
        n_items: at most so many rows are kept, at least 1.
        window: only the last `window` rows count; None counts all.
        gamma: of the kernel exp(-gamma |x - y|^2), above 0; None takes 1 / (features * variance)
            of the first batch.
        sigma: noise, above 0; small values ask for more diversity.
        epsilon: accuracy of the selection, from 0.001 to 1/2.
        random_state: a seed, a `RandomState`, or None.

    Attributes:
        items_: (at most n_items, features) the chosen rows, oldest first.
        indices_: where in the stream they stood, counted from 0.
        n_seen_: rows seen.
        value_: the chosen rows' log-determinant.
        n_features_in_: width of the rows.

    Example:
        >>> import numpy as np
        >>> rows = np.repeat([[0.0], [5.0], [9.0]], 40, axis=0)
        >>> summary = StreamSummarizer(n_items=3, random_state=0).fit(rows)
        >>> sorted(set(summary.items_.ravel().tolist()))
        [0.0, 5.0, 9.0]
        >>> summary.forget(range(40)).items_.min()
        np.float64(5.0)
    """

    n_seen_: int

    def __init__(
        self,
        n_items: int = 10,
        *,
        window: int | None = None,
        gamma: float | None = None,
        sigma: float = 0.5,
        epsilon: float = 0.2,
        random_state: Any = None,
    ) -> None:
        """Store the parameters; they are checked by `fit`."""
        self.n_items = n_items
        self.window = window
        self.gamma = gamma
        self.sigma = sigma
        self.epsilon = epsilon
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> "StreamSummarizer":
        """Forget everything and read rows.

        Args:
            X: (rows, features) finite numbers.
            y: ignored.

        Raises:
            ValueError: for anything else, and for parameters out of range.
        """
        if hasattr(self, "_maximizer"):
            del self._maximizer
        return self.partial_fit(X)

    def partial_fit(self, X: ArrayLike, y: Any = None) -> "StreamSummarizer":
        """Read further rows; with a window, the oldest ones expire.

        Raises:
            ValueError: as `fit`, and for another number of features.
        """
        fresh = not hasattr(self, "_maximizer")
        rows = validate_data(self, X, dtype=np.float64, reset=fresh)
        if fresh:
            self._start(rows)
        seen = self.n_seen_ + rows.shape[0]
        oldest = 0 if self.window is None else max(0, seen - self.window)
        first = max(self.n_seen_, oldest)
        expired = sorted(number for number in self._alive if number < oldest)
        self._alive.difference_update(expired)
        self._alive.update(range(first, seen))
        self._oracle.append(rows[first - self.n_seen_ :], first, min(self._alive))
        self._maximizer.update(insert=np.arange(first, seen), delete=expired)
        self.n_seen_ = seen
        return self._publish()

    def forget(self, indices: Numbers) -> "StreamSummarizer":
        """Remove rows from what is summarised, as when somebody asks for their deletion.

        Args:
            indices: positions in the stream, counted from 0.

        Raises:
            DataError: for rows that expired, were forgotten, or were never seen.
        """
        check_is_fitted(self)
        numbers = read_elements("indices", indices, self._oracle.n_elements).tolist()
        unknown = [number for number in numbers if number not in self._alive]
        if unknown:
            raise DataError(f"row {unknown[0]} is not among the rows that count; leave it out")
        self._maximizer.update(delete=numbers)
        self._alive.difference_update(numbers)
        return self._publish()

    def transform(self, X: ArrayLike) -> Float[np.ndarray, "rows items"]:
        """Return the kernel between rows and the summary.

        Args:
            X: (rows, features).

        Returns:
            One column a chosen row, between 0 and 1.

        Raises:
            ValueError: for another number of features, or before `fit`.
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=np.float64, reset=False)
        if not len(self.items_):
            return np.zeros((len(rows), 0))
        return np.asarray(np.exp(-self._oracle.gamma * cdist(rows, self.items_, "sqeuclidean")))

    @property
    def _n_features_out(self) -> int:
        return len(self.items_)

    def _start(self, rows: Floats) -> None:
        if self.window is not None:
            check_integer("window", self.window, low=1)
        if self.gamma is None:
            spread = rows.shape[1] * float(rows.var())
            gamma = 1.0 / spread if np.isfinite(spread) and spread > 0.0 else 1.0
        else:
            gamma = check_number("gamma", self.gamma, low=0.0, high=float("inf"), open_ends=True)
        self._oracle = _RowOracle(rows.shape[1], gamma, check_sigma(self.sigma))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._maximizer = DynamicSubmodularMaximizer(
            self._oracle, self.n_items, self.epsilon, rng=seed
        )
        self._alive: set[int] = set()
        self.n_seen_ = 0

    def _publish(self) -> "StreamSummarizer":
        self.indices_ = self._maximizer.solution()
        self.items_ = self._oracle._rows(self.indices_)
        self.value_ = self._maximizer.value()
        return self


class _RowOracle(KernelOracle):
    """Rows under their positions in a stream; those before the oldest that counts are let go."""

    def __init__(self, width: int, gamma: float, sigma: float) -> None:
        super().__init__(2**62)
        self.gamma, self._scale = gamma, sigma**-2
        self._data = np.zeros((0, width))
        self._start = self._stop = 0  # positions that _data holds

    def append(self, rows: Floats, first: int, oldest: int) -> None:
        """Store rows from position `first` on; earlier ones than `oldest` may go."""
        held = self._data[max(0, oldest - self._start) : self._stop - self._start]
        room = first + len(rows) - self._start
        if room > len(self._data):
            data = np.zeros((2 * (len(held) + len(rows)), rows.shape[1]))
            data[: len(held)] = held
            self._start = first - len(held)
            self._data = data
        self._data[first - self._start : first - self._start + len(rows)] = rows
        self._stop = first + len(rows)

    def _rows(self, elements: Ids) -> NDArray[Any]:
        return np.asarray(self._data[elements - self._start])

    def _against(self, rows: NDArray[Any], elements: Ids) -> Floats:
        if not len(rows) or not elements.size:
            return np.zeros((len(rows), elements.size))
        squares = cdist(rows, self._rows(elements), "sqeuclidean")
        return np.asarray(self._scale * np.exp(-self.gamma * squares))

    def _diagonal(self, elements: Ids) -> Floats:
        return np.full(elements.size, self._scale)
