"""Sparse spectra: against the definition, the full transform, brute force, and hostile input."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loops import numpy_only
from scipy.linalg import hadamard

import tractable
from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable.algorithms import sparse_wht as package
from tractable.algorithms.sparse_wht import (
    SparseBooleanRegressor,
    SparseSpectrum,
    _codes,
    _gf2,
    fwht,
    reference,
    sparse_wht,
)

METHODS = ("noiseless", "nso", "so")
TEN_DECIBELS = np.sqrt(0.1)


def spectrum_of(n, terms, rng, values=None):
    support = np.zeros(0, np.uint64)
    while support.size < terms:
        support = np.unique(np.append(support, rng.integers(0, 1 << n, terms, dtype=np.uint64)))
    support = np.sort(rng.permutation(support)[:terms])
    values = rng.choice([-1.0, 1.0], terms) if values is None else values
    return SparseSpectrum(support, values, n, 0, True, 0, 0.0)


def noisy(truth, std, seed):
    rng = np.random.default_rng(seed)
    return lambda m: truth.evaluate(m) + std * rng.standard_normal(m.size)


@pytest.fixture
def interpreted():
    """Run without Numba."""
    with numpy_only(package):
        yield


# The full transform.


@given(n=st.integers(0, 7), seed=st.integers(0, 2**32), complex_values=st.booleans())
@settings(max_examples=40)
def test_full_transform_is_the_definition(n, seed, complex_values):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(1 << n) + (1j * rng.standard_normal(1 << n) if complex_values else 0)
    np.testing.assert_allclose(fwht(x, norm="forward"), reference(x), atol=1e-12)


@pytest.mark.parametrize("n", range(9))
def test_full_transform_agrees_with_scipy(n):
    x = np.random.default_rng(n).standard_normal(1 << n)
    np.testing.assert_allclose(fwht(x), hadamard(1 << n) @ x, atol=1e-10)


@pytest.mark.parametrize("shape", [(8,), (3, 16), (4, 3), (2, 8, 5), (2, 2, 1), (4, 0)])
@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "c16", "i8"])
def test_every_axis_and_type(shape, kind, unchecked):
    rng = np.random.default_rng(0)
    x = (10 * rng.standard_normal(shape)).astype(kind)
    for axis in range(len(shape)):
        length = shape[axis]
        if length & (length - 1) or not x.size:
            with pytest.raises(ShapeError):
                fwht(x, axis)
            continue
        wanted = np.moveaxis(np.moveaxis(x, axis, -1) @ hadamard(length), -1, axis)
        ours = fwht(x, axis)
        assert ours.dtype == ("f8" if kind == "i8" else kind)
        np.testing.assert_allclose(ours, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n", [12, 13, 14, 17])
def test_long_transforms_undo_themselves(n):
    x = np.random.default_rng(n).standard_normal(1 << n)
    y = fwht(x, norm="ortho")
    assert np.isclose((x**2).sum(), (y**2).sum())  # Parseval
    np.testing.assert_allclose(fwht(y, norm="ortho"), x, atol=1e-10)


def test_shifting_the_points_flips_signs():
    x, shift = np.random.default_rng(1).standard_normal(64), 37
    flips = 1.0 - 2.0 * (np.bitwise_count(np.arange(64) & shift) & 1)
    np.testing.assert_allclose(fwht(x[np.arange(64) ^ shift]), fwht(x) * flips, atol=1e-12)


def test_overwriting_and_what_cannot_be_overwritten():
    x = np.arange(8.0)
    assert fwht(x, overwrite=True) is x
    whole = np.arange(16.0)
    strided, frozen = whole[::2], np.arange(8.0)
    frozen.flags.writeable = False
    for array in (strided, frozen, np.arange(8)):
        copy = array.copy()
        np.testing.assert_allclose(fwht(array, overwrite=True), hadamard(8) @ copy)
        np.testing.assert_array_equal(array, copy)
    assert fwht([5.0]).tolist() == [5.0]
    assert fwht(np.full(4, 1e300)).tolist() == [4e300, 0, 0, 0]


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([], ShapeError, "at least one element"),
        (3.0, ShapeError, "one number|1 axes"),
        ([1, 2, 3], ShapeError, "power of two"),
        ([1, np.nan], DataError, "NaN"),
        ([1j, np.inf], DataError, "NaN"),
        ([True, False], DTypeError, "bool"),
        (["a", "b"], DTypeError, "dtype"),
    ],
)
def test_full_transform_refuses(unchecked, x, error, words):
    for call in (fwht, reference):
        with pytest.raises(error, match=words):
            call(x)


def test_full_transform_refuses_options(unchecked):
    with pytest.raises(RangeError, match="axis is 2"):
        fwht([1.0], 2)
    with pytest.raises(RangeError, match="'backward'"):
        fwht([1.0], norm="backward")


def test_full_transform_without_numba(interpreted):
    rng = np.random.default_rng(2)
    for shape, axis in [((64,), 0), ((4, 8, 3), 1), ((2, 2), 0)]:
        x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
        wanted = np.moveaxis(np.moveaxis(x, axis, -1) @ hadamard(shape[axis]), -1, axis)
        np.testing.assert_allclose(fwht(x, axis), wanted, atol=1e-10)


# The pieces: arithmetic over GF(2), codes.


@given(n=st.integers(1, 63), seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_a_word_is_found_from_its_products_with_a_basis(n, seed):
    rng = np.random.default_rng(seed)
    basis, dual = _gf2.random_basis(n, rng)
    words = _gf2.random_words(n, 20, rng)
    np.testing.assert_array_equal(_gf2.combine(dual, _gf2.products(basis, words)), words)
    few = basis[:5]
    np.testing.assert_array_equal(
        _gf2.span(few), _gf2.combine(few, np.arange(1 << few.size, dtype=np.uint64))
    )


@pytest.mark.parametrize("method", METHODS)
@given(width=st.integers(1, 56), seed=st.integers(0, 2**32), complex_values=st.booleans())
@settings(max_examples=30)
def test_a_clean_bin_tells_its_index(method, width, seed, complex_values):
    rng = np.random.default_rng(seed)
    made = _codes.make_code(method, width, 5, rng)
    assert np.unique(made.masks).size == made.masks.size
    messages = _gf2.random_words(width, 9, rng)
    sizes = rng.standard_normal(9) + (1j * rng.standard_normal(9) if complex_values else 0)
    values = sizes[:, None] * _gf2.signs(made.masks, messages)
    np.testing.assert_array_equal(made.decode(values), messages)


def test_the_code_has_free_distance_ten():
    messages = np.arange(1, 1 << 12, dtype=np.uint64)
    weights = _gf2.parity(messages[:, None] & _codes.code_masks(12)).sum(axis=1)
    assert weights.min() == 10


def soft_words(width, rows, noise, seed):
    rng = np.random.default_rng(seed)
    messages = _gf2.random_words(width, rows, rng)
    words = _gf2.signs(_codes.code_masks(width), messages)
    return (words + noise * rng.standard_normal(words.shape)).reshape(rows, -1, 2)


@given(width=st.integers(1, 9), noise=st.floats(0, 4), seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_viterbi_is_maximum_likelihood(width, noise, seed):
    soft = soft_words(width, 6, noise, seed)
    every = np.arange(1 << width, dtype=np.uint64)
    fits = soft.reshape(6, -1) @ _gf2.signs(_codes.code_masks(width), every).T
    np.testing.assert_array_equal(_codes.viterbi(soft), every[fits.argmax(axis=1)])


@pytest.mark.parametrize("noise", [0.3, 1.0, 3.0])
def test_compiled_viterbi_is_its_twins(noise):
    loops = pytest.importorskip("tractable.algorithms.sparse_wht._compiled")
    soft = soft_words(30, 200, noise, 5)
    ours = loops.viterbi(soft, _codes._outputs(), _codes.MEMORY)
    np.testing.assert_array_equal(ours, _codes.viterbi(soft))


# The sparse transform.


@pytest.mark.parametrize("method", METHODS)
@given(
    n=st.integers(1, 13),
    terms=st.integers(0, 40),
    seed=st.integers(0, 2**32),
    complex_values=st.booleans(),
)
@settings(max_examples=25)
def test_same_as_the_full_transform(method, n, terms, seed, complex_values):
    rng = np.random.default_rng(seed)
    terms = min(terms, 1 << n)
    values = rng.uniform(0.5, 2, terms) * rng.choice([-1, 1], terms)
    if complex_values:
        values = values * np.exp(1j * rng.uniform(0, 6, terms))
    truth = spectrum_of(n, terms, rng, values)
    x = truth.evaluate(np.arange(1 << n))
    ours = sparse_wht(x, n, max(terms, 1), method=method, rng=seed)
    assert ours.converged
    np.testing.assert_allclose(ours.dense(), fwht(x, norm="forward"), atol=1e-7)
    np.testing.assert_array_equal(ours.indices, truth.indices)
    assert ours.n_samples <= 1 << n


@pytest.mark.parametrize("method", ["nso", "so"])
@pytest.mark.parametrize("n", [14, 24, 40, 63])
def test_finds_the_support_in_noise(method, n):
    rng = np.random.default_rng(n)
    for seed in range(3):
        truth = spectrum_of(n, 60, rng)
        std = np.sqrt(60) * TEN_DECIBELS
        with tractable.count() as cost:
            ours = sparse_wht(
                noisy(truth, std, seed), n, 60, noise_std=std, method=method, rng=seed
            )
        assert ours.converged
        np.testing.assert_array_equal(ours.indices, truth.indices)
        assert np.abs(ours.values - truth.values).max() < 0.35
        assert cost["oracle queries"] == ours.n_samples
        assert cost["operations"] > 0


def test_complex_values_in_noise():
    rng = np.random.default_rng(3)
    truth = spectrum_of(25, 30, rng, np.exp(1j * rng.uniform(0, 6, 30)))
    std = np.sqrt(30) * TEN_DECIBELS

    def f(m):
        noise = rng.standard_normal(m.size) + 1j * rng.standard_normal(m.size)
        return truth.evaluate(m) + std * noise / np.sqrt(2)

    for method in ("nso", "so"):
        ours = sparse_wht(f, 25, 30, noise_std=std, method=method, rng=4)
        np.testing.assert_array_equal(ours.indices, truth.indices)
        assert np.abs(ours.values - truth.values).max() < 0.3


@pytest.mark.parametrize(("n", "terms"), [(30, 60), (20, 20), (12, 10)])
def test_unknown_noise_is_estimated(n, terms):
    rng = np.random.default_rng(n)
    truth = spectrum_of(n, terms, rng)
    std = np.sqrt(terms) * TEN_DECIBELS
    ours = sparse_wht(noisy(truth, std, 1), n, terms, noise_std=None, rng=2)
    np.testing.assert_array_equal(ours.indices, truth.indices)
    assert abs(ours.noise_std / std - 1) < 0.2


def test_coefficients_that_noise_outweighs_in_every_bin_are_not_lost_silently():
    # Each bin of the first groups looks empty by itself here; all of them together do not.
    rng = np.random.default_rng(5)
    truth = spectrum_of(30, 60, rng)
    std = np.sqrt(60 * 3.0)
    ours = sparse_wht(noisy(truth, std, 1), 30, 60, noise_std=std, rng=1)
    assert ours.n_samples > 20_000
    assert not ours.converged or ours.indices.size > 55


def test_noise_alone_has_no_coefficients():
    for seed in range(20):
        f = noisy(spectrum_of(20, 0, np.random.default_rng(0)), 2.0, seed)
        ours = sparse_wht(f, 20, 20, noise_std=2.0, rng=seed)
        assert (ours.indices.size, ours.converged) == (0, True)


@pytest.mark.parametrize("method", METHODS)
def test_peeling_frees_what_collides(method):
    """With four bins a group, hardly any of eight coefficients is alone at first."""
    rng = np.random.default_rng(6)
    truth = spectrum_of(24, 8, rng, rng.uniform(1, 2, 8))
    ours = sparse_wht(truth.evaluate, 24, 8, bins=4, n_groups=6, method=method, rng=1)
    np.testing.assert_array_equal(ours.indices, truth.indices)
    np.testing.assert_allclose(ours.values, truth.values, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_rescues_make_up_for_a_wrong_sparsity(method):
    truth = spectrum_of(30, 150, np.random.default_rng(7))
    ours = sparse_wht(truth.evaluate, 30, 20, method=method, rng=1)
    assert ours.converged
    np.testing.assert_array_equal(ours.indices, truth.indices)
    alone = sparse_wht(truth.evaluate, 30, 20, method=method, n_rescues=0, rng=1)
    assert not alone.converged


@pytest.mark.parametrize("seed", range(10))
def test_equal_sizes_that_cancel(seed):
    # 1 + 1 - 1 in one bin has the size of one coefficient at offset 0 and at most unit vectors.
    rng = np.random.default_rng(seed)
    truth = spectrum_of(16, 60, rng)
    ours = sparse_wht(truth.evaluate, 16, 60, rng=seed)
    np.testing.assert_array_equal(ours.indices, truth.indices)


def test_linear_and_blind_to_the_order_of_variables():
    rng = np.random.default_rng(8)
    first, second = spectrum_of(30, 12, rng), spectrum_of(30, 9, rng)
    both = sparse_wht(lambda m: 2 * first.evaluate(m) - second.evaluate(m), 30, 21, rng=1)
    points = _gf2.random_words(30, 50, rng)
    wanted = 2 * first.evaluate(points) - second.evaluate(points)
    np.testing.assert_allclose(both.evaluate(points), wanted, atol=1e-9)
    mask = (1 << 15) - 1

    def swapped(m):
        return first.evaluate((m >> np.uint64(15)) | ((m & np.uint64(mask)) << np.uint64(15)))

    ours = sparse_wht(swapped, 30, 12, rng=1)
    wanted = sorted((int(k) >> 15) | ((int(k) & mask) << 15) for k in first.indices)
    assert ours.indices.tolist() == wanted


def test_same_seed_same_result_and_no_point_twice():
    truth = spectrum_of(14, 40, np.random.default_rng(9))
    asked = []

    def f(m):
        asked.append(m)
        return truth.evaluate(m)

    results = [sparse_wht(f, 14, 40, rng=3) for _ in range(2)]
    np.testing.assert_array_equal(results[0].values, results[1].values)
    points = np.concatenate(asked[: len(asked) // 2])
    assert np.unique(points).size == points.size == results[0].n_samples
    assert points.dtype == np.uint64


@pytest.mark.parametrize("method", METHODS)
def test_without_numba(interpreted, method):
    truth = spectrum_of(24, 30, np.random.default_rng(10), np.exp(1j * np.arange(30)))
    std = 1.0
    rng = np.random.default_rng(1)

    def f(m):
        return truth.evaluate(m) + std * rng.standard_normal(m.size)

    ours = sparse_wht(f, 24, 30, bins=128, noise_std=std, method=method, rng=2)
    np.testing.assert_array_equal(ours.indices, truth.indices)


@pytest.mark.parametrize("method", METHODS)
def test_same_with_and_without_numba(method):
    pytest.importorskip("numba")
    truth = spectrum_of(20, 50, np.random.default_rng(11))
    results = []
    for engine in (nullcontext(), numpy_only(package)):
        f = noisy(truth, 2.0, 1)
        with engine:
            results.append(sparse_wht(f, 20, 50, noise_std=2.0, method=method, rng=2))
    np.testing.assert_array_equal(results[0].indices, results[1].indices)
    np.testing.assert_allclose(results[0].values, results[1].values, atol=1e-9)


# Signals of every kind.


@pytest.mark.parametrize(
    ("x", "indices", "values"),
    [
        ([5.0, 5.0], [0], [5.0]),
        (np.zeros(16), [], []),
        (np.full(1 << 12, -3, np.int16), [0], [-3.0]),
        (np.full(1 << 12, 1e308), [0], [1e308]),
        (np.full(1 << 12, 1e-300), [0], [1e-300]),
        (np.tile([1.0, -1.0], 1 << 11), [1], [1.0]),
        (np.tile(np.float32([1, -1, 9]), 1 << 12)[::3], [0], [1.0]),
        (np.tile([2j, 0], 1 << 11), [0, 1], [1j, 1j]),
    ],
)
def test_arrays_of_every_kind(x, indices, values):
    array = np.asarray(x)
    copy = array.copy()
    array.flags.writeable = False
    for method in ("auto", *METHODS):
        ours = sparse_wht(array, array.size.bit_length() - 1, 2, method=method, rng=0)
        assert ours.indices.tolist() == indices
        np.testing.assert_allclose(ours.values, values)
    np.testing.assert_array_equal(array, copy)


def test_one_large_and_one_small_coefficient():
    truth = SparseSpectrum(np.array([3, 9], np.uint64), np.array([1e6, 1.0]), 30, 0, True, 0, 0.0)
    ours = sparse_wht(truth.evaluate, 30, 2, rng=0)
    np.testing.assert_allclose(ours.values, truth.values)
    assert sparse_wht(truth.evaluate, 30, 2, min_amplitude=2.0, rng=0).indices.tolist() == [3]


@pytest.mark.parametrize(
    ("f", "error", "words"),
    [
        ([], ShapeError, "wanted"),
        ([1.0], ShapeError, "wanted"),
        (np.zeros((2, 2)), ShapeError, "wanted"),
        (np.array([1, 2, np.nan, 4]), DataError, "finite wherever"),
        ([True, False, True, False], DTypeError, "bool"),
        (["a", "b", "c", "d"], DTypeError, "convert it"),
        (lambda m: m[1:].astype(float), ShapeError, "one number an index"),
        (lambda m: 3.0, ShapeError, "one number"),
        (lambda m: np.full(m.size, np.inf), DataError, "finite wherever"),
        (lambda m: np.full(m.size, "a"), DTypeError, "dtype"),
    ],
)
def test_refuses_bad_signals(unchecked, f, error, words):
    with pytest.raises(error, match=words):
        sparse_wht(f, 2, 1)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"n": 0}, RangeError, "n is 0"),
        ({"n": 64}, RangeError, "n is 64"),
        ({"n": 5.0}, DTypeError, "integer"),
        ({"sparsity": 0}, RangeError, "sparsity"),
        ({"noise_std": -1.0}, RangeError, "noise_std"),
        ({"noise_std": np.nan}, RangeError, "noise_std"),
        ({"method": "fast"}, RangeError, "'fast'"),
        ({"n_groups": 1}, RangeError, "n_groups"),
        ({"bins": 12}, RangeError, "power of two"),
        ({"bins": 1 << 20}, RangeError, "bins"),
        ({"n_random": -1}, RangeError, "n_random"),
        ({"n_rescues": -1}, RangeError, "n_rescues"),
        ({"rng": "seed"}, DTypeError, "rng"),
    ],
)
def test_refuses_bad_options(unchecked, options, error, words):
    with pytest.raises(error, match=words):
        sparse_wht(**{"f": np.zeros(1 << 10), "n": 10, "sparsity": 2, **options})


def test_evaluating_a_spectrum(unchecked):
    spectrum = SparseSpectrum(np.array([1], np.uint64), np.array([2.0]), 4, 0, True, 0, 0.0)
    assert spectrum.evaluate([]).tolist() == []
    assert spectrum.evaluate(np.arange(16)[::5]).tolist() == [2.0, -2.0, 2.0, -2.0]
    assert spectrum.evaluate([1, 1]).tolist() == [-2.0, -2.0]
    with pytest.raises(RangeError, match="points span 3 to 16"):
        spectrum.evaluate([3, 16])
    with pytest.raises(DTypeError, match="float64"):
        spectrum.evaluate([0.5])
    with pytest.raises(ShapeError, match="1 axes"):
        spectrum.evaluate([[1]])
    with pytest.raises(RangeError, match="at most 28"):
        spectrum._replace(n=29).dense()


# Functions of rows of bits.


def test_learns_the_cut_function_of_a_hypergraph():
    rng = np.random.default_rng(12)
    edges = [rng.choice(24, 3, replace=False) for _ in range(8)]

    def cut(B):
        return np.sum([B[:, e].min(axis=1) != B[:, e].max(axis=1) for e in edges], axis=0)

    model = SparseBooleanRegressor(25, rng=0).fit_query(cut, 24)
    pairs = {pair for e in edges for pair in itertools.combinations(sorted(e.tolist()), 2)}
    assert {columns for columns, _ in model.terms()} == {()} | pairs
    B = rng.integers(0, 2, (50, 24))
    np.testing.assert_allclose(model.predict(B), cut(B), atol=1e-9)
    np.testing.assert_allclose(model.predict(B.astype(bool)), cut(B), atol=1e-9)
    np.testing.assert_allclose(model.predict(np.asfortranarray(B)[::2]), cut(B)[::2], atol=1e-9)


def test_learns_a_decision_tree():
    tree = pytest.importorskip("sklearn.tree")
    rng = np.random.default_rng(13)
    B = rng.integers(0, 2, (400, 30))
    target = B[:, 3] * B[:, 8] + (B[:, 20] ^ B[:, 11]) + 0.1 * rng.standard_normal(400)
    learner = tree.DecisionTreeRegressor(max_depth=5, random_state=0).fit(B, target)
    model = SparseBooleanRegressor(150, rng=0).fit_query(learner.predict, 30)
    assert model.spectrum_.converged
    assert model.spectrum_.n_samples < 2**30 / 1e4
    rows = rng.integers(0, 2, (200, 30))
    np.testing.assert_allclose(model.predict(rows), learner.predict(rows), atol=1e-6)


def test_regressor_refuses(unchecked):
    model = SparseBooleanRegressor(2)
    with pytest.raises(RangeError, match="fit_query first"):
        model.predict([[0]])
    with pytest.raises(RangeError, match="n is 64"):
        model.fit_query(lambda B: B[:, 0], 64)
    with pytest.raises(ShapeError, match="one number an index"):
        model.fit_query(lambda B: B[:, :1], 3)
    model.fit_query(lambda B: B[:, 0], 3)
    for rows, error, words in [
        ([[0, 1]], ShapeError, "wanted the 3"),
        ([0, 1, 1], ShapeError, "2 axes"),
        ([[0, 1, 2]], DataError, "0 and 1"),
        ([[0, 1, np.nan]], DataError, "NaN"),
        (np.zeros((0, 3)), ShapeError, "at least one element"),
        ([["a", "b", "c"]], DTypeError, "dtype"),
    ]:
        with pytest.raises(error, match=words):
            model.predict(rows)
