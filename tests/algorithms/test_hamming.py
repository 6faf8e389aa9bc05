"""Exact distances: engines against the reference, a second opinion, and hostile input."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only
from scipy import signal

import tractable
from tractable._core import DTypeError, RangeError, ShapeError
from tractable.algorithms import hamming
from tractable.algorithms.hamming import (
    EngineConstants,
    HammingPlan,
    _engines,
    _hashed,
    hamming_distances,
    k_mismatch,
    reference,
    sumset_counts,
)

METHODS = ("auto", "bytes", "bitparallel", "sparse", "fft", "mixed", "hashed")


@st.composite
def pairs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 600))
    length = draw(st.integers(1, size))
    letters = draw(st.sampled_from([1, 2, 5, 40, 300, 1000]))
    text = rng.integers(0, letters, size)
    pattern = rng.integers(0, letters, length)
    if draw(st.booleans()):
        start = draw(st.integers(0, size - length))
        pattern = text[start : start + length].copy()
    return text, pattern


@pytest.mark.parametrize("method", METHODS)
@given(pair=pairs(), equal=st.booleans())
@settings(max_examples=30, deadline=None)
def test_same_as_reference(method, pair, equal):
    text, pattern = pair
    constants = EngineConstants.equal() if equal else None
    ours = hamming_distances(text, pattern, method=method, constants=constants)
    np.testing.assert_array_equal(ours, reference(text, pattern))
    assert ours.dtype == np.int32


@pytest.mark.parametrize("letters", [2, 30, 700])
def test_engines_agree_on_long_texts(letters):
    rng = np.random.default_rng(letters)
    text = rng.zipf(1.3, 60_000).clip(0, letters)
    pattern = np.where(rng.random(5000) < 0.7, text[7000:12_000], rng.permutation(text[:5000]))
    wanted = hamming_distances(text, pattern, method="bitparallel")
    for method in set(METHODS) - {"bytes"}:
        np.testing.assert_array_equal(hamming_distances(text, pattern, method=method), wanted)


def test_agrees_with_scipy_correlation():
    rng = np.random.default_rng(3)
    text, pattern = rng.integers(0, 6, 3000), rng.integers(0, 6, 700)
    matches = sum(
        signal.correlate((text == c).astype(float), (pattern == c).astype(float), mode="valid")
        for c in range(6)
    )
    np.testing.assert_array_equal(
        hamming_distances(text, pattern), 700 - np.rint(matches).astype(int)
    )


def test_sum_over_all_shifts_is_the_number_of_equal_pairs():
    rng = np.random.default_rng(4)
    text, pattern = rng.integers(0, 9, 500), rng.integers(0, 9, 60)
    padded = np.concatenate([np.full(59, -1), text, np.full(59, -1)])
    matches = 60 - hamming_distances(padded, pattern)
    pairs_of_letters = np.bincount(text, minlength=9) @ np.bincount(pattern, minlength=9)
    assert matches.sum() == pairs_of_letters


def test_relabelling_and_reversing():
    rng = np.random.default_rng(5)
    text, pattern = rng.integers(0, 9, 800), rng.integers(0, 9, 90)
    wanted = hamming_distances(text, pattern)
    names = rng.integers(-(2**62), 2**62, 9)
    np.testing.assert_array_equal(hamming_distances(names[text], names[pattern]), wanted)
    np.testing.assert_array_equal(hamming_distances(text[::-1], pattern[::-1])[::-1], wanted)


@pytest.mark.parametrize("name", ["fibonacci", "constant", "one letter a place", "short period"])
def test_special_strings(name):
    fibonacci = ["a", "ab"]
    while len(fibonacci[-1]) < 2000:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    text = {
        "fibonacci": np.frombuffer(fibonacci[-1][:2000].encode(), np.uint8),
        "constant": np.zeros(2000, np.uint8),
        "one letter a place": np.arange(2000),
        "short period": np.tile([1, 2, 3], 667)[:2000],
    }[name]
    pattern = text[500:800]
    wanted = hamming_distances(text, pattern, method="bytes")
    assert wanted[500] == 0
    for method in METHODS:
        np.testing.assert_array_equal(hamming_distances(text, pattern, method=method), wanted)
    for bound in (0, 5, 299, 300):
        np.testing.assert_array_equal(
            k_mismatch(text, pattern, bound), np.minimum(wanted, bound + 1)
        )


def test_letters_of_every_kind():
    wanted = [0, 2, 4, 2, 0]
    for text, pattern in [
        ("abbaabba", "abba"),
        (b"abbaabba", bytearray(b"abba")),
        (memoryview(b"abbaabba"), np.frombuffer(b"abba", np.uint8)),
        ("a\U0001f600\U0001f600aa\U0001f600\U0001f600a", "a\U0001f600\U0001f600a"),
        (np.array([-5, 7, 7, -5, -5, 7, 7, -5]), np.array([-5, 7, 7, -5], np.int8)),
        ([2**40, 1, 1, 2**40, 2**40, 1, 1, 2**40], [2**40, 1, 1, 2**40]),
        (
            np.array([9, 2, 2, 9] * 2, np.uint64) + np.uint64(2**63),
            np.array([9, 2, 2, 9], np.uint64) + np.uint64(2**63),
        ),
    ]:
        assert hamming_distances(text, pattern).tolist() == wanted
    # 2**64 - 1 as uint64 is no -1, and neighbours beyond 2**53 differ.
    assert hamming_distances(np.array([2**64 - 1, 5], np.uint64), np.array([-1])).tolist() == [1, 1]
    assert hamming_distances(np.array([-1, 5]), np.array([2**64 - 1], np.uint64)).tolist() == [1, 1]
    big = np.array([2**60, 2**60 + 1], np.uint64)
    assert hamming_distances(big, np.array([2**60 + 1])).tolist() == [1, 0]
    assert hamming_distances(b"ab", [300]).tolist() == [1, 1]
    assert hamming_distances(np.array([300, 44], np.int16), np.array([44], np.uint8)).tolist() == [
        1,
        0,
    ]


def test_strided_input_is_left_alone():
    text = np.arange(40)[::2] % 3
    copy = text.copy()
    assert hamming_distances(text, text[::3]).tolist() == reference(text, text[::3]).tolist()
    np.testing.assert_array_equal(text, copy)


@pytest.mark.parametrize(
    ("text", "pattern", "error", "words"),
    [
        (b"", b"a", ShapeError, "text is empty"),
        (b"a", b"", ShapeError, "pattern is empty"),
        (b"a", b"ab", RangeError, "no longer than the text"),
        ([1.0, 2.0], [1], DTypeError, "float64"),
        ([1, 2], [np.nan], DTypeError, "float64"),
        ([True, False], [1], DTypeError, "bool"),
        ([[1, 2]], [1], ShapeError, "one axis"),
        (7, [1], ShapeError, "one axis"),
    ],
)
def test_refuses_bad_texts(unchecked, text, pattern, error, words):
    for call in (hamming_distances, lambda t, p: k_mismatch(t, p, 1), reference):
        with pytest.raises(error, match=words):
            call(text, pattern)


def test_refuses_bad_options(unchecked):
    with pytest.raises(RangeError, match="bitparallel"):
        hamming_distances(b"ab", b"a", method="best")
    with pytest.raises(RangeError, match="max_memory"):
        hamming_distances(b"ab", b"a", max_memory=5)
    with pytest.raises(RangeError, match="positive"):
        EngineConstants(word=0.0)
    with pytest.raises(RangeError, match="seconds"):
        hamming.calibrate(time.perf_counter, seconds=0.0)


def test_little_memory_gives_the_same():
    rng = np.random.default_rng(6)
    text, pattern = rng.integers(0, 50, 50_000), rng.integers(0, 50, 300)
    wanted = hamming_distances(text, pattern)
    for method in ("bitparallel", "fft", "mixed"):
        part = hamming_distances(text, pattern, method=method, max_memory=2**20)
        np.testing.assert_array_equal(part, wanted)


def test_rounding_falls_back_to_fewer_fields():
    rng = np.random.default_rng(7)
    text, pattern = rng.integers(0, 3, 4000), rng.integers(0, 3, 500)
    plan = HammingPlan(pattern)
    codes = plan._read(text)
    matches = np.zeros(3501, np.int32)
    _engines.count_by_transforms(
        codes,
        plan._pattern,
        np.ones(3, np.bool_),
        matches,
        length=1024,
        fields=6,  # six counts of nine bits: more than the mantissa holds
        max_memory=2**20,
    )
    np.testing.assert_array_equal(500 - matches, hamming_distances(text, pattern))


def test_plan_is_reused_and_counts_its_spectra_once():
    rng = np.random.default_rng(8)
    pattern = rng.integers(0, 4, 2000)
    plan = HammingPlan(pattern, method="fft")
    costs = []
    for _ in range(2):
        text = rng.integers(0, 4, 9000)
        with tractable.count() as cost:
            ours = plan.distances(text)
        np.testing.assert_array_equal(ours, hamming_distances(text, pattern))
        costs.append(cost["operations"])
    assert costs[1] < costs[0]
    assert plan.size == 2000


def test_operations_of_each_engine():
    text, pattern = np.arange(4096) % 16, np.arange(256) % 16
    counted = {}
    for method in METHODS:
        with tractable.count() as cost:
            hamming_distances(text, pattern, method=method, constants=EngineConstants.equal())
        counted[method] = cost["operations"]
    assert counted["bytes"] == (4096 - 255) * 256
    assert counted["sparse"] == 4096 * 16
    assert counted["bitparallel"] == 2 * 61 * 256
    assert counted["mixed"] <= min(counted["sparse"], counted["bitparallel"], counted["fft"])


def test_without_numba():
    rng = np.random.default_rng(9)
    text, pattern = rng.integers(0, 30, 3000), rng.integers(0, 30, 203)
    wanted = reference(text, pattern)
    with numpy_only(hamming):
        for method in METHODS:
            np.testing.assert_array_equal(hamming_distances(text, pattern, method=method), wanted)
        for bound in (3, 190, 250):
            fast = EngineConstants(probe=1e-3, position=0.0)
            ours = k_mismatch(text, pattern, bound, constants=fast)
            np.testing.assert_array_equal(ours, np.minimum(wanted, bound + 1))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_sumset_counts(data):
    universe = data.draw(st.integers(1, 2000))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    sets = []
    for _ in range(2):
        kind = data.draw(st.sampled_from(["random", "progression", "one point", "empty"]))
        sets.append(
            {
                "random": rng.integers(0, universe, 200),
                "progression": np.arange(0, universe, data.draw(st.integers(1, 9))),
                "one point": np.full(30, rng.integers(0, universe)),
                "empty": np.zeros(0, np.int64),
            }[kind]
        )
    sums = np.add.outer(*sets).ravel().astype(int)
    wanted = np.bincount(sums, minlength=2 * universe - 1)
    for method in ("auto", "pairs", "fft", "hashed"):
        ours = sumset_counts(*sets, universe, method=method, rng=0)
        np.testing.assert_array_equal(ours, wanted)


def test_hashing_resolves_ambiguous_classes():
    rng = np.random.default_rng(10)
    # A crowd of equal sums inside a random set overflows its field, nothing else does.
    first = np.union1d(rng.integers(0, 60_000, 700), np.arange(0, 6000, 10))
    second = np.union1d(rng.integers(0, 60_000, 700), np.arange(0, 6000, 10))
    packing = _hashed.Packing(first.size, second.size, 60_000, 60_000)
    assert packing.fields > 1
    sums = np.arange(2 * 60_000 - 1)
    counts, sure = _hashed._count_hashed(first, second, packing, sums, rng)
    wanted = sumset_counts(first, second, 60_000, method="fft")
    assert 0 < np.count_nonzero(~sure) < sums.size
    np.testing.assert_array_equal(counts[sure], wanted[sure])
    np.testing.assert_array_equal(sumset_counts(first, second, 60_000, method="hashed"), wanted)


def test_sumset_refusals(unchecked):
    with pytest.raises(RangeError, match="enlarge universe"):
        sumset_counts([0, 5], [1], 5)
    with pytest.raises(DTypeError, match="float64"):
        sumset_counts([0.5], [1], 5)
    with pytest.raises(ShapeError, match="1 axes"):
        sumset_counts([[1]], [1], 5)


def test_calibration_gives_usable_constants():
    constants = hamming.calibrate(time.perf_counter, seconds=0.1)
    assert min(vars(constants).values()) > 0
    assert hamming_distances(b"abcabc", b"abc", constants=constants).tolist() == [0, 3, 3, 0]
