"""The tree of HiP attention as Triton kernels: one launch scores all halves, one keeps the best.

Rows are query blocks of all heads. A chunk j of a row is [starts[row, j], ends[row, j]) in key
blocks; its halves are 2j and 2j + 1. Rows whose chunks all hold one block are not active: a
launch passes over them.
"""

# ruff: noqa: PLR0917 - kernels take plain pointers and numbers, one argument each

from typing import no_type_check

import triton  # type: ignore[import-not-found,unused-ignore]  # comes with torch for CUDA
import triton.language as tl  # type: ignore[import-not-found,unused-ignore]  # the same

from tractable.attention._kernels.hip_attend import find_rows
from tractable.attention.hip._tree import LOWEST, MODULUS

__all__ = ["keep_best", "score_halves", "start_chunks"]

LOWEST_SCORE = tl.constexpr(LOWEST)
HIGHEST_SCORE = tl.constexpr(3.4028234663852886e38)
DRAW_MODULUS = tl.constexpr(MODULUS)


@triton.jit
@no_type_check
def start_chunks(
    totals, starts, ends, counts, active, first_row, heads, blocks, chunks,
    CHUNKS: tl.constexpr, IS_WIDE: tl.constexpr,
):  # fmt: skip
    """Cut each row's key blocks into chunks of nearly equal length; keep all where few."""
    row = tl.program_id(0).to(tl.int64)
    place = row + first_row
    total = tl.load(totals + place // (blocks * heads) * blocks + place % blocks).to(tl.int32)
    j = tl.arange(0, CHUNKS)
    inside = j < chunks
    keeps_all = total <= chunks
    # Edge j is (2 j total + chunks) // (2 chunks); the whole part of total / chunks apart, the
    # rest fits 32 bits.
    each, rest = total // chunks, total % chunks
    if IS_WIDE:
        begin = (2 * j.to(tl.int64) * rest + chunks) // (2 * chunks)
        end = (2 * (j + 1).to(tl.int64) * rest + chunks) // (2 * chunks)
    else:
        begin = (2 * j * rest + chunks) // (2 * chunks)
        end = (2 * (j + 1) * rest + chunks) // (2 * chunks)
    begin += j * each
    end += (j + 1) * each
    longest = tl.max(tl.where(inside, end - begin, 0), 0)
    begin = tl.where(keeps_all, tl.where(j < total, j, -1), begin)
    end = tl.where(keeps_all, begin + 1, end)
    tl.store(starts + row * chunks + j, begin.to(tl.int32), mask=inside)
    tl.store(ends + row * chunks + j, end.to(tl.int32), mask=inside)
    tl.store(counts + row, tl.minimum(total, chunks).to(tl.int32))
    tl.store(active + row, ((longest > 1) & (total > chunks)).to(tl.int32))


@triton.jit
@no_type_check
def _represent(begin, end, seed, RULE: tl.constexpr):
    """The block that speaks for [begin, end); the first one for an empty half."""
    if RULE == 0:
        return tl.maximum((begin + end - 1) // 2, begin)
    if RULE == 1:
        return begin
    if RULE == 2:
        return tl.maximum(end - 1, begin)
    drawn = begin.to(tl.int64) * 2654435761 + end.to(tl.int64) * 40503 + seed
    drawn = drawn % DRAW_MODULUS * 48271 % DRAW_MODULUS
    return begin + (drawn % tl.maximum(end - begin, 1)).to(tl.int32)


@triton.jit
@no_type_check
def score_halves(
    query, key, starts, ends, held, active, scores, reads, first_key, first_query, local_start,
    query_batch, query_head, query_row, key_batch, key_head, key_row, pages, pages_row,
    heads, group, blocks, length, first_row, chunks, share, depth,
    block_q, block_k, stride_q, stride_k, num_sink, seed,
    RULE: tl.constexpr, COUNT: tl.constexpr, HALVES: tl.constexpr, SAMPLES: tl.constexpr,
    OFFSETS: tl.constexpr, WIDTH: tl.constexpr, PAGE: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Score `share` tiles of halves: the largest product of sampled queries and block keys."""
    row = tl.program_id(0).to(tl.int64)
    if tl.load(active + row) == 0:
        return
    place = row + first_row
    block = place % blocks
    head = place // blocks % heads
    batch = place // (blocks * heads)
    begin_key = tl.load(first_key + batch).to(tl.int32)
    low = begin_key + num_sink
    high = tl.load(local_start + batch * blocks + block).to(tl.int32)

    width = tl.arange(0, WIDTH)
    sample = tl.arange(0, SAMPLES)
    last = tl.minimum((block + 1) * block_q, length) - 1
    first = tl.maximum(block * block_q, tl.load(first_query + batch))
    asked = last - sample * stride_q
    asked = tl.where((sample * stride_q < block_q) & (asked >= first), asked, last)
    queries = tl.load(
        query + batch * query_batch + head * query_head
        + asked[None, :] * query_row + width[:, None]
    )  # fmt: skip
    keys = key + head // group * key_head
    if PAGE == 0:
        keys += batch * key_batch
    table = pages + batch * pages_row
    tiles = tl.minimum(share, tl.cdiv(2 * chunks, HALVES) - tl.program_id(1) * share)
    best = tl.full([HALVES], float("-inf"), tl.float32)
    seen = tl.zeros([HALVES], tl.int32)
    # One loop over tiles and the keys of a block, so that loads run ahead across both.
    for step in range(tiles * OFFSETS):
        half = (tl.program_id(1) * share + step // OFFSETS) * HALVES + tl.arange(0, HALVES)
        offset = step % OFFSETS * stride_k
        chunk = half // 2
        is_real = chunk < chunks
        chunk_begin = tl.load(starts + row * chunks + chunk, mask=is_real, other=0)
        chunk_end = tl.load(ends + row * chunks + chunk, mask=is_real, other=0)
        middle = (chunk_begin + chunk_end + 1) // 2
        begin = tl.where(half % 2 == 0, chunk_begin, middle)
        end = tl.where(half % 2 == 0, middle, chunk_end)
        chosen = _represent(begin, end, seed, RULE)
        position = low + chosen * block_k + offset
        inside = (begin < end) & (position < high)
        # A half whose block spoke for the whole chunk before has its score already.
        known = (chosen == _represent(chunk_begin, chunk_end, seed, RULE)) & (depth > 0)
        fetched = inside & ~known
        spot = tl.where(fetched, position, 0)
        spot = find_rows(spot, begin_key, key_row, key_batch, table, PAGE)
        tile = tl.load(keys + spot[:, None] + width[None, :], mask=fetched[:, None], other=0.0)
        products = tl.dot(tile, queries, input_precision=PRECISION)
        is_number = products == products  # noqa: PLR0124 - NaN is not
        top = tl.max(tl.where(is_number, products, LOWEST_SCORE), 1)
        top = tl.minimum(tl.maximum(top, LOWEST_SCORE), HIGHEST_SCORE)
        top = tl.where(inside, top, float("-inf"))
        best = tl.where(offset == 0, top, tl.maximum(best, top))
        before = tl.load(held + row * chunks + chunk, mask=known & (begin < end), other=0.0)
        best = tl.where(known & (begin < end), before, best)
        seen += inside.to(tl.int32)
        is_done = step % OFFSETS == OFFSETS - 1
        tl.store(scores + (2 * row + half % 2) * chunks + chunk, best, mask=is_real & is_done)
    if COUNT:
        tl.atomic_add(reads + row, tl.sum(seen, 0).to(tl.int64))


@triton.jit
@no_type_check
def _rank(score):
    """Whole numbers in the order of the floats."""
    bits = tl.where(score == 0.0, 0.0, score).to(tl.int32, bitcast=True)  # -0 equals 0
    return bits ^ ((bits >> 31) & 0x7FFFFFFF)


@triton.jit
@no_type_check
def _unrank(rank):
    """The float of a rank."""
    return (rank ^ ((rank >> 31) & 0x7FFFFFFF)).to(tl.float32, bitcast=True)


@triton.jit
@no_type_check
def keep_best(
    starts, ends, active, scores, next_starts, next_ends, next_held, next_active, chunks,
    CHUNKS: tl.constexpr, PART: tl.constexpr, IS_WIDE: tl.constexpr,
):  # fmt: skip
    """Keep each row's best halves in their order; of equals the earlier ones.

    Scores come as all left halves, then all right ones; empty halves have minus infinity. A
    program finds where the row's best begin and moves the halves of its own PART of the chunks.
    """
    row = tl.program_id(0).to(tl.int64)
    first = tl.program_id(1) * PART
    own = first + tl.arange(0, PART)
    is_own = own < chunks
    begin = tl.load(starts + row * chunks + own, mask=is_own, other=0)
    if tl.load(active + row) == 0:
        tl.store(next_starts + row * chunks + own, begin, mask=is_own)
        return
    chunk = tl.arange(0, CHUNKS)
    inside = chunk < chunks
    left = tl.load(scores + 2 * row * chunks + chunk, mask=inside, other=float("-inf"))
    right = tl.load(scores + (2 * row + 1) * chunks + chunk, mask=inside, other=float("-inf"))
    left_rank, right_rank = _rank(left), _rank(right)
    # The chunks-th largest lies in [threshold, highest]: trials are placed where a straight line
    # between the counts at both ends says, every third one in the middle. The search ends early
    # where a trial divides the halves exactly; there are as many that are not empty.
    lowest = tl.minimum(
        tl.where(left > float("-inf"), left_rank, 2147483647),
        tl.where(right > float("-inf"), right_rank, 2147483647),
    )
    threshold = tl.min(lowest, 0).to(tl.int64)
    highest = tl.max(tl.maximum(left_rank, right_rank), 0).to(tl.int64)
    at_least, beyond, step = 2 * chunks, 0, 0
    while threshold < highest:
        low, high = _unrank(threshold.to(tl.int32)), _unrank(highest.to(tl.int32))
        part = (at_least - chunks).to(tl.float32) / tl.maximum(at_least - beyond, 1)
        guess = _rank(low + (high - low) * part).to(tl.int64)
        guess = tl.minimum(tl.maximum(guess, threshold + 1), highest)
        middle = tl.where(step % 3 == 2, (threshold + highest + 1) >> 1, guess)
        trial = middle.to(tl.int32)
        count = tl.sum((left_rank >= trial).to(tl.int32) + (right_rank >= trial).to(tl.int32), 0)
        highest = tl.where(count < chunks, middle - 1, tl.where(count == chunks, middle, highest))
        threshold = tl.where(count < chunks, threshold, middle)
        at_least = tl.where(count < chunks, at_least, count)
        beyond = tl.where(count < chunks, count, beyond)
        step += 1
    threshold = threshold.to(tl.int32)
    better = (left_rank > threshold).to(tl.int32) + (right_rank > threshold).to(tl.int32)
    tied = (left_rank == threshold).to(tl.int32) + (right_rank == threshold).to(tl.int32)
    room = chunks - tl.sum(better, 0)
    better_first = tl.sum(tl.where(chunk < first, better, 0), 0)
    tied_first = tl.sum(tl.where(chunk < first, tied, 0), 0)

    end = tl.load(ends + row * chunks + own, mask=is_own, other=0)
    left = tl.load(scores + 2 * row * chunks + own, mask=is_own, other=float("-inf"))
    right = tl.load(scores + (2 * row + 1) * chunks + own, mask=is_own, other=float("-inf"))
    left_rank, right_rank = _rank(left), _rank(right)
    left_better, right_better = left_rank > threshold, right_rank > threshold
    left_tied, right_tied = left_rank == threshold, right_rank == threshold
    better = left_better.to(tl.int32) + right_better.to(tl.int32)
    tied = left_tied.to(tl.int32) + right_tied.to(tl.int32)
    if IS_WIDE:
        better_before = tl.cumsum(better, 0) - better
        tied_before = tl.cumsum(tied, 0) - tied
    else:
        # Both counts in one number.
        both = better + (tied << 16)
        before = tl.cumsum(both, 0) - both
        better_before, tied_before = before & 0xFFFF, before >> 16
    better_before += better_first
    tied_before += tied_first
    left_kept = left_better | (left_tied & (tied_before < room))
    left_slot = row * chunks + better_before + tl.minimum(tied_before, room)
    better_before += left_better.to(tl.int32)
    tied_before += left_tied.to(tl.int32)
    right_kept = right_better | (right_tied & (tied_before < room))
    right_slot = row * chunks + better_before + tl.minimum(tied_before, room)

    middle = (begin + end + 1) // 2
    tl.store(next_starts + left_slot, begin, mask=left_kept)
    tl.store(next_ends + left_slot, middle, mask=left_kept)
    tl.store(next_held + left_slot, left, mask=left_kept)
    tl.store(next_starts + right_slot, middle, mask=right_kept)
    tl.store(next_ends + right_slot, end, mask=right_kept)
    tl.store(next_held + right_slot, right, mask=right_kept)
    longest = tl.maximum(
        tl.max(tl.where(left_kept, middle - begin, 0), 0),
        tl.max(tl.where(right_kept, end - middle, 0), 0),
    )
    if longest > 1:
        tl.store(next_active + row, 1)
