"""Choose the schedule that moves least, run it, and choose tiles for a real kernel."""

from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from tractable._core import DTypeError, RangeError, ShapeError
from tractable._core.checks import check_integer, check_number
from tractable.attention.io import _counts, _schedules
from tractable.attention.io._memory import CacheOverflowError, IOCount

__all__ = ["KernelTile", "TilePlan", "plan_attention", "plan_kernel_tiles", "run_plan"]

Algorithm = Literal["q_outer", "kv_outer", "square"]

ITEM_BYTES = {"bfloat16": 2, "float8_e4m3fn": 1, "float8_e5m2": 1}
"""Kernel dtypes that NumPy does not have."""


class TilePlan(NamedTuple):
    """A schedule, its tiles, and what it moves.

    Args:
        n, d: sequence length and width of the head.
        algorithm: "q_outer" or "kv_outer" of `run_flash`, or "square" for `run_square_tiling`.
        block_q: queries a tile.
        block_kv: keys a tile.
        block_d: columns of the width a tile of the output has; the whole width unless square.
        capacity: words in the cache.
        item_bytes: bytes a word.
        moved: words read and written, and the most in the cache at once; exact.
        lower_bound: words that no schedule goes below.
        is_causal: whether queries see earlier keys only.
    """

    n: int
    d: int
    algorithm: Algorithm
    block_q: int
    block_kv: int
    block_d: int
    capacity: int
    item_bytes: int
    moved: IOCount
    lower_bound: int
    is_causal: bool

    @property
    def bytes_moved(self) -> int:
        """Bytes moved either way."""
        return self.moved.total * self.item_bytes

    @property
    def ratio(self) -> float:
        """Words moved over the lower bound: how far from optimal this can be at most."""
        return self.moved.total / self.lower_bound


def plan_attention(
    n: int, d: int, cache_bytes: int, dtype: Any = "float32", *, is_causal: bool = False
) -> TilePlan:
    """Choose schedule and tiles that move the fewest bytes for one head and one cache.

    Fused attention in both loop orders and square tiling are compared by their exact counts. All
    words are taken to be as wide as the inputs; a kernel that accumulates in a wider type has
    room for less (`plan_kernel_tiles` reckons with that).

    Args:
        n: sequence length, at least 1.
        d: width of the head, at least 1.
        cache_bytes: bytes in the cache.
        dtype: a floating dtype of NumPy or torch, or its name ("float16", "bfloat16").
        is_causal: whether queries see earlier keys only; fused attention alone skips the rest.

    Returns:
        The plan; `run_plan` runs it.

    Raises:
        DTypeError: for a dtype that is none or is not floating, or sizes that are no integers.
        RangeError: for sizes below 1.
        CacheOverflowError: if no schedule fits: below 4 words, or 3d + 3 if causal.

    Example:
        >>> plan = plan_attention(4096, 64, 128 * 1024, "float16")
        >>> plan.algorithm, plan.block_q, plan.bytes_moved, round(plan.ratio, 2)
        ('q_outer', 456, 10485760, 5.0)
        >>> plan_attention(4096, 64, 1024, "float16").algorithm
        'square'
    """
    item = _item_bytes(dtype)
    n, d, M = _counts.check_sizes(n, d, check_integer("cache_bytes", cache_bytes, low=item) // item)
    least = _counts.io_lower_bound(n, d, M, is_causal=is_causal).value
    plans = [
        TilePlan(n, d, algorithm, *blocks, M, item, moved, least, is_causal)
        for algorithm, blocks, moved in _candidates(n, d, M, is_causal)
    ]
    if not plans:
        wanted = 3 * d + 3 if is_causal else 4
        raise CacheOverflowError(
            f"a cache of {cache_bytes} bytes holds {M} words of {item} bytes; attention of width "
            f"{d}{', causal,' if is_causal else ''} takes at least {wanted}"
        )
    return min(plans, key=lambda plan: plan.moved.total)


def _candidates(
    n: int, d: int, M: int, is_causal: bool
) -> list[tuple[Algorithm, tuple[int, int, int], IOCount]]:
    """Each schedule that fits, with its best tiles."""
    found: list[tuple[Algorithm, tuple[int, int, int], IOCount]] = []
    orders: tuple[_counts.Order, ...] = ("q_outer",) if is_causal else ("q_outer", "kv_outer")
    for order in orders:
        if (3 if order == "q_outer" else 4) * d + 3 <= M:
            if is_causal:
                rows, columns = _best_causal(n, d, M)
            else:
                rows, columns = _counts.flash_blocks(n, d, M, order=order)
            moved = _counts.io_flash(
                n, d, M, order=order, block_q=rows, block_kv=columns, is_causal=is_causal
            )
            found.append((order, (rows, columns, d), moved))
    if not is_causal and M >= 4:
        side, _ = _counts.square_block(n, d, M, "outer_product", None)
        moved = _counts.io_square_tiling(n, d, M)
        found.append(("square", (min(side, n), min(side, n), min(side, d)), moved))
    return found


def _best_causal(n: int, d: int, M: int) -> tuple[int, int]:
    """Return the blocks of causal attention that move least.

    Keys go one by one, since longer blocks read keys beyond their queries in vain. R blocks of r
    queries read r R (R - 1) / 2 + n keys: of all r with the same R the smallest is best. That
    lies between n (R - 1) / 2 and (n + R - 1)(R - 1) / 2, so fewer blocks are better as long as
    (R - 1)² is at most n; beyond, r is small, and those that could be best are tried.
    """
    most = min(n, (M - d) // (2 * d + 3))
    blocks = -(-n // most)
    sizes = range(max(1, most // 2), most + 1)
    if (blocks - 1) ** 2 <= n:
        sizes = range(-(-n // blocks), -(-n // blocks) + 1)
    totals = {
        rows: _counts.io_flash(n, d, M, block_q=rows, block_kv=1, is_causal=True).total
        for rows in sizes
    }
    return min(totals, key=lambda rows: totals[rows]), 1


def run_plan(
    query: Float[np.ndarray, "n d"],
    key: Float[np.ndarray, "n d"],
    value: Float[np.ndarray, "n d"],
    plan: TilePlan,
    *,
    scale: float | None = None,
) -> tuple[Float[np.ndarray, "n d"], IOCount]:
    """Run a plan on the simulated cache; the count equals `plan.moved`.

    Args:
        query, key, value, scale: as in `run_flash`, of the plan's length and width.
        plan: from `plan_attention`.

    Returns:
        As `run_flash`.

    Raises:
        ShapeError: for another length or width than the plan's.
        DTypeError: for another item size than the plan's.
        DataError, RangeError: as `run_flash`.

    Example:
        >>> q, k, v = np.random.default_rng(0).standard_normal((3, 24, 8))
        >>> plan = plan_attention(24, 8, 1024, "float64")
        >>> run_plan(q, k, v, plan)[1] == plan.moved
        True
    """
    if np.shape(query) != (plan.n, plan.d):
        raise ShapeError(
            f"query has shape {np.shape(query)}; the plan is for {(plan.n, plan.d)}, make another"
        )
    if np.asarray(query).itemsize != plan.item_bytes:
        raise DTypeError(
            f"query has items of {np.asarray(query).itemsize} bytes; the plan is for "
            f"{plan.item_bytes}, convert it or make another plan"
        )
    if plan.algorithm == "square":
        side = max(plan.block_q, plan.block_d)
        return _schedules.run_square_tiling(
            query, key, value, plan.capacity, block=side, scale=scale
        )
    return _schedules.run_flash(
        query,
        key,
        value,
        plan.capacity,
        order=plan.algorithm,
        block_q=plan.block_q,
        block_kv=plan.block_kv,
        scale=scale,
        is_causal=plan.is_causal,
    )


class KernelTile(NamedTuple):
    """Tiles for a GPU kernel of fused attention, and what they are predicted to cost a head.

    Args:
        block_q, block_kv: rows and columns of a tile of scores.
        warps: groups of 32 threads: one for 16 queries, at least 4 and at most 8.
        shared_bytes: shared memory a block of threads uses: queries, and keys and values staged.
        register_bytes: registers it uses: output and scores in float32, and row statistics.
        cache_bytes_moved: bytes that cross from the second-level cache to shared memory and back.
        memory_bytes_moved: bytes that cross from the device's memory.
        intensity: floating-point operations a byte of device memory.
        seconds: the longest of computing, memory and cache.
        bound: what takes longest: "compute", "memory" or "cache".
    """

    block_q: int
    block_kv: int
    warps: int
    shared_bytes: int
    register_bytes: int
    cache_bytes_moved: int
    memory_bytes_moved: int
    intensity: float
    seconds: float
    bound: Literal["compute", "memory", "cache"]


def plan_kernel_tiles(
    n: int,
    d: int,
    dtype: Any = "bfloat16",
    *,
    shared_bytes: int = 232_448,
    register_bytes: int = 262_144,
    stages: int = 2,
    multiple: int = 16,
    l2_bytes: int = 50_000_000,
    memory_bytes_per_second: float = 3.35e12,
    cache_bytes_per_second: float = 5.5e12,
    flops_per_second: float = 9.89e14,
) -> list[KernelTile]:
    """List the tiles that fit a GPU's multiprocessor, the cheapest first.

    A model and not a measurement: traffic between the second-level cache and shared memory is
    the fused schedule's; keys and values of one head cross from the device's memory once if they
    fit the second-level cache. Defaults are an H100's data sheet; its cache speed is a guess.

    Args:
        n, d, dtype: as in `plan_attention`.
        shared_bytes: shared memory of a block of threads.
        register_bytes: register file.
        stages: tiles of keys and values in flight, at least 1.
        multiple: tiles are powers of two times this, up to 256.
        l2_bytes: size of the second-level cache.
        memory_bytes_per_second, cache_bytes_per_second, flops_per_second: speeds, above 0.

    Returns:
        Tiles by predicted seconds, then by bytes from the cache, then larger key tiles.

    Raises:
        DTypeError, RangeError: as `plan_attention`, and for limits below 1.
        CacheOverflowError: if no tile fits.

    Example:
        >>> best = plan_kernel_tiles(4096, 64, "bfloat16")[0]
        >>> best.block_q, best.block_kv, best.bound
        (256, 128, 'compute')
    """
    item = _item_bytes(dtype)
    n, d, shared = _counts.check_sizes(n, d, shared_bytes)
    registers = check_integer("register_bytes", register_bytes, low=1)
    stages = check_integer("stages", stages, low=1)
    multiple = check_integer("multiple", multiple, low=1, high=256)
    l2_bytes = check_integer("l2_bytes", l2_bytes, low=0)
    speeds = {
        "compute": check_number("flops_per_second", flops_per_second, low=0),
        "memory": check_number("memory_bytes_per_second", memory_bytes_per_second, low=0),
        "cache": check_number("cache_bytes_per_second", cache_bytes_per_second, low=0),
    }
    if min(speeds.values()) <= 0:
        raise RangeError(f"speeds are {speeds}; wanted all above 0")
    sides = [multiple << i for i in range(9) if multiple << i <= 256]
    tiles = []
    for rows in sides:
        for columns in sides:
            in_shared = item * d * (rows + 2 * stages * columns)
            in_registers = 4 * (rows * d + rows * columns + 2 * rows)
            if in_shared > shared or in_registers > registers:
                continue
            cached = 2 * n * d * (1 + -(-n // rows)) * item
            moved = 4 * n * d * item if 2 * n * d * item <= l2_bytes else cached
            amounts = {"compute": 4 * n * n * d, "memory": moved, "cache": cached}
            times = {what: amounts[what] / speed for what, speed in speeds.items()}
            bound: Any = max(times, key=lambda what: times[what])
            tiles.append(
                KernelTile(
                    block_q=rows,
                    block_kv=columns,
                    warps=min(8, max(4, rows // 16)),
                    shared_bytes=in_shared,
                    register_bytes=in_registers,
                    cache_bytes_moved=cached,
                    memory_bytes_moved=moved,
                    intensity=amounts["compute"] / moved,
                    seconds=times[bound],
                    bound=bound,
                )
            )
    if not tiles:
        raise CacheOverflowError(
            f"no tile of {multiple} or more fits {shared} bytes of shared memory and {registers} "
            f"of registers at width {d}; take fewer stages, a narrower dtype or a smaller multiple"
        )
    return sorted(tiles, key=lambda tile: (tile.seconds, tile.cache_bytes_moved, -tile.block_kv))


def _item_bytes(dtype: Any) -> int:
    """Bytes an item of a floating dtype of NumPy or torch, or of its name."""
    name = str(dtype).removeprefix("torch.")
    if name in ITEM_BYTES:
        return ITEM_BYTES[name]
    try:
        found = np.dtype(name if str(dtype) != name else dtype)
    except TypeError as error:
        raise DTypeError(f"dtype is {dtype!r}; wanted a floating dtype or its name") from error
    if dtype is None or found.kind != "f":
        raise DTypeError(f"dtype is {dtype!r}; wanted a floating dtype such as 'float16'")
    return found.itemsize
