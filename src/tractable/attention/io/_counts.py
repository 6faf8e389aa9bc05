"""What each schedule moves, in closed form: the simulator counts the very same words."""

import math
from typing import Literal, NamedTuple

from tractable._core import RangeError
from tractable._core.checks import check_integer
from tractable.attention.io._memory import CacheOverflowError, IOCount

__all__ = [
    "LowerBound",
    "Order",
    "Variant",
    "io_flash",
    "io_lower_bound",
    "io_square_tiling",
    "io_standard",
]

Order = Literal["q_outer", "kv_outer"]
Variant = Literal["paper", "outer_product"]


class LowerBound(NamedTuple):
    """Words that no schedule goes below.

    Args:
        value: the largest of the terms.
        terms: each bound by name: "inputs", "large cache", "small cache".
    """

    value: int
    terms: dict[str, int]


def io_lower_bound(n: int, d: int, capacity: int, *, is_causal: bool = False) -> LowerBound:
    """Bound from below the words that any schedule moves, with explicit constants.

    "inputs": 4nd, since queries, keys and values are read and the output is written.

    "large cache": min(n²d²/M, n²/2) - M, the paper's argument. In a stretch of M moves, a score
    is computed from words of a dominator of 2M words: either one word inside the score's own sum,
    or all d words of its query and of its key. With x words spent inside sums, at most
    x + ((2M - x) / 2d)² scores are done, which is largest at an end: max(2M, M²/d²).

    "small cache": 2n²d/√M - 2M - n², the bound of Smith and others (2019) on the product of
    queries and keys, less n² since scores need not be written. It holds for schedules that do no
    product twice and is left out of causal attention.

    Args:
        n: sequence length, at least 1.
        d: width of a head, at least 1.
        capacity: M, words in the cache, at least 1.
        is_causal: whether queries see earlier keys only.

    Raises:
        DTypeError, RangeError: for sizes that are no whole numbers of at least 1.

    Example:
        >>> io_lower_bound(4096, 64, 4096).terms
        {'inputs': 1048576, 'large cache': 8384512, 'small cache': 16769024}
    """
    n, d, M = check_sizes(n, d, capacity)
    scores = n * (n + 1) // 2 if is_causal else n * n
    terms = {
        "inputs": 4 * n * d,
        "large cache": max(0, min(_divide_up(scores * d * d, M), _divide_up(scores, 2)) - M),
    }
    if not is_causal:
        product = math.isqrt(4 * scores * scores * d * d // M)
        terms["small cache"] = max(0, product - 2 * M - scores)
    return LowerBound(max(terms.values()), terms)


def io_flash(
    n: int,
    d: int,
    capacity: int,
    *,
    order: Order = "q_outer",
    block_q: int | None = None,
    block_kv: int | None = None,
    is_causal: bool = False,
) -> IOCount:
    """Count what `run_flash` moves, exactly, without running it.

    Args:
        n, d, capacity: as in `io_lower_bound`.
        order, block_q, block_kv, is_causal: as in `run_flash`.

    Raises:
        DTypeError, RangeError: for sizes that are no whole numbers of at least 1.
        CacheOverflowError: if the blocks do not fit.

    Example:
        >>> io_flash(4096, 64, 4096).total / (4096 * 64)
        276.0
    """
    rows, columns = flash_blocks(
        n, d, capacity, order=order, block_q=block_q, block_kv=block_kv, is_causal=is_causal
    )
    # The last block may be shorter, but the first is whole.
    rows, columns = min(rows, n), min(columns, n)
    statistics = 2 * rows
    if order == "q_outer":
        keys = _causal_keys(n, rows, columns) if is_causal else n * _divide_up(n, rows)
        peak = 2 * rows * d + columns * d + rows * columns + statistics
        return IOCount(n * d + 2 * d * keys, n * d, peak)
    passes = _divide_up(n, columns)
    again = (passes - 1) * 2 * n
    reads = 2 * n * d + passes * n * d + (passes - 1) * n * d + again
    peak = 2 * rows * d + 2 * columns * d + rows * columns + statistics
    return IOCount(reads, passes * n * d + again, peak)


def io_square_tiling(
    n: int, d: int, capacity: int, *, variant: Variant = "outer_product", block: int | None = None
) -> IOCount:
    """Count what `run_square_tiling` moves, exactly, without running it.

    Args:
        n, d, capacity: as in `io_lower_bound`.
        variant, block: as in `run_square_tiling`.

    Raises:
        DTypeError, RangeError: for sizes that are no whole numbers of at least 1.
        CacheOverflowError: if the tiles do not fit.

    Example:
        >>> io_square_tiling(64, 16, 64, variant="paper")
        IOCount(reads=67776, writes=7168, peak=52)
    """
    block, step = square_block(n, d, capacity, variant, block)
    bands = _divide_up(n, block)
    pieces = _divide_up(d, block)
    statistics = 2 * n * (bands - 1) + n + n * pieces
    reads = 3 * n * d * bands + n * n * pieces + statistics
    rows, width, streamed = min(block, n), min(block, d), min(step, n)
    scores = rows * rows + 2 * rows * max(1, min(step, d))
    output = rows * width + rows + width * streamed
    room = min(rows, (capacity - output) // streamed)
    peak = max(scores, output + room * streamed, rows * width + 2 * rows)
    return IOCount(reads, n * n + 2 * n * bands + n * d, peak)


def io_standard(n: int, d: int, capacity: int, *, block: int | None = None) -> IOCount:
    """Count what `run_standard` moves, exactly, without running it.

    Args:
        n, d, capacity: as in `io_lower_bound`.
        block: as in `run_standard`.

    Raises:
        DTypeError, RangeError: for sizes that are no whole numbers of at least 1.
        CacheOverflowError: if the tiles do not fit.

    Example:
        >>> io_standard(64, 16, 64).total
        60416
    """
    block = standard_block(n, d, capacity, block)
    bands = _divide_up(n, block)
    chunk = min(n, capacity - 2)
    softmax_reads = n * n * (1 if chunk == n else 2)
    reads = 3 * n * d * bands + softmax_reads + n * n * _divide_up(d, block)
    rows, width = min(block, n), min(block, d)
    peak = max(rows * rows + 2 * rows, chunk + 2, rows * width + rows + width)
    return IOCount(reads, 2 * n * n + n * d, peak)


def check_sizes(n: object, d: object, capacity: object) -> tuple[int, int, int]:
    """Return the three sizes as whole numbers of at least 1."""
    return (
        check_integer("n", n, low=1),
        check_integer("d", d, low=1),
        check_integer("capacity", capacity, low=1),
    )


def flash_blocks(
    n: int,
    d: int,
    capacity: int,
    *,
    order: Order,
    block_q: int | None = None,
    block_kv: int | None = None,
    is_causal: bool = False,
) -> tuple[int, int]:
    """Return the blocks of the flash schedule: those asked for, or the best that fit."""
    n, d, M = check_sizes(n, d, capacity)
    if order not in ("q_outer", "kv_outer"):
        raise RangeError(f"order is {order!r}; wanted 'q_outer' or 'kv_outer'")
    if is_causal and order == "kv_outer":
        raise RangeError("order 'kv_outer' has no causal form here; take 'q_outer'")
    asked_q = None if block_q is None else check_integer("block_q", block_q, low=1)
    asked_kv = None if block_kv is None else check_integer("block_kv", block_kv, low=1)
    choose = _choose_q_outer if order == "q_outer" else _choose_kv_outer
    rows, columns = choose(n, d, M, asked_q, asked_kv)
    if rows < 1 or columns < 1:
        least = 3 * d + 3 if order == "q_outer" else 4 * d + 3
        asked = "" if block_q is block_kv is None else f" with blocks {block_q} and {block_kv}"
        raise CacheOverflowError(
            f"a cache of {M} words is too small for flash {order!r} at width {d}{asked}; it takes "
            f"at least {least} words, square tiling 4"
        )
    return rows, columns


def _choose_q_outer(
    n: int, d: int, M: int, rows: int | None, columns: int | None
) -> tuple[int, int]:
    """Fewest passes over the keys, then the largest blocks of keys; 0 where nothing fits."""
    if rows is None:
        rows = _even_out(n, (M - (columns or 1) * d) // (2 * d + 2 + (columns or 1)))
    room = (M - rows * (2 * d + 2)) // (d + rows)
    return (rows, min(room, n)) if columns is None else (rows, columns if columns <= room else 0)


def _choose_kv_outer(
    n: int, d: int, M: int, rows: int | None, columns: int | None
) -> tuple[int, int]:
    """Fewest passes over the queries, then the largest blocks of queries."""
    if columns is None:
        columns = _even_out(n, (M - (rows or 1) * (2 * d + 2)) // (2 * d + (rows or 1)))
    room = (M - 2 * columns * d) // (2 * d + 2 + columns)
    return (min(room, n), columns) if rows is None else (rows if rows <= room else 0, columns)


def _even_out(n: int, most: int) -> int:
    """Return the smallest block that needs as few blocks as the largest one."""
    return 0 if most < 1 else _divide_up(n, _divide_up(n, min(most, n)))


def square_block(
    n: int, d: int, capacity: int, variant: Variant, block: int | None
) -> tuple[int, int]:
    """Return the side of the square tiles and how many columns are streamed at once."""
    n, d, M = check_sizes(n, d, capacity)
    if variant not in ("paper", "outer_product"):
        raise RangeError(f"variant is {variant!r}; wanted 'paper' or 'outer_product'")
    paper = variant == "paper"
    if block is None:
        # The paper's side is floor(sqrt(M / 4)), and 3 B² + B <= M then.
        most = math.isqrt(M // 4) if paper else math.isqrt(M) - 1
        side = min(most, max(n, d))
    else:
        side = check_integer("block", block, low=1)
    step = side if paper else 1
    if side < 1 or (3 * side * side + side if paper else (side + 1) ** 2) > M:
        raise CacheOverflowError(
            f"a cache of {M} words is too small for square tiles"
            f"{'' if block is None else f' of side {block}'}; they take at least 4 words"
        )
    return side, step


def standard_block(n: int, d: int, capacity: int, block: int | None) -> int:
    """Return the side of the tiles of the two products."""
    n, d, M = check_sizes(n, d, capacity)
    most = math.isqrt(M + 1) - 1
    side = min(most, max(n, d)) if block is None else check_integer("block", block, low=1)
    if side < 1 or side > most:
        raise CacheOverflowError(
            f"a cache of {M} words is too small for unfused attention"
            f"{'' if block is None else f' with tiles of side {block}'}; it takes at least 3 words"
        )
    return side


def _causal_keys(n: int, rows: int, columns: int) -> int:
    """Keys read by all blocks of queries, each up to the block of keys with its last query.

    A block of queries that ends in the last, shorter block of keys, or at n, reads all n; the
    others read whole blocks of keys.
    """
    whole = n // columns * columns // rows
    blocks = _sum_quotients(whole + 1, columns, rows, columns - 1)
    return columns * blocks + n * (_divide_up(n, rows) - whole)


def _sum_quotients(terms: int, divisor: int, factor: int, offset: int) -> int:
    """Sum of (factor · i + offset) // divisor over i below `terms`, as Euclid would."""
    total = 0
    while terms > 0:
        total += factor // divisor * terms * (terms - 1) // 2 + offset // divisor * terms
        factor, offset = factor % divisor, offset % divisor
        terms, offset = divmod(factor * terms + offset, divisor)
        divisor, factor = factor, divisor
        if not divisor:
            break
    return total


def _divide_up(a: int, b: int) -> int:
    return -(-a // b)
