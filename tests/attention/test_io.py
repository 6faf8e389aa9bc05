"""Counted schedules against plain attention, closed forms, real caches and brute force."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.attention import io
from tractable.attention.io import _counts, _schedules


def make(n, d, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((3, n, d)).astype(dtype)


def run_all(n, d, capacity, seed=0):
    """Every schedule that fits, with its closed form: name, output, counted, predicted."""
    arrays = make(n, d, seed)
    schedules = {
        "q_outer": (3 * d + 3, io.run_flash, io.io_flash, {}),
        "kv_outer": (4 * d + 3, io.run_flash, io.io_flash, {"order": "kv_outer"}),
        "causal": (3 * d + 3, io.run_flash, io.io_flash, {"is_causal": True}),
        "paper": (4, io.run_square_tiling, io.io_square_tiling, {"variant": "paper"}),
        "square": (4, io.run_square_tiling, io.io_square_tiling, {}),
        "standard": (3, io.run_standard, io.io_standard, {}),
    }
    for name, (least, run, predict, options) in schedules.items():
        if capacity >= least:
            output, counted = run(*arrays, capacity, **options)
            yield name, output, counted, predict(n, d, capacity, **options)
        else:
            with pytest.raises(io.CacheOverflowError, match=r"too small.*at least"):
                run(*arrays, capacity, **options)
            with pytest.raises(io.CacheOverflowError, match=r"too small.*at least"):
                predict(n, d, capacity, **options)


@settings(max_examples=25)
@given(
    n=st.integers(1, 14),
    d=st.integers(1, 7),
    capacity=st.integers(3, 250),
    seed=st.integers(0, 99),
)
def test_schedules_equal_attention_and_their_closed_forms(n, d, capacity, seed):
    arrays = make(n, d, seed)
    bounds = {
        causal: io.io_lower_bound(n, d, capacity, is_causal=causal) for causal in (False, True)
    }
    for name, output, counted, predicted in run_all(n, d, capacity, seed):
        causal = name == "causal"
        np.testing.assert_allclose(
            output, io.reference(*arrays, is_causal=causal), rtol=1e-10, atol=1e-12
        )
        assert counted == predicted, name
        assert counted.peak <= capacity
        assert counted.total >= bounds[causal].value, name


@pytest.mark.parametrize("shape", [(12, 4, 40), (21, 16, 64), (50, 7, 2000)])
def test_larger_shapes_count_what_was_predicted(shape):
    seen = {name: counted == predicted for name, _, counted, predicted in run_all(*shape)}
    assert seen
    assert all(seen.values()), seen


@settings(max_examples=60)
@given(
    n=st.integers(1, 16),
    d=st.integers(1, 6),
    block_q=st.integers(1, 20),
    block_kv=st.integers(1, 20),
    order=st.sampled_from(("q_outer", "kv_outer")),
    is_causal=st.booleans(),
)
def test_asked_blocks_count_as_predicted_or_are_refused(
    *, n, d, block_q, block_kv, order, is_causal
):
    options = {"order": order, "block_q": block_q, "block_kv": block_kv}
    options["is_causal"] = is_causal and order == "q_outer"
    try:
        predicted = io.io_flash(n, d, 150, **options)
    except io.CacheOverflowError:
        with pytest.raises(io.CacheOverflowError):
            io.run_flash(*make(n, d), 150, **options)
        return
    output, counted = io.run_flash(*make(n, d), 150, **options)
    assert counted == predicted
    expected = io.reference(*make(n, d), is_causal=options["is_causal"])
    np.testing.assert_allclose(output, expected, rtol=1e-10, atol=1e-12)


def test_agrees_with_scaled_dot_product_attention():
    torch = pytest.importorskip("torch")
    arrays = make(37, 8)
    tensors = [torch.from_numpy(array)[None, None] for array in arrays]
    for causal, runs in ((False, run_all(37, 8, 90)), (True, run_all(37, 8, 90))):
        expected = torch.nn.functional.scaled_dot_product_attention(*tensors, is_causal=causal)
        for name, output, _, _ in runs:
            if (name == "causal") is causal:
                np.testing.assert_allclose(output, expected[0, 0].numpy(), rtol=0, atol=1e-12)


def test_known_tiles_and_counts():
    assert _counts.square_block(64, 16, 64, "paper", None) == (4, 4)
    # 2 n d for queries and output, 2 n d for each of 137 passes over keys and values.
    assert io.io_flash(4096, 64, 4096).total == 2 * 4096 * 64 * (1 + 137)
    assert io.io_flash(4096, 64, 4096, order="kv_outer").total > io.io_flash(4096, 64, 4096).total
    everything = 4 * 32 * 8
    assert io.plan_attention(32, 8, 8 * 10_000, "float64").moved.total == everything


def test_an_automatic_cache_fetches_no_more_than_it_should():
    capacity = 70
    head = _schedules._Head(*make(12, 5), None)
    for run in (
        lambda memory: _schedules.flash_q_outer(memory, head, 3, 2),
        lambda memory: _schedules.flash_kv_outer(memory, head, 2, 3),
        lambda memory: _schedules.square_tiling(memory, head, 4, 1),
        lambda memory: _schedules.standard(memory, head, 5),
    ):
        memory = io.TwoLevelMemory(capacity, record=True)
        run(memory)
        optimal = io.count_misses(memory.trace, capacity, policy="optimal")
        # A cache fetches computed words too when they are first touched.
        assert optimal <= memory.reads + memory.allocated
        lru = io.count_misses(memory.trace, 2 * capacity)
        assert lru <= 2 * optimal + capacity
        assert io.count_misses(memory.trace, capacity) >= optimal


def brute_force(n, d, capacity, is_causal=False):
    """The least of all schedules over all pairs of blocks."""
    totals = []
    for order in ("q_outer",) if is_causal else ("q_outer", "kv_outer"):
        for block_q in range(1, n + 1):
            for block_kv in range(1, n + 1):
                options = {"order": order, "block_q": block_q, "block_kv": block_kv}
                try:
                    moved = io.io_flash(n, d, capacity, is_causal=is_causal, **options)
                except io.CacheOverflowError:
                    continue
                totals.append(moved.total)
    for variant in () if is_causal else ("paper", "outer_product"):
        for block in range(1, n + 1):
            try:
                moved = io.io_square_tiling(n, d, capacity, variant=variant, block=block)
            except io.CacheOverflowError:
                continue
            totals.append(moved.total)
    return min(totals)


@pytest.mark.parametrize("is_causal", [False, True])
@pytest.mark.parametrize(("n", "d"), [(8, 2), (7, 3), (1, 1), (11, 4)])
def test_planner_equals_brute_force_over_all_blocks(n, d, is_causal):
    for capacity in range(3 * d + 3 if is_causal else 4, 60):
        plan = io.plan_attention(n, d, 8 * capacity, "float64", is_causal=is_causal)
        assert plan.moved.total == brute_force(n, d, capacity, is_causal), capacity


@settings(max_examples=25)
@given(
    n=st.integers(1, 30),
    d=st.integers(1, 12),
    capacity=st.integers(4, 900),
    is_causal=st.booleans(),
)
def test_plans_run_as_predicted(n, d, capacity, is_causal):
    if is_causal and capacity < 3 * d + 3:
        capacity += 3 * d
    plan = io.plan_attention(n, d, 4 * capacity + 3, np.float32, is_causal=is_causal)
    query, key, value = make(n, d, dtype=np.float32)
    with tractable.count() as cost:
        output, counted = io.run_plan(query, key, value, plan)
    assert counted == plan.moved
    assert cost["bytes moved"] == plan.bytes_moved == 4 * counted.total
    assert plan.ratio >= 1.0
    assert output.dtype == np.float32
    np.testing.assert_allclose(
        output, io.reference(query, key, value, is_causal=is_causal), rtol=1e-4, atol=1e-5
    )


def test_plans_refuse_what_they_were_not_made_for(unchecked):
    plan = io.plan_attention(6, 3, 64, "float32")
    with pytest.raises(ShapeError, match="the plan is for"):
        io.run_plan(*make(7, 3, dtype=np.float32), plan)
    with pytest.raises(DTypeError, match="items of 8 bytes"):
        io.run_plan(*make(6, 3), plan)


def test_more_cache_never_moves_more_and_the_schedule_changes_once():
    n, d = 2048, 64
    plans = [io.plan_attention(n, d, 2 * int(16 * 1.07**i), "float16") for i in range(150)]
    totals = [plan.moved.total for plan in plans]
    assert totals == sorted(totals, reverse=True)
    square = [plan.algorithm == "square" for plan in plans]
    assert square == sorted(square, reverse=True)
    switch = plans[square.index(False)].capacity
    assert d * d / 16 <= switch <= 4 * d * d
    assert max(plan.ratio for plan in plans) <= 8


@pytest.mark.parametrize(
    ("n", "d", "capacity"), [(1, 1, 3), (1, 1, 4), (1, 2, 3), (1, 2, 5), (2, 1, 6), (2, 1, 9)]
)
def test_bound_and_schedules_stand_on_both_sides_of_the_true_least(n, d, capacity):
    least = io.least_traffic(n, d, capacity)
    assert io.io_lower_bound(n, d, capacity).value <= least
    for name, _, counted, _ in run_all(n, d, capacity):
        assert name == "causal" or counted.total >= least, name


def test_search_says_when_it_is_too_large():
    with pytest.raises(RangeError, match="more than 50 situations"):
        io.least_traffic(2, 2, 5, max_states=50)
    with pytest.raises(RangeError, match="at least 3"):
        io.least_traffic(1, 1, 2)


def test_memory_refuses_what_does_not_fit_and_what_is_gone():
    memory = io.TwoLevelMemory(4)
    array = np.arange(12.0).reshape(3, 4)
    tile = memory.load(array, slice(0, 1))
    with pytest.raises(io.CacheOverflowError, match="1 words do not fit beside 4"):
        memory.alloc((1,))
    with pytest.raises(MemoryError):
        memory.load(array, slice(1, 2))
    with pytest.raises(ShapeError, match="cannot go into"):
        memory.store(tile, array, slice(0, 2))
    with pytest.raises(ShapeError, match="holds no word"):
        memory.load(array, slice(9, 10))
    with pytest.raises(ShapeError, match="holds no word"):
        memory.alloc((0, 2))
    with pytest.raises(io.StaleTileError, match="another memory"):
        io.TwoLevelMemory(4).free(tile)
    memory.free(tile)
    for use in (lambda: tile.data, lambda: memory.free(tile)):
        with pytest.raises(io.StaleTileError, match="was freed"):
            use()
    assert (memory.counted, memory.resident) == (io.IOCount(4, 0, 4), 0)
    assert memory.trace.size == 0


def test_tiles_are_copies():
    array = np.zeros(3)
    memory = io.TwoLevelMemory(3)
    tile = memory.load(array, slice(0, 3))
    tile.data[:] = 1.0
    assert not array.any()


@pytest.mark.parametrize("capacity", [0, -1, 2.0, "8", True, None])
def test_capacity_must_be_a_whole_number(unchecked, capacity):
    for call in (
        lambda: io.TwoLevelMemory(capacity),
        lambda: io.io_flash(8, 2, capacity),
        lambda: io.run_standard(*make(4, 2), capacity),
        lambda: io.io_lower_bound(8, 2, capacity),
        lambda: io.least_traffic(1, 1, capacity),
        lambda: io.plan_attention(8, 2, capacity),
    ):
        with pytest.raises((RangeError, DTypeError), match="wanted"):
            call()


@pytest.mark.parametrize("change", ["n", "d"])
@pytest.mark.parametrize("wrong", [0, -3, 1.5, None])
def test_sizes_must_be_whole_numbers(unchecked, change, wrong):
    sizes = {"n": 8, "d": 2, change: wrong}
    for call in (io.io_flash, io.io_square_tiling, io.io_standard, io.io_lower_bound):
        with pytest.raises((RangeError, DTypeError), match=f"{change} is {wrong}"):
            call(**sizes, capacity=100)
    with pytest.raises((RangeError, DTypeError), match=f"{change} is {wrong}"):
        io.plan_attention(**sizes, cache_bytes=400)


def test_hostile_arrays_are_refused_with_readable_messages(unchecked):
    query, key, value = make(6, 3)
    for run in (io.run_flash, io.run_square_tiling, io.run_standard):
        with pytest.raises(ShapeError, match="wanted the same"):
            run(query, key[:5], value, 64)
        with pytest.raises(ShapeError, match="2 axes"):
            run(query[0], key, value, 64)
        with pytest.raises(ShapeError, match="at least one element"):
            run(query[:0], key[:0], value[:0], 64)
        with pytest.raises(DTypeError, match="wanted the same"):
            run(query.astype(np.float32), key, value, 64)
        with pytest.raises(DTypeError, match="int64"):
            run(query.astype(int), key.astype(int), value.astype(int), 64)
        with pytest.raises(DTypeError, match="complex128"):
            run(query + 0j, key, value, 64)
        with pytest.raises(DataError, match="NaN"):
            run(query, np.where(key > 0, np.nan, key), value, 64)
        with pytest.raises(DataError, match="overflow"):
            run(query * 1e200, key * 1e200, value, 64)
        with pytest.raises(RangeError, match="finite"):
            run(query, key, value, 64, scale=float("inf"))


def test_large_scores_constant_duplicate_and_strided_input_are_fine():
    query, key, value = make(9, 3)
    wide = np.repeat(make(9, 6)[0], 2, axis=1)[:, ::4]
    for arrays in (
        (query * 1e5, key * 1e5, value),
        (np.ones((9, 3)), np.ones((9, 3)), value),
        (query, key, np.zeros((9, 3))),
        (wide, np.asfortranarray(key), value[::-1]),
    ):
        for run in (io.run_flash, io.run_square_tiling, io.run_standard):
            output, _ = run(*arrays, 30)
            np.testing.assert_allclose(output, io.reference(*arrays), rtol=1e-9, atol=1e-12)


def test_half_precision_keeps_its_dtype_and_its_word(unchecked):
    arrays = make(10, 4, dtype=np.float16)
    with tractable.count() as cost:
        output, counted = io.run_flash(*arrays, 64)
    assert output.dtype == np.float16
    assert cost["bytes moved"] == 2 * counted.total


def test_unknown_words_and_blocks_that_do_not_fit(unchecked):
    with pytest.raises(RangeError, match="'q_outer' or 'kv_outer'"):
        io.io_flash(8, 2, 64, order="inside_out")
    with pytest.raises(RangeError, match="no causal form"):
        io.io_flash(8, 2, 64, order="kv_outer", is_causal=True)
    with pytest.raises(RangeError, match="'paper' or 'outer_product'"):
        io.io_square_tiling(8, 2, 64, variant="round")
    with pytest.raises(io.CacheOverflowError, match="with blocks 8 and None"):
        io.run_flash(*make(8, 2), 20, block_q=8)
    with pytest.raises(io.CacheOverflowError, match="of side 9"):
        io.run_square_tiling(*make(8, 2), 20, block=9)
    with pytest.raises(io.CacheOverflowError, match="of side 9"):
        io.run_standard(*make(8, 2), 20, block=9)
    for options in ({"block_q": 0}, {"block_kv": 2.5}):
        with pytest.raises((RangeError, DTypeError), match="block_"):
            io.io_flash(8, 2, 64, **options)


@pytest.mark.parametrize("dtype", ["float16", np.float16, "bfloat16", np.dtype("f2")])
def test_two_byte_dtypes_in_every_spelling(dtype):
    assert io.plan_attention(64, 8, 1024, dtype).capacity == 512


def test_torch_dtypes_are_understood():
    torch = pytest.importorskip("torch")
    for dtype, size in ((torch.bfloat16, 2), (torch.float32, 4), (torch.float8_e4m3fn, 1)):
        assert io.plan_attention(64, 8, 1024, dtype).item_bytes == size


@pytest.mark.parametrize("dtype", ["int8", np.int64, bool, "complex64", "floaty", None, 3, "U5"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(DTypeError, match="wanted a floating dtype"):
        io.plan_attention(64, 8, 1024, dtype)


def test_caches_too_small_for_any_schedule():
    with pytest.raises(io.CacheOverflowError, match=r"holds 3 words of 2 bytes.*at least 4"):
        io.plan_attention(8, 2, 7, "float16")
    with pytest.raises(io.CacheOverflowError, match="causal, takes at least 9"):
        io.plan_attention(8, 2, 16, "float16", is_causal=True)
    with pytest.raises(RangeError, match="cache_bytes is 1"):
        io.plan_attention(8, 2, 1, "float16")
    assert io.plan_attention(8, 2, 8, "float16").algorithm == "square"


def test_length_one_and_sizes_beyond_64_bits():
    plan = io.plan_attention(1, 1, 64, "float64")
    assert plan.moved.total == plan.lower_bound == 4
    plan = io.plan_attention(2**40, 128, 2**20)
    assert plan.moved.total > 2**63
    assert 1.0 <= plan.ratio <= 8
    causal = io.plan_attention(2**30, 128, 2**20, is_causal=True)
    assert causal.moved.total < 0.6 * io.plan_attention(2**30, 128, 2**20).moved.total


@given(n=st.integers(1, 200), block_q=st.integers(1, 210), block_kv=st.integers(1, 210))
def test_causal_keys_are_summed_as_block_by_block(n, block_q, block_kv):
    rows, columns = min(block_q, n), min(block_kv, n)
    ends = np.minimum(np.arange(rows, n + rows, rows), n)
    keys = int(np.minimum(-(-ends // columns) * columns, n).sum())
    moved = io.io_flash(n, 1, 10**6, block_q=block_q, block_kv=block_kv, is_causal=True)
    assert moved.total == 2 * n + 2 * keys


def test_kernel_tiles_fit_and_the_cheapest_comes_first():
    tiles = io.plan_kernel_tiles(8192, 128, "bfloat16")
    assert all(tile.shared_bytes <= 232_448 for tile in tiles)
    assert all(tile.register_bytes <= 262_144 for tile in tiles)
    assert [tile.seconds for tile in tiles] == sorted(tile.seconds for tile in tiles)
    # Keys and values of one head, 4 MB, stay in a second-level cache of 50 MB.
    assert {tile.memory_bytes_moved for tile in tiles} == {4 * 8192 * 128 * 2}
    small = io.plan_kernel_tiles(8192, 128, "bfloat16", l2_bytes=0)
    assert all(tile.memory_bytes_moved == tile.cache_bytes_moved for tile in small)
    for tile in small:
        rows = tile.block_q
        words = 2 * 8192 * 128 * (1 + -(-8192 // rows))
        assert tile.cache_bytes_moved == 2 * words
    assert io.plan_kernel_tiles(8192, 128, flops_per_second=1e18)[0].bound != "compute"


def test_kernel_tiles_refuse_nonsense(unchecked):
    with pytest.raises(io.CacheOverflowError, match="no tile of 16 or more fits"):
        io.plan_kernel_tiles(64, 4096)
    with pytest.raises(RangeError, match="above 0"):
        io.plan_kernel_tiles(64, 64, flops_per_second=0)
    with pytest.raises(RangeError, match="stages is 0"):
        io.plan_kernel_tiles(64, 64, stages=0)
    with pytest.raises(DTypeError, match="floating"):
        io.plan_kernel_tiles(64, 64, "int32")


def test_traces_are_checked(unchecked):
    assert io.count_misses(np.empty(0, int), 4) == 0
    assert io.count_misses(np.arange(64), 16, line=8) == 8
    assert io.count_misses(np.array([0, 0, 0]), 1, policy="optimal") == 1
    with pytest.raises(DTypeError, match="float64"):
        io.count_misses(np.array([0.5]), 4)
    with pytest.raises(RangeError, match="'lru' or 'optimal'"):
        io.count_misses(np.arange(3), 4, policy="random")
    with pytest.raises(RangeError, match="capacity is 4"):
        io.count_misses(np.arange(3), 4, line=8)


def test_importing_needs_numpy_alone():
    code = "import sys; sys.modules['torch'] = sys.modules['scipy'] = None; import {}"
    for module in ("tractable.attention.io", "tractable.claims.attention.io"):
        subprocess.run([sys.executable, "-c", code.format(module)], check=True)
