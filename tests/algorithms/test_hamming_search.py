"""Bounded, approximate and streamed distances."""

import mmap
import sysconfig
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms.hamming import (
    EngineConstants,
    _bounded,
    approx_hamming_distances,
    hamming_distances,
    k_mismatch,
    mismatches,
    reference,
)

STRUCTURE = EngineConstants(probe=1e-3, word=1e-4, increment=1e-5, position=0.0)
"""Constants under which every window is resolved by structure or probing, never exactly."""


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(20, 4000),
    period=st.integers(1, 30),
    letters=st.sampled_from([2, 4, 300]),
    bound=st.integers(0, 60),
)
@settings(max_examples=80, deadline=None)
def test_k_mismatch_on_near_periodic_text(seed, size, period, letters, bound):
    rng = np.random.default_rng(seed)
    noise = int(rng.choice([0, 3, 40]))
    text = np.tile(rng.integers(0, letters, period), size // period + 1)[:size]
    pattern = text[: rng.integers(1, size // 2 + 1)].copy()
    for part in (text, pattern):
        part[rng.integers(0, part.size, noise)] = rng.integers(0, letters, noise)
    wanted = np.minimum(hamming_distances(text, pattern, method="bitparallel"), bound + 1)
    for constants in (None, EngineConstants.equal(), STRUCTURE):
        ours = k_mismatch(text, pattern, bound, constants=constants)
        np.testing.assert_array_equal(ours, wanted)
        assert ours.dtype == np.int32


def test_periodic_case_is_used_and_needs_few_products(monkeypatch):
    rng = np.random.default_rng(0)
    text = np.tile(rng.integers(0, 4, 7), 10_000)
    text[rng.integers(0, text.size, 100)] = 0
    pattern = text[100:20_100].copy()
    calls = []

    def spy(text_steps, pattern_steps, shifts):
        calls.append(text_steps.pairs_with(pattern_steps))
        return original(text_steps, pattern_steps, shifts)

    original = _bounded.count_periodic
    monkeypatch.setattr(_bounded, "count_periodic", spy)
    ours = k_mismatch(text, pattern, 200, constants=EngineConstants.equal())
    wanted = hamming_distances(text, pattern, method="bitparallel")
    np.testing.assert_array_equal(ours, np.minimum(wanted, 201))
    assert calls
    assert max(calls) < 20_000 < pattern.size**2 / 1000


def test_k_mismatch_keeps_all_close_shifts_of_planted_copies():
    rng = np.random.default_rng(1)
    text = rng.integers(0, 20, 30_000).astype(np.uint8)
    pattern = rng.integers(0, 20, 700).astype(np.uint8)
    for start in range(0, 29_000, 3001):
        text[start : start + 700] = pattern
        text[rng.integers(start, start + 700, 30)] = 20
    ours = k_mismatch(text, pattern, 30)
    wanted = hamming_distances(text, pattern)
    np.testing.assert_array_equal(ours, np.minimum(wanted, 31))
    assert np.count_nonzero(ours <= 30) == 10


def test_k_mismatch_refusals(unchecked):
    with pytest.raises(RangeError, match="k is -1"):
        k_mismatch(b"abc", b"a", -1)
    with pytest.raises(DTypeError, match="integer"):
        k_mismatch(b"abc", b"a", 1.5)


@pytest.mark.parametrize("method", ["auto", "buckets", "signs"])
def test_estimates_stay_within_epsilon(method):
    rng = np.random.default_rng(2)
    text, pattern = rng.integers(0, 60, 1500), rng.integers(0, 60, 300)
    text[200:500] = pattern
    text[210:230] = 61
    wanted = hamming_distances(text, pattern)
    for seed in range(5):
        ours = approx_hamming_distances(text, pattern, 0.3, method=method, rng=seed)
        again = approx_hamming_distances(text, pattern, 0.3, method=method, rng=seed)
        np.testing.assert_array_equal(ours, again)
        assert np.abs(ours - wanted).max() <= (0.3 * wanted).max()
        if method != "signs":
            assert (np.abs(ours - wanted) <= 0.3 * wanted).all()
            assert (ours <= wanted).all()


def test_letters_that_never_match_are_seen_by_estimates():
    for method in ("buckets", "signs"):
        ours = approx_hamming_distances([7] * 50, [3] * 20, 0.5, method=method, rng=0)
        np.testing.assert_allclose(ours, 20, rtol=0.5)


@pytest.mark.parametrize("epsilon", [0.0, 1.0, -0.1, np.nan])
def test_estimate_refusals(unchecked, epsilon):
    with pytest.raises(RangeError, match="epsilon"):
        approx_hamming_distances(b"abc", b"a", epsilon)
    with pytest.raises(RangeError, match="delta"):
        approx_hamming_distances(b"abc", b"a", 0.1, delta=0.0)


def brute(text, pattern, bound):
    distances = hamming_distances(text, pattern, method="bytes")
    return [(int(i), int(distances[i])) for i in np.flatnonzero(distances <= bound)]


@given(
    seed=st.integers(0, 2**32),
    size=st.integers(1, 300),
    chunk=st.integers(1, 80),
    bound=st.integers(0, 5),
)
@settings(max_examples=50, deadline=None)
def test_stream_sees_every_shift_once(seed, size, chunk, bound):
    rng = np.random.default_rng(seed)
    text = rng.integers(0, 3, size).astype(np.uint8)
    pattern = rng.integers(0, 3, rng.integers(1, size + 1)).astype(np.uint8)
    wanted = brute(text, pattern, bound)
    assert list(mismatches(text, pattern, bound, chunk=chunk)) == wanted
    cuts = np.sort(rng.integers(0, size + 1, 5))
    pieces = (piece for piece in np.split(text, cuts))
    assert list(mismatches(pieces, pattern, bound, chunk=chunk)) == wanted


def test_stream_reads_real_files(tmp_path):
    folder = Path(sysconfig.get_paths()["stdlib"])
    source = b"".join((folder / name).read_bytes() for name in ("ast.py", "inspect.py"))
    path = tmp_path / "source"
    path.write_bytes(source)
    wanted = brute(source, b"def __init__(self", 3)
    assert len(wanted) > 5
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert list(mismatches(mapped, b"def __init__(self", 3, chunk=5000)) == wanted
        read = iter(lambda: file.read(7000), b"")
        assert list(mismatches(read, b"def __init__(self", 3, chunk=5000)) == wanted
    disk = np.memmap(path, np.uint8, "r")
    assert list(mismatches(disk, b"def __init__(self", 3)) == wanted
    assert list(mismatches(source.decode("latin-1"), "def __init__(self", 3)) == wanted


def test_stream_memory_stays_bounded(tmp_path):
    path = tmp_path / "zeros"
    size = 1 << 25
    with path.open("wb") as file:
        file.truncate(size)
    disk = np.memmap(path, np.uint8, "r")
    pattern = np.ones(64, np.uint8)
    assert next(mismatches(disk[:1000], pattern, 64), None) == (0, 64)
    tracemalloc.start()
    try:
        assert list(mismatches(disk, pattern, 3, chunk=1 << 18)) == []
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4  # the profile alone would take four times the text


BASES = str.maketrans("ACGT", "TGCA")


def test_dna_on_both_strands():
    rng = np.random.default_rng(3)
    text = "".join(rng.choice(list("ACGTacgtNn"), 4000))
    pattern = "ACGNTTGACCa"
    upper = text.upper()
    wanted = []
    for i in range(len(text) - len(pattern) + 1):
        window = upper[i : i + len(pattern)]
        for strand, ours in (("+", pattern.upper()), ("-", pattern.upper()[::-1].translate(BASES))):
            far = sum(x != y or x == "N" for x, y in zip(window, ours, strict=True))
            if far <= 5:
                wanted.append((i, far, strand))
    both = mismatches(text, pattern, 5, "dna", both_strands=True, chunk=100)
    assert list(both) == wanted
    one = mismatches(text.encode(), pattern.encode(), 5, "dna", chunk=999)
    assert list(one) == [(i, far) for i, far, strand in wanted if strand == "+"]


def test_dna_with_nothing_but_unknown_bases():
    assert list(mismatches(b"NNNN", b"NN", 1, "dna")) == []
    assert list(mismatches(b"NNNN", b"NN", 2, "dna")) == [(0, 2), (1, 2), (2, 2)]
    assert list(mismatches([65, 300, -65, 67], b"AC", 1, "dna")) == [(0, 1), (2, 1)]


def test_stream_refusals(unchecked):
    with pytest.raises(DataError, match="'U'"):
        mismatches(b"ACGU", b"GU", 1, "dna")
    with pytest.raises(RangeError, match="alphabet"):
        mismatches(b"ACGU", b"GU", 1, "rna")
    with pytest.raises(RangeError, match="both_strands"):
        mismatches(b"ACGT", b"GT", 1, both_strands=True)
    with pytest.raises(RangeError, match="max is -1"):
        mismatches(b"ACGT", b"GT", -1)
    with pytest.raises(RangeError, match="chunk"):
        mismatches(b"ACGT", b"GT", 1, chunk=0)
    with pytest.raises(ShapeError, match="at least as long"):
        list(mismatches(b"ACGT", b"GTACG", 1))
    assert reference(b"ab", b"ab").tolist() == [0]
