"""Attention over the keys of a HiP mask as Triton kernels, summed in 32 bits.

`attend_blocks` serves blocks of queries; `attend_split` and `merge_splits` serve one query, whose
keys are shared out over programs and merged by the logarithms of their sums.
"""

# ruff: noqa: PLR0917 - kernels take plain pointers and numbers, one argument each

from typing import no_type_check

import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch for CUDA
import triton.language as tl  # type: ignore[import-not-found,unused-ignore]  # the same

__all__ = ["attend_blocks", "attend_split", "find_rows", "merge_splits"]

LATEST = tl.constexpr(2**31 - 1)
LONG = tl.constexpr(128)
"""Local keys from which on a loop without tests pays."""


@triton.jit
@no_type_check
def find_rows(position, first, row, page_row, table, PAGE: tl.constexpr):
    """Where keys or values at positions begin; in pages, if PAGE is their size, by a table."""
    if PAGE == 0:
        return position.to(tl.int64) * row
    token = tl.maximum(position - first, 0)
    page = tl.load(table + token // PAGE).to(tl.int64)
    return page * page_row + (token % PAGE).to(tl.int64) * row


@triton.jit
@no_type_check
def _load_rows(
    keys, values, position, first, key_row, key_page, value_row, value_page, table,
    width, value_width, PAGE: tl.constexpr,
):  # fmt: skip
    """Tiles of keys and values at positions."""
    spot = find_rows(position, first, key_row, key_page, table, PAGE)
    other = find_rows(position, first, value_row, value_page, table, PAGE)
    return (
        tl.load(keys + spot[:, None] + width[None, :]),
        tl.load(values + other[:, None] + value_width[None, :]),
    )


@triton.jit
@no_type_check
def _absorb(sums, total, top, queries, keys, values, allowed, scale, PRECISION: tl.constexpr):
    """Add a tile of keys to a softmax with a running maximum; the scale holds log2(e)."""
    scores = tl.dot(queries, tl.trans(keys), input_precision=PRECISION) * scale
    scores = tl.where(allowed, scores, float("-inf"))
    higher = tl.maximum(top, tl.max(scores, 1))
    # Nothing read so far: any finite number keeps minus infinity from becoming NaN.
    level = tl.where(higher == float("-inf"), 0.0, higher)
    weights = tl.exp2(scores - level[:, None])
    shrink = tl.exp2(top - level)
    total = total * shrink + tl.sum(weights, 1)
    sums = tl.dot(
        weights.to(values.dtype), values, sums * shrink[:, None], input_precision=PRECISION
    )
    return sums, total, higher


@triton.jit
@no_type_check
def _find_listed(
    entry, listed, every, sinks, indices, first, begin, start, local, BLOCK_K: tl.constexpr
):
    """Positions of entries in a block's list, LATEST for those that are not real.

    The list holds kept blocks, the last `sinks` of the first `listed` entries for the sink's
    keys, and the local keys from `local` on.
    """
    kept_entries = listed - sinks
    kept = tl.load(indices + entry // BLOCK_K, mask=entry < kept_entries, other=0)
    position = begin + kept * BLOCK_K + entry % BLOCK_K
    position = tl.where((position < start) & (kept >= 0), position, LATEST)
    position = tl.where(entry >= kept_entries, first + entry - kept_entries, position)
    position = tl.where(entry >= listed, local + entry - listed, position)
    return tl.where(entry < every, position, LATEST)


@triton.jit
@no_type_check
def attend_blocks(
    query, key, value, out, lse, indices, counts, local_start, first_key,
    query_batch, query_head, query_row, key_batch, key_head, key_row,
    value_batch, value_head, value_row,
    pages, pages_row, heads, group, blocks, chunks, length, total_keys, num_sink, block_q, scale,
    BLOCK_K: tl.constexpr, IS_CAUSAL: tl.constexpr, ROWS: tl.constexpr, KEYS: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, PAGE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Attend for up to ROWS queries of one block: the sink and kept blocks, then local keys."""
    place = tl.program_id(0).to(tl.int64)
    block = blocks - 1 - place % blocks  # later blocks take no less time: they come first
    head = place // blocks % heads
    batch = place // (blocks * heads)
    begin_row = block * block_q + tl.program_id(1) * ROWS
    end_row = tl.minimum((block + 1) * block_q, length)
    if begin_row >= end_row:
        return
    row = begin_row + tl.arange(0, ROWS)
    is_row = row < end_row
    earliest = total_keys - 1
    latest = total_keys - 1
    limit = tl.zeros([ROWS], tl.int32) + total_keys - 1
    if IS_CAUSAL:
        earliest = (total_keys - length + begin_row).to(tl.int32)
        latest = (total_keys - length + tl.minimum(begin_row + ROWS, end_row) - 1).to(tl.int32)
        limit = (total_keys - length + row).to(tl.int32)

    width = tl.arange(0, WIDTH)
    value_width = tl.arange(0, VALUE_WIDTH)
    queries = tl.load(
        query + batch * query_batch + head * query_head
        + row[:, None] * query_row + width[None, :],
        mask=is_row[:, None], other=0.0,
    )  # fmt: skip
    keys = key + head // group * key_head
    values = value + head // group * value_head
    if PAGE == 0:
        keys += batch * key_batch
        values += batch * value_batch
    table = pages + batch * pages_row
    mask_row = (batch * heads + head) * blocks + block
    ids = indices + mask_row * chunks
    first = tl.load(first_key + batch).to(tl.int32)
    start = tl.load(local_start + batch * blocks + block).to(tl.int32)
    sinks = tl.maximum(tl.minimum(num_sink, start - first), 0)
    listed = sinks + tl.load(counts + mask_row) * BLOCK_K

    sums = tl.zeros([ROWS, VALUE_WIDTH], tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    top = tl.full([ROWS], float("-inf"), tl.float32)

    # Whole tiles of keys before all of the block's queries need no tests: first of kept blocks
    # (`start` may cut the last one), then of local keys, which are contiguous.
    tested = listed - sinks - BLOCK_K
    tested = tl.where(start <= earliest + 1, tl.maximum(tested, 0) // KEYS * KEYS, 0)
    for step in range(0, tested, KEYS):
        entry = step + tl.arange(0, KEYS)
        kept = tl.load(ids + entry // BLOCK_K)
        spot = first + num_sink + kept * BLOCK_K + entry % BLOCK_K
        tile, other = _load_rows(
            keys, values, spot, first, key_row, key_batch, value_row, value_batch, table,
            width, value_width, PAGE,
        )  # fmt: skip
        sums, total, top = _absorb(sums, total, top, queries, tile, other, True, scale, PRECISION)
    clear = tl.maximum(earliest + 1 - start, 0) // KEYS * KEYS
    clear = tl.where(clear >= LONG, clear, 0)
    for step in range(0, clear, KEYS):
        spot = start + step + tl.arange(0, KEYS)
        tile, other = _load_rows(
            keys, values, spot, first, key_row, key_batch, value_row, value_batch, table,
            width, value_width, PAGE,
        )  # fmt: skip
        sums, total, top = _absorb(sums, total, top, queries, tile, other, True, scale, PRECISION)
    local = start + clear
    every = listed + latest + 1 - local
    for step in range(tested, every, KEYS):
        position = _find_listed(
            step + tl.arange(0, KEYS), listed, every, sinks, ids, first, first + num_sink,
            start, local, BLOCK_K,
        )  # fmt: skip
        # In the place of a key that is none stands the latest query's own, which weighs nothing.
        tile, other = _load_rows(
            keys, values, tl.minimum(position, latest), first, key_row, key_batch, value_row,
            value_batch, table, width, value_width, PAGE,
        )  # fmt: skip
        allowed = position[None, :] <= limit[:, None]
        sums, total, top = _absorb(
            sums, total, top, queries, tile, other, allowed, scale, PRECISION
        )

    empty = total == 0.0
    sums = sums / tl.where(empty, 1.0, total)[:, None]
    place = (batch * heads + head) * length + row
    tl.store(
        out + place[:, None] * VALUE_WIDTH + value_width[None, :],
        sums.to(out.dtype.element_ty), mask=is_row[:, None],
    )  # fmt: skip
    log = (top + tl.log2(tl.where(empty, 1.0, total))) * 0.6931471805599453
    tl.store(lse + place, tl.where(empty, float("-inf"), log), mask=is_row)


@triton.jit
@no_type_check
def attend_split(
    query, key, value, parts, sums_log, indices, counts, local_start, first_key,
    query_batch, query_head, key_batch, key_head, key_row,
    value_batch, value_head, value_row,
    pages, pages_row, heads, group, chunks, total_keys, num_sink, scale, splits,
    BLOCK_K: tl.constexpr, KEYS: tl.constexpr,
    WIDTH: tl.constexpr, VALUE_WIDTH: tl.constexpr, PAGE: tl.constexpr,
):  # fmt: skip
    """One query and its share of the listed and local keys; sums and log2 of the weights' sum."""
    place = tl.program_id(0).to(tl.int64)
    split = tl.program_id(1)
    head = place % heads
    batch = place // heads
    width = tl.arange(0, WIDTH)
    value_width = tl.arange(0, VALUE_WIDTH)
    asked = tl.load(query + batch * query_batch + head * query_head + width).to(tl.float32)
    keys = key + head // group * key_head
    values = value + head // group * value_head
    if PAGE == 0:
        keys += batch * key_batch
        values += batch * value_batch
    table = pages + batch * pages_row
    first = tl.load(first_key + batch).to(tl.int32)
    start = tl.load(local_start + batch).to(tl.int32)
    sinks = tl.maximum(tl.minimum(num_sink, start - first), 0)
    listed = sinks + tl.load(counts + place) * BLOCK_K
    every = listed + total_keys - start
    share = tl.cdiv(tl.cdiv(every, splits), KEYS) * KEYS
    begin = split * share
    sums = tl.zeros([VALUE_WIDTH], tl.float32)
    total = tl.zeros([], tl.float32)
    top = tl.full([], float("-inf"), tl.float32)
    for step in range(begin, tl.minimum(begin + share, every), KEYS):
        position = _find_listed(
            step + tl.arange(0, KEYS), listed, every, sinks, indices + place * chunks, first,
            first + num_sink, start, start, BLOCK_K,
        )  # fmt: skip
        real = position < total_keys
        position = tl.where(real, position, 0)
        place_key = find_rows(position, first, key_row, key_batch, table, PAGE)
        place_value = find_rows(position, first, value_row, value_batch, table, PAGE)
        tile = tl.load(keys + place_key[:, None] + width[None, :], mask=real[:, None], other=0.0)
        other = tl.load(
            values + place_value[:, None] + value_width[None, :], mask=real[:, None], other=0.0
        )
        scores = tl.sum(tile.to(tl.float32) * asked[None, :], 1) * scale
        scores = tl.where(real, scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 0))
        level = tl.where(higher == float("-inf"), 0.0, higher)
        weights = tl.exp2(scores - level)
        shrink = tl.exp2(top - level)
        total = total * shrink + tl.sum(weights, 0)
        sums = sums * shrink + tl.sum(weights[:, None] * other.to(tl.float32), 0)
        top = higher
    empty = total == 0.0
    sums = sums / tl.where(empty, 1.0, total)
    log = tl.where(empty, float("-inf"), top + tl.log2(tl.where(empty, 1.0, total)))
    tl.store(parts + (place * splits + split) * VALUE_WIDTH + value_width, sums)
    tl.store(sums_log + place * splits + split, log)


@triton.jit
@no_type_check
def merge_splits(
    parts, sums_log, out, lse, splits, SPLITS: tl.constexpr, VALUE_WIDTH: tl.constexpr
):
    """Merge the shares of one query by the logarithms of their sums."""
    place = tl.program_id(0).to(tl.int64)
    split = tl.arange(0, SPLITS)
    value_width = tl.arange(0, VALUE_WIDTH)
    log = tl.load(sums_log + place * splits + split, mask=split < splits, other=float("-inf"))
    share = tl.load(
        parts + (place * splits + split)[:, None] * VALUE_WIDTH + value_width[None, :],
        mask=(split < splits)[:, None], other=0.0,
    )  # fmt: skip
    top = tl.max(log, 0)
    top = tl.where(top == float("-inf"), 0.0, top)
    weights = tl.exp2(log - top)
    total = tl.sum(weights, 0)
    empty = total == 0.0
    merged = tl.sum(share * weights[:, None], 0) / tl.where(empty, 1.0, total)
    tl.store(out + place * VALUE_WIDTH + value_width, merged.to(out.dtype.element_ty))
    tall = (top + tl.log2(tl.where(empty, 1.0, total))) * 0.6931471805599453
    tl.store(lse + place, tl.where(empty, float("-inf"), tall))
