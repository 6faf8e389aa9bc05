"""Observed entries, checked, line by line in both directions."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph

from tractable._core import DataError, DTypeError, ShapeError
from tractable._core.checks import as_array

Floats = NDArray[np.float64]
Matrix: TypeAlias = ArrayLike | sparse.sparray | sparse.spmatrix


class Side(NamedTuple):
    """Entries sorted by line: line i has `starts[i]` to `starts[i + 1]`."""

    starts: NDArray[np.int64]
    places: NDArray[np.int32]
    """Where in the line, ascending."""
    values: Floats

    @property
    def lines(self) -> int:
        """How many lines there are, empty ones included."""
        return self.starts.size - 1

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Entries of each line."""
        return np.diff(self.starts)

    def line(self, i: int) -> tuple[NDArray[np.int32], Floats]:
        """Return one line's places and values."""
        part = slice(self.starts[i], self.starts[i + 1])
        return self.places[part], self.values[part]


class Observed(NamedTuple):
    """Coordinates and values of the observed entries, each at most once."""

    row: NDArray[np.int64]
    column: NDArray[np.int64]
    values: Floats
    shape: tuple[int, int]

    def by_row(self) -> Side:
        """Sort by rows."""
        return _sort(self.row, self.column, self.values, self.shape)

    def by_column(self) -> Side:
        """Sort by columns."""
        return _sort(self.column, self.row, self.values, self.shape[::-1])

    def part(self, chosen: NDArray[np.int64]) -> "Observed":
        """Return some of the entries."""
        return Observed(self.row[chosen], self.column[chosen], self.values[chosen], self.shape)

    def parts(self) -> int:
        """Count the connected parts of the graph whose edges are entries, empty lines left out."""
        m, n = self.shape
        graph = sparse.csr_array(
            (np.ones(self.row.size, np.int8), (self.row, self.column + m)), shape=(m + n, m + n)
        )
        _, labels = csgraph.connected_components(graph, directed=False)
        return int(np.unique(labels[self.row]).size)


def read_observed(name: str, matrix: Matrix, *, entries: bool = True) -> Observed:
    """Read a dense matrix whose NaN are missing, or a sparse one whose stored entries count.

    Raises:
        ShapeError: for other than two axes, or no row or column.
        DTypeError: for entries that are no real numbers.
        DataError: for infinities, NaN that a sparse matrix stores, an entry stored twice, or,
            with `entries`, no entry at all.
    """
    if sparse.issparse(matrix):
        found = _read_sparse(name, matrix)
    else:
        array = as_array(name, matrix, ndim=2, finite=False)
        if np.isinf(array).any():
            raise DataError(f"{name} has infinite entries; wanted numbers, or NaN where missing")
        row, column = np.nonzero(~np.isnan(array))
        shape = (int(array.shape[0]), int(array.shape[1]))
        found = Observed(row, column, array[row, column].astype(np.float64), shape)
    if entries and not found.values.size:
        raise DataError(f"{name} has no observed entry; wanted at least one")
    return found


def _read_sparse(name: str, matrix: Any) -> Observed:
    coordinates = matrix.tocoo()
    shape = tuple(int(length) for length in coordinates.shape)
    if len(shape) != 2 or 0 in shape:
        raise ShapeError(f"{name} has shape {shape}; wanted 2 axes, neither of them empty")
    if coordinates.dtype.kind not in "fiu":
        raise DTypeError(f"{name} has dtype {coordinates.dtype}; wanted real numbers; convert it")
    values = coordinates.data.astype(np.float64)
    if not np.isfinite(values).all():
        raise DataError(
            f"{name} stores NaN or infinite entries; wanted missing entries left out of a sparse "
            "matrix"
        )
    row, column = (np.asarray(axis, np.int64) for axis in (coordinates.row, coordinates.col))
    key = row * shape[1] + column
    if np.unique(key).size < key.size:
        raise DataError(f"{name} stores an entry twice; call sum_duplicates() or drop one first")
    return Observed(row, column, values, (shape[0], shape[1]))


def _sort(
    line: NDArray[np.int64], place: NDArray[np.int64], values: Floats, shape: tuple[int, int]
) -> Side:
    table = sparse.csr_array((values, (line, place)), shape=shape)
    table.sort_indices()
    return Side(table.indptr.astype(np.int64), table.indices.astype(np.int32), table.data)
