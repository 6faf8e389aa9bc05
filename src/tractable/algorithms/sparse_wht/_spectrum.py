"""The method's public function: sample, peel, sample more where that did not suffice, refit."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt64
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtri

from tractable._core import RangeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.sparse_wht import _gf2, _peel
from tractable.algorithms.sparse_wht._codes import Method
from tractable.algorithms.sparse_wht._gf2 import Words
from tractable.algorithms.sparse_wht._peel import FALSE_ALARM, ROUNDING, Group, Noise
from tractable.algorithms.sparse_wht._samples import Samples, Signal
from tractable.algorithms.sparse_wht._transform import transform_in_place

EXTRA = {"noiseless": 2, "nso": 4, "so": 2}
"""Random offsets a group where the caller gives none."""

LOAD = 0.6
"""Bins a coefficient in each group, before rounding up to a power of two.

Density evolution has its threshold at 0.41 for three groups and unbounded K. At K = 100 a pair of
coefficients that shares a bin in every group is the usual obstacle, which no such margin removes.
"""

EMPTY_LOAD = 1.0
"""The same where the noise is estimated, so that a third of the bins is empty at least."""

MOST_BITS = 63
CHUNK = 1 << 20
"""Signs that evaluating a spectrum holds at a time."""


class SparseSpectrum(NamedTuple):
    """The coefficients that were found; x_m = Σ_k X_k (-1)^<k, m>.

    Args:
        indices: k, increasing.
        values: X_k, real or complex.
        n: bits of an index.
        n_samples: points of the signal that were read, each counted once.
        converged: whether nothing but noise is left in any bin.
        bins: of the first groups; 2^n if the whole signal was read.
        noise_std: of one sample, as given or estimated.
    """

    indices: UInt64[np.ndarray, "K"]
    values: Num[np.ndarray, "K"]
    n: int
    n_samples: int
    converged: bool
    bins: int
    noise_std: float

    def evaluate(self, points: ArrayLike) -> Num[np.ndarray, "points"]:
        """Return the signal that these coefficients make, at points from 0 to 2^n - 1.

        Raises:
            DTypeError: for points that are no whole numbers.
            RangeError: for points outside the range.
            ShapeError: for more than one axis.
        """
        raw = np.asarray(points)
        if raw.size == 0:
            return np.zeros(0, self.values.dtype)
        array = as_array("points", raw, ndim=1, kinds="iu")
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= 1 << self.n:
            raise RangeError(f"points span {low} to {high}; wanted 0 to 2^{self.n} - 1")
        words = array.astype(np.uint64)
        total = np.zeros(words.size, self.values.dtype)
        rows = max(1, CHUNK // max(1, self.indices.size))
        for start in range(0, words.size, rows):
            part = words[start : start + rows]
            total[start : start + rows] = _gf2.signs(self.indices, part) @ self.values
        return total

    def dense(self) -> Num[np.ndarray, "N"]:
        """Return all 2^n coefficients.

        Raises:
            RangeError: for more than 28 bits, which would take over 2 GB.
        """
        if self.n > 28:
            raise RangeError(f"n is {self.n}; wanted at most 28, use indices and values instead")
        full = np.zeros(1 << self.n, self.values.dtype)
        full[self.indices.astype(np.intp)] = self.values
        return full


def sparse_wht(
    f: Signal,
    n: int,
    sparsity: int,
    *,
    noise_std: float | None = 0.0,
    method: Method = "auto",
    n_groups: int = 3,
    bins: int | None = None,
    n_random: int | None = None,
    n_rescues: int = 4,
    min_amplitude: float = 0.0,
    rng: int | np.random.Generator | None = None,
) -> SparseSpectrum:
    """Find the coefficients of a signal of 2^n points that has few of them.

    Args:
        f: the signal: an array of 2^n numbers, or a function that takes uint64 indices (q,) and
            returns as many real or complex numbers. Bit i of an index is variable i. No point
            is asked for twice.
        n: 1 to 63.
        sparsity: about how many coefficients there are, at least 1. It sets the bins; more are
            found as well, at the price of rescues.
        noise_std: standard deviation of the noise in one value of f; None estimates it from
            the emptiest bins.
        method: "so" (sample optimal: offsets from an error-correcting code), "nso" (near sample
            optimal: unit vectors at random offsets, by vote), "noiseless" (each bit from one
            pair of values), or "auto": "noiseless" for noise_std 0, else "so".
        n_groups: hashes, at least 2.
        bins: a power of two below 2^n; None takes 0.6 a coefficient, rounded up.
        n_random: random offsets a group; None takes 4 repeats for "nso", 2 checks for the
            others.
        n_rescues: how many groups may be added, each with twice the bins of the one before,
            while something is left in the bins.
        min_amplitude: coefficients smaller than this are left out.
        rng: a seed, a generator, or None for fresh entropy; draws hashes and offsets.

    Returns:
        The spectrum. Where sampling would take all 2^n points, they are read and transformed.

    Raises:
        DataError: for NaN or infinite values of f.
        DTypeError: for values of f or arguments of the wrong type.
        RangeError: for arguments out of range.
        ShapeError: for an array that has not 2^n entries, or answers of the wrong length.

    Example:
        >>> def f(m):  # 3 - 2 (-1)^(bit 0 + bit 39)
        ...     return 3.0 - 2.0 * (-1.0) ** ((m ^ (m >> np.uint64(39))) & np.uint64(1))
        >>> spectrum = sparse_wht(f, 40, 2, rng=0)
        >>> spectrum.indices.tolist() == [0, 2**39 + 1], spectrum.values.round(9).tolist()
        (True, [3.0, -2.0])
    """
    n = check_integer("n", n, low=1, high=MOST_BITS)
    sparsity = check_integer("sparsity", sparsity, low=1)
    std = None if noise_std is None else check_number("noise_std", noise_std, low=0.0)
    if method not in ("auto", "noiseless", "nso", "so"):
        raise RangeError(f"method is {method!r}; wanted auto, noiseless, nso or so")
    chosen = method if method != "auto" else "noiseless" if std == 0.0 else "so"
    n_groups = check_integer("n_groups", n_groups, low=2)
    extra = EXTRA[chosen] if n_random is None else check_integer("n_random", n_random, low=0)
    rescues = check_integer("n_rescues", n_rescues, low=0)
    floor = check_number("min_amplitude", min_amplitude, low=0.0)
    b = _bits_of_bins(bins, n, sparsity * (EMPTY_LOAD if std is None else LOAD))
    generator = as_generator(rng)
    samples = Samples(f, n)
    groups: list[Group] = []
    keys, amounts = np.zeros(0, np.uint64), np.zeros(0)
    variances = np.zeros(0)
    noise = Noise(0.0, 0.0)
    converged = False
    for attempt in range(1 + rescues):
        bits = b + attempt
        fresh = (
            []
            if bits >= n
            else [
                Group(n, bits, chosen, extra, generator)
                for _ in range(n_groups if attempt == 0 else 1)
            ]
        )
        wanted = sum(group.shape[0] * group.shape[1] for group in fresh)
        if not fresh or len(samples) + wanted >= 1 << n:
            return _whole(samples, std, floor)
        for group in fresh:
            group.sample(samples)
        if attempt == 0:
            variance = (
                _peel.estimate_variance(fresh, sparsity)
                if std is None
                else (std / samples.unit) ** 2
            )
            largest = max(float(np.abs(group.values).max()) for group in fresh)
            noise = Noise(variance, ROUNDING * largest)
        else:
            fresh[0].subtract(keys, amounts)
        groups += fresh
        new, sizes = _peel.peel(groups, noise, max(sparsity, 20))
        keys, amounts = _merge(np.append(keys, new), np.append(amounts, sizes))
        amounts, variances = _peel.refit(groups, keys, amounts, noise)
        converged = all(_peel.is_explained(group, noise) for group in groups)
        if converged:
            break
    limit = variances * chdtri(1, FALSE_ALARM / max(1, keys.size)) + noise.rounding**2
    kept = (np.abs(amounts) ** 2 > limit) & (np.abs(amounts) * samples.unit >= floor)
    note("iterations", len(groups) - n_groups + 1)
    return SparseSpectrum(
        keys[kept],
        amounts[kept] * samples.unit,
        n,
        len(samples),
        converged,
        1 << b,
        float(np.sqrt(noise.variance)) * samples.unit,
    )


def _bits_of_bins(bins: int | None, n: int, wanted: float) -> int:
    if bins is None:
        return min(n, max(1, math.ceil(math.log2(max(wanted, 1.0)))))
    count = check_integer("bins", bins, low=2, high=1 << (n - 1) if n > 1 else 2)
    if count & (count - 1):
        raise RangeError(f"bins is {count}; wanted a power of two")
    return count.bit_length() - 1


def _merge(keys: Words, amounts: NDArray[Any]) -> tuple[Words, NDArray[Any]]:
    """Add up the amounts of the same index."""
    distinct, places = np.unique(keys, return_inverse=True)
    total = np.zeros(distinct.size, amounts.dtype)
    np.add.at(total, places, amounts)
    return distinct, total


def _whole(samples: Samples, std: float | None, floor: float) -> SparseSpectrum:
    """Read every point, transform, and keep what noise does not explain."""
    size = 1 << samples.n
    values = samples.read(np.arange(size, dtype=np.uint64))
    transform_in_place(values, 0)
    note("operations", size * samples.n)
    values /= size
    power = np.abs(values) ** 2
    middle = math.log(2) if values.dtype.kind == "c" else 0.4549  # the median of noise squared
    known = None if std is None else (std / samples.unit) ** 2 / size
    variance = float(np.median(power)) / middle if known is None else known
    limit = variance * chdtri(1, FALSE_ALARM / size) + ROUNDING**2 * power.max()
    kept = np.flatnonzero((power > limit) & (np.sqrt(power) * samples.unit >= floor))
    return SparseSpectrum(
        kept.astype(np.uint64),
        values[kept] * samples.unit,
        samples.n,
        len(samples),
        True,
        size,
        float(np.sqrt(variance * size)) * samples.unit,
    )
