"""The schedules themselves: real attention, computed on tiles of the simulated cache alone."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from tractable._core import DataError, DTypeError, ShapeError, note
from tractable._core.checks import as_array, check_number
from tractable.attention.io._counts import (
    Order,
    Variant,
    flash_blocks,
    square_block,
    standard_block,
)
from tractable.attention.io._memory import IOCount, Tile, TwoLevelMemory

__all__ = ["reference", "run_flash", "run_square_tiling", "run_standard"]


def run_flash(
    query: Float[np.ndarray, "n d"],
    key: Float[np.ndarray, "n d"],
    value: Float[np.ndarray, "n d"],
    capacity: int,
    *,
    order: Order = "q_outer",
    block_q: int | None = None,
    block_kv: int | None = None,
    scale: float | None = None,
    is_causal: bool = False,
) -> tuple[Float[np.ndarray, "n d"], IOCount]:
    """Run fused attention, which never writes scores, on the simulated cache.

    "q_outer" keeps a block of queries and its output and streams keys and values past it: optimal
    up to a constant for M >= d². "kv_outer" is the loop of 2022: keys and values stay, queries
    and outputs stream, and outputs are read and written again at every pass.

    Args:
        query, key, value: one head, n positions of width d, floats without NaN or infinities.
        capacity: M, words in the cache; at least 3d + 3, or 4d + 3 for "kv_outer".
        order: which loop is outside.
        block_q: queries a block; None takes the number that moves least.
        block_kv: keys a block; None takes what fits beside.
        scale: factor on the scores; None takes 1/√d.
        is_causal: skip blocks of keys after the last query of a block ("q_outer" only).

    Returns:
        The output, in the dtype of the query, and the words moved. `tractable.count()` hears
        them as "bytes moved", a word being one item of the query.

    Raises:
        ShapeError: unless all three arrays have the same two axes.
        DTypeError: unless all three have the same floating dtype.
        DataError: for NaN, infinities, or products that overflow.
        RangeError: for parameters out of range.
        CacheOverflowError: if the blocks do not fit.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> q, k, v = rng.standard_normal((3, 16, 4))
        >>> output, moved = run_flash(q, k, v, capacity=64)
        >>> bool(np.allclose(output, reference(q, k, v))), moved
        (True, IOCount(reads=576, writes=64, peak=64))
    """
    head = _Head(query, key, value, scale)
    rows, columns = flash_blocks(
        head.length,
        head.width,
        capacity,
        order=order,
        block_q=block_q,
        block_kv=block_kv,
        is_causal=is_causal,
    )
    memory = TwoLevelMemory(capacity)
    if order == "q_outer":
        flash_q_outer(memory, head, rows, columns, is_causal)
    else:
        flash_kv_outer(memory, head, rows, columns)
    return head.finish(memory)


def run_square_tiling(
    query: Float[np.ndarray, "n d"],
    key: Float[np.ndarray, "n d"],
    value: Float[np.ndarray, "n d"],
    capacity: int,
    *,
    variant: Variant = "outer_product",
    block: int | None = None,
    scale: float | None = None,
) -> tuple[Float[np.ndarray, "n d"], IOCount]:
    """Run the paper's schedule for small caches (M < d²), which tiles the width as well.

    Scores are made in square tiles, summed over pieces of the width, and written; each row's
    maximum and sum are kept meanwhile. A second phase reads the scores, exponentiates them in the
    cache and multiplies them with the values, in square tiles again.

    Args:
        query, key, value, scale: as in `run_flash`.
        capacity: M, words in the cache, at least 4.
        variant: "paper" holds three square tiles of side √(M/4); "outer_product" holds one, of
            side about √M, and streams single columns past it: about half as many words.
        block: side of the tiles; None takes the largest that fit.

    Returns:
        As `run_flash`.

    Raises:
        ShapeError, DTypeError, DataError, RangeError, CacheOverflowError: as `run_flash`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> q, k, v = rng.standard_normal((3, 16, 8))
        >>> output, moved = run_square_tiling(q, k, v, capacity=21)
        >>> bool(np.allclose(output, reference(q, k, v))), moved
        (True, IOCount(reads=3296, writes=576, peak=18))
    """
    head = _Head(query, key, value, scale)
    side, step = square_block(head.length, head.width, capacity, variant, block)
    memory = TwoLevelMemory(capacity)
    square_tiling(memory, head, side, step)
    return head.finish(memory)


def run_standard(
    query: Float[np.ndarray, "n d"],
    key: Float[np.ndarray, "n d"],
    value: Float[np.ndarray, "n d"],
    capacity: int,
    *,
    block: int | None = None,
    scale: float | None = None,
) -> tuple[Float[np.ndarray, "n d"], IOCount]:
    """Run attention as three separate passes, which write scores and weights.

    Args:
        query, key, value, scale: as in `run_flash`.
        capacity: M, words in the cache, at least 3.
        block: side of the tiles of both products; None takes the largest that fit, 1 is the
            naive loop, whose traffic no cache reduces.

    Returns:
        As `run_flash`.

    Raises:
        ShapeError, DTypeError, DataError, RangeError, CacheOverflowError: as `run_flash`.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> q, k, v = rng.standard_normal((3, 16, 8))
        >>> run_standard(q, k, v, capacity=24)[1].total
        2944
    """
    head = _Head(query, key, value, scale)
    side = standard_block(head.length, head.width, capacity, block)
    memory = TwoLevelMemory(capacity)
    standard(memory, head, side)
    return head.finish(memory)


def reference(
    query: Float[np.ndarray, "n d"],
    key: Float[np.ndarray, "n d"],
    value: Float[np.ndarray, "n d"],
    *,
    scale: float | None = None,
    is_causal: bool = False,
) -> Float[np.ndarray, "n d"]:
    """Attention by its formula, without a cache: what every schedule must equal."""
    n, d = query.shape
    scores = query @ key.T * (d**-0.5 if scale is None else scale)
    if is_causal:
        scores = np.where(np.tri(n, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(1, keepdims=True))
    result: NDArray[Any] = weights @ value / weights.sum(1, keepdims=True)
    return result


class _Head:
    """Checked inputs in the slow memory, float64 so that rounding hides nothing, and the output."""

    def __init__(self, query: object, key: object, value: object, scale: float | None) -> None:
        named = {"query": query, "key": key, "value": value}
        arrays = [as_array(name, array, ndim=2, kinds="f") for name, array in named.items()]  # type: ignore[arg-type]  # as_array refuses the rest
        if len({array.shape for array in arrays}) > 1:
            shapes = ", ".join(str(array.shape) for array in arrays)
            raise ShapeError(f"query, key and value have shapes {shapes}; wanted the same")
        if len({array.dtype for array in arrays}) > 1:
            dtypes = ", ".join(str(array.dtype) for array in arrays)
            raise DTypeError(f"query, key and value have dtypes {dtypes}; wanted the same")
        self.dtype = arrays[0].dtype
        self.query, self.key, self.value = (array.astype(np.float64) for array in arrays)
        self.output = np.empty_like(self.value)
        self.length, self.width = map(int, self.query.shape)
        self.scale = self.width**-0.5 if scale is None else check_number("scale", scale)
        self._refuse_overflow()

    def _refuse_overflow(self) -> None:
        n, d = self.length, self.width
        widest = [float(np.abs(array).max()) for array in (self.query, self.key, self.value)]
        # Python's floats overflow to infinity in products without a warning.
        scores = widest[0] * widest[1] * d * max(1.0, abs(self.scale))
        if not (np.isfinite(2 * scores) and np.isfinite(widest[2] * n)):
            raise DataError(
                f"entries as large as {max(widest):.3g} overflow in the products; divide them down"
            )

    def finish(self, memory: TwoLevelMemory) -> tuple[NDArray[Any], IOCount]:
        """Return the output and the counts, and report the bytes."""
        note("bytes moved", memory.counted.total * self.dtype.itemsize)
        return self.output.astype(self.dtype), memory.counted


def _blocks(length: int, block: int) -> Iterator[slice]:
    for start in range(0, length, block):
        yield slice(start, min(start + block, length))


def _size(part: slice) -> int:
    return int(part.stop - part.start)


def flash_q_outer(
    memory: TwoLevelMemory, head: _Head, block_q: int, block_kv: int, is_causal: bool = False
) -> None:
    """Stream keys and values past each block of queries."""
    n, d = head.length, head.width
    for rows in _blocks(n, block_q):
        query = memory.load(head.query, rows)
        output = memory.alloc((_size(rows), d))
        maxima, sums = memory.alloc((_size(rows),), -np.inf), memory.alloc((_size(rows),))
        for columns in _blocks(n, block_kv):
            if is_causal and columns.start >= rows.stop:
                break
            key = memory.load(head.key, columns)
            scores = memory.alloc((_size(rows), _size(columns)))
            scores.data[:] = query.data @ key.data.T * head.scale
            memory.free(key)
            if is_causal:
                _hide_later(scores, rows, columns)
            value = memory.load(head.value, columns)
            _fold(scores, value, output, maxima, sums)
            memory.free(value, scores)
        output.data[:] /= sums.data[:, None]
        memory.store(output, head.output, rows)
        memory.free(query, output, maxima, sums)


def flash_kv_outer(memory: TwoLevelMemory, head: _Head, block_q: int, block_kv: int) -> None:
    """Stream queries and outputs past each block of keys, as the loop of 2022 does."""
    n, d = head.length, head.width
    slow_maxima, slow_sums = np.empty(n), np.empty(n)
    for columns in _blocks(n, block_kv):
        first, last = columns.start == 0, columns.stop == n
        key, value = memory.load(head.key, columns), memory.load(head.value, columns)
        for rows in _blocks(n, block_q):
            query = memory.load(head.query, rows)
            if first:
                output = memory.alloc((_size(rows), d))
                maxima, sums = memory.alloc((_size(rows),), -np.inf), memory.alloc((_size(rows),))
            else:
                output = memory.load(head.output, rows)
                maxima, sums = memory.load(slow_maxima, rows), memory.load(slow_sums, rows)
            scores = memory.alloc((_size(rows), _size(columns)))
            scores.data[:] = query.data @ key.data.T * head.scale
            _fold(scores, value, output, maxima, sums)
            if last:
                output.data[:] /= sums.data[:, None]
            else:
                memory.store(maxima, slow_maxima, rows)
                memory.store(sums, slow_sums, rows)
            memory.store(output, head.output, rows)
            memory.free(query, output, maxima, sums, scores)
        memory.free(key, value)


def square_tiling(memory: TwoLevelMemory, head: _Head, side: int, step: int) -> None:
    """Write scores in square tiles, then read them and multiply with the values."""
    n, d = head.length, head.width
    slow_scores, slow_maxima, slow_sums = np.empty((n, n)), np.empty(n), np.empty(n)
    for rows in _blocks(n, side):
        for columns in _blocks(n, side):
            scores = _sum_scores(memory, head, rows, columns, step)
            # Two vectors that wait outside leave room for larger tiles, which is worth more.
            if columns.start:
                maxima, sums = memory.load(slow_maxima, rows), memory.load(slow_sums, rows)
            else:
                maxima, sums = memory.alloc((_size(rows),), -np.inf), memory.alloc((_size(rows),))
            _update(scores.data, maxima.data, sums.data)
            memory.store(scores, slow_scores, (rows, columns))
            memory.store(maxima, slow_maxima, rows)
            memory.store(sums, slow_sums, rows)
            memory.free(scores, maxima, sums)
    for rows in _blocks(n, side):
        maxima = memory.load(slow_maxima, rows)
        for width in _blocks(d, side):
            output = memory.alloc((_size(rows), _size(width)))
            for columns in _blocks(n, step):
                value = memory.load(head.value, (columns, width))
                place = (rows, columns)
                _add_weighted(memory, slow_scores, place, value=value, maxima=maxima, output=output)
                memory.free(value)
            sums = memory.load(slow_sums, rows)
            output.data[:] /= sums.data[:, None]
            memory.store(output, head.output, (rows, width))
            memory.free(output, sums)
        memory.free(maxima)


def _add_weighted(
    memory: TwoLevelMemory,
    slow_scores: NDArray[Any],
    place: tuple[slice, slice],
    *,
    value: Tile,
    maxima: Tile,
    output: Tile,
) -> None:
    """Add exponentiated scores times values, as many rows at once as the cache has room for."""
    rows, columns = place
    room = (memory.capacity - memory.resident) // _size(columns)
    for part in _blocks(_size(rows), min(room, _size(rows))):
        taken = slice(rows.start + part.start, rows.start + part.stop)
        weights = memory.load(slow_scores, (taken, columns))
        weights.data[:] = np.exp(weights.data - maxima.data[part, None])
        output.data[part] += weights.data @ value.data
        memory.free(weights)


def standard(memory: TwoLevelMemory, head: _Head, side: int) -> None:
    """Write scores, turn them into weights, multiply with the values: three passes."""
    n, d = head.length, head.width
    slow_scores, slow_weights = np.empty((n, n)), np.empty((n, n))
    for rows in _blocks(n, side):
        for columns in _blocks(n, side):
            scores = _sum_scores(memory, head, rows, columns, 1)
            memory.store(scores, slow_scores, (rows, columns))
            memory.free(scores)
    for row in _blocks(n, 1):
        _weigh_row(memory, slow_scores, slow_weights, row)
    for rows in _blocks(n, side):
        for width in _blocks(d, side):
            output = memory.alloc((_size(rows), _size(width)))
            for columns in _blocks(n, 1):
                weights = memory.load(slow_weights, (rows, columns))
                value = memory.load(head.value, (columns, width))
                output.data[:] += weights.data @ value.data
                memory.free(weights, value)
            memory.store(output, head.output, (rows, width))
            memory.free(output)


def _weigh_row(
    memory: TwoLevelMemory, scores: NDArray[Any], weights: NDArray[Any], row: slice
) -> None:
    """Softmax of one row; a row that does not fit is read twice."""
    n = scores.shape[1]
    chunk = min(n, memory.capacity - 2)
    maximum, total = memory.alloc((1,), -np.inf), memory.alloc((1,))
    for columns in _blocks(n, chunk):
        part = memory.load(scores, (row, columns))
        _update(part.data, maximum.data, total.data)
        if chunk < n:
            memory.free(part)
    for columns in _blocks(n, chunk):
        if chunk < n:
            part = memory.load(scores, (row, columns))
        part.data[:] = np.exp(part.data - maximum.data[0]) / total.data[0]
        memory.store(part, weights, (row, columns))
        memory.free(part)
    memory.free(maximum, total)


def _sum_scores(
    memory: TwoLevelMemory, head: _Head, rows: slice, columns: slice, step: int
) -> Tile:
    """One tile of scores, summed over pieces of the width."""
    scores = memory.alloc((_size(rows), _size(columns)))
    for width in _blocks(head.width, step):
        query = memory.load(head.query, (rows, width))
        key = memory.load(head.key, (columns, width))
        scores.data[:] += query.data @ key.data.T
        memory.free(query, key)
    scores.data[:] *= head.scale
    return scores


def _hide_later(scores: Tile, rows: slice, columns: slice) -> None:
    later = np.arange(columns.start, columns.stop) > np.arange(rows.start, rows.stop)[:, None]
    scores.data[later] = -np.inf


def _update(scores: NDArray[Any], maxima: NDArray[Any], sums: NDArray[Any]) -> NDArray[Any]:
    """Take new scores into the maximum and the sum of each row; return the old ones' factor."""
    larger = np.maximum(maxima, scores.max(1))
    factor: NDArray[Any] = np.exp(maxima - larger)
    sums *= factor
    sums += np.exp(scores - larger[:, None]).sum(1)
    maxima[:] = larger
    return factor


def _fold(scores: Tile, value: Tile, output: Tile, maxima: Tile, sums: Tile) -> None:
    """Add a block of keys to an output that is not divided by its sums yet."""
    factor = _update(scores.data, maxima.data, sums.data)
    scores.data[:] = np.exp(scores.data - maxima.data[:, None])
    output.data[:] *= factor[:, None]
    output.data[:] += scores.data @ value.data
