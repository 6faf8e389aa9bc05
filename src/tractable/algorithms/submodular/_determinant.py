"""Log-determinants: the information that noisy observations of a Gaussian process give."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, ShapeError
from tractable._core.checks import as_array
from tractable.algorithms.submodular._oracles import Floats, Ids, SubmodularOracle, check_sigma


class Factor:
    """The chosen elements and the inverse of the Cholesky factor of I + K / sigma^2.

    Args:
        rows: what the oracle needs of each chosen element; grows like the inverse.
    """

    def __init__(self, rows: NDArray[Any]) -> None:
        """Start with nothing chosen."""
        self.size = 0
        self.elements = np.full(8, -1, np.int64)
        self.rows = np.zeros((8, *rows.shape[1:]), rows.dtype)
        self.inverse = np.zeros((8, 8))
        self.value = 0.0

    def copy(self) -> "Factor":
        """Return an independent state."""
        made = Factor.__new__(Factor)
        made.size, made.value = self.size, self.value
        made.elements, made.rows = self.elements.copy(), self.rows.copy()
        made.inverse = self.inverse.copy()
        return made

    def append(self, element: int, row: NDArray[Any], column: Floats, rest: float) -> None:
        """Add a row: `column` is the factor's new row, `rest` the squared entry on its diagonal."""
        if self.size == self.elements.size:
            self._grow()
        at, root = self.size, np.sqrt(rest)
        self.elements[at], self.rows[at : at + 1] = element, row
        self.inverse[at, :at] = -(column @ self.inverse[:at, :at]) / root
        self.inverse[at, at] = 1.0 / root
        self.size += 1
        self.value += float(np.log(rest))

    def _grow(self) -> None:
        old = self.size
        self.elements = np.concatenate([self.elements, np.full(old, -1, np.int64)])
        self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)])
        larger = np.zeros((2 * old, 2 * old))
        larger[:old, :old] = self.inverse
        self.inverse = larger


class KernelOracle(SubmodularOracle):
    """log det(I + K / sigma^2) over the chosen elements, for any way to compute K.

    A subclass writes `_rows`, `_against` and `_diagonal`, all divided by sigma^2.
    """

    def _rows(self, elements: Ids) -> NDArray[Any]:
        """Return what is kept of each element in a state."""
        raise NotImplementedError

    def _against(self, rows: NDArray[Any], elements: Ids) -> Floats:
        """Return the kernel between the rows of a state and elements."""
        raise NotImplementedError

    def _diagonal(self, elements: Ids) -> Floats:
        """Return the kernel of each element with itself."""
        raise NotImplementedError

    def empty(self) -> Factor:
        """Return the state without elements."""
        return Factor(self._rows(np.zeros(0, np.int64)))

    def copy(self, state: Factor) -> Factor:
        """Return an independent state of the same set."""
        return state.copy()

    def _project(self, state: Factor, elements: Ids) -> tuple[Floats, Floats]:
        """Return new rows of the factor, and the squares left for its diagonal."""
        at = state.size
        columns = state.inverse[:at, :at] @ self._against(state.rows[:at], elements)
        rest = 1.0 + self._diagonal(elements) - np.einsum("ij,ij->j", columns, columns)
        # I + K has no eigenvalue below 1, so that only rounding could bring this lower.
        return columns, np.maximum(rest, 1.0)

    def _gains(self, state: Factor, elements: Ids) -> Floats:
        gains = np.log(self._project(state, elements)[1])
        gains[(elements[:, None] == state.elements[: state.size]).any(axis=1)] = 0.0
        return np.asarray(gains)

    def _add(self, state: Factor, elements: Ids) -> None:
        for element in elements:
            if (state.elements[: state.size] == element).any():
                continue
            one = np.array([element], np.int64)
            columns, rest = self._project(state, one)
            state.append(int(element), self._rows(one), columns[:, 0], float(rest[0]))

    def _value(self, state: Factor) -> float:
        return state.value


class LogDetOracle(KernelOracle):
    """How diverse elements are: log det(I + K / sigma^2) over the chosen ones.

    Args:
        kernel: (n, n) symmetric and positive semi-definite (the latter is not checked).
        sigma: the noise, above 0; small values ask for more diversity.

    Raises:
        ShapeError, DTypeError, DataError: for a kernel that is not square, symmetric and finite,
            or has entries below 0 on its diagonal.
        RangeError: for a sigma out of range.

    Example:
        >>> import numpy as np
        >>> oracle = LogDetOracle(np.eye(3), 1.0)
        >>> round(oracle.value([0, 2]), 6) == round(2 * float(np.log(2)), 6)
        True
    """

    def __init__(self, kernel: ArrayLike, sigma: float = 1.0) -> None:
        """Check the kernel and divide it by the noise."""
        matrix = as_array("kernel", kernel, ndim=2).astype(np.float64)
        if matrix.shape[0] != matrix.shape[1]:
            raise ShapeError(f"kernel has shape {matrix.shape}; wanted a square one")
        scale = float(np.abs(matrix).max())
        if np.abs(matrix - matrix.T).max() > 1e-8 * scale or matrix.diagonal().min() < 0.0:
            raise DataError(
                "kernel is not symmetric or has entries below 0 on its diagonal; wanted a positive "
                "semi-definite matrix"
            )
        self._kernel = np.ascontiguousarray(matrix / check_sigma(sigma) / sigma)
        super().__init__(matrix.shape[0])

    def _rows(self, elements: Ids) -> NDArray[Any]:
        return elements.copy()

    def _against(self, rows: NDArray[Any], elements: Ids) -> Floats:
        return np.asarray(self._kernel[rows[:, None], elements])

    def _diagonal(self, elements: Ids) -> Floats:
        return np.asarray(self._kernel[elements, elements])
