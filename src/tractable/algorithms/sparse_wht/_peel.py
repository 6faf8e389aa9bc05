"""Hashing into bins, testing them, and peeling one coefficient after another."""

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack
from scipy.sparse.linalg import lsqr
from scipy.special import chdtri

from tractable._common.compiled import load_compiled
from tractable._core import note
from tractable.algorithms.sparse_wht import _gf2
from tractable.algorithms.sparse_wht._codes import MEMORY, Code, make_code
from tractable.algorithms.sparse_wht._gf2 import Words
from tractable.algorithms.sparse_wht._samples import Samples
from tractable.algorithms.sparse_wht._transform import transform_in_place

FALSE_ALARM = 1e-4
"""Chance that noise alone makes any bin of a group look occupied."""

SLACK = 0.1
"""By how much the noise may exceed the stated variance before it counts as lost coefficients."""

ROUNDING = 1e-9
"""Share of the largest bin value under which a residual counts as rounding."""


class Group:
    """One hash of the indices into 2^b bins, and the bins' values at every offset.

    Args:
        n, b: bits of an index and of a bin.
        method, extra: as in `make_code`.
        rng: draws the hash and the code.
    """

    def __init__(
        self,
        n: int,
        b: int,
        method: Literal["noiseless", "nso", "so"],
        extra: int,
        rng: np.random.Generator,
    ) -> None:
        """Draw the hash and the offsets; nothing is read yet."""
        basis, self._dual = _gf2.random_basis(n, rng)
        self._b = b
        self._hash, self._open = basis[:b], basis[b:]
        self._method = method
        self.code: Code = make_code(method, n - b, extra, rng)
        self.offsets = _gf2.combine(self._open, self.code.masks)
        self.values: NDArray[Any] = np.zeros((0, 0))
        self.touched = np.ones(1 << b, np.bool_)
        self.energy = np.zeros(1 << b)

    @property
    def open(self) -> int:
        """Bits of an index that the bin leaves open."""
        return self._open.size

    @property
    def shape(self) -> tuple[int, int]:
        """Bins and offsets."""
        return 1 << self._b, self.offsets.size

    def sample(self, samples: Samples) -> None:
        """Read the signal at every offset and fold it into bins."""
        points = self.offsets[:, None] ^ _gf2.span(self._hash)
        read = samples.read(points.ravel()).reshape(points.shape)
        transform_in_place(read, 1)
        self.values = np.ascontiguousarray(read.T) / points.shape[1]
        note("operations", read.size * self._b)

    def bins_of(self, keys: Words) -> NDArray[np.intp]:
        """Return the bin of each index."""
        return _gf2.products(self._hash, keys).astype(np.intp)

    def decode(self, bins: NDArray[np.intp]) -> Words:
        """Return the index that each bin would have, were it alone there."""
        steps = self.code.masks.size
        if self._method == "so":
            steps += 4 * (self._open.size + MEMORY) << MEMORY
        note("operations", bins.size * steps)
        messages = self.code.decode(self.values[bins])
        return _gf2.combine(self._dual[: self._b], bins.astype(np.uint64)) ^ _gf2.combine(
            self._dual[self._b :], messages
        )

    def subtract(self, keys: Words, amounts: NDArray[Any]) -> None:
        """Take coefficients out of their bins."""
        bins = self.bins_of(keys)
        self.touched[bins] = True
        note("operations", keys.size * self.offsets.size)
        if amounts.dtype.kind == "c" and self.values.dtype.kind != "c":
            self.values = self.values.astype(np.complex128)
        amounts = amounts.astype(self.values.dtype, copy=False)
        compiled = load_compiled(__package__)
        if compiled is not None:
            compiled.subtract(self.values, bins, self.offsets, keys, amounts)
        else:
            parts = amounts[:, None] * _gf2.signs(self.offsets, keys)
            np.subtract.at(self.values, bins, parts)


class Noise(NamedTuple):
    """What a residual may be: the variance of one sample, and rounding in a bin."""

    variance: float
    rounding: float

    def limit(self, group: Group) -> float:
        """Return the mean square over offsets under which a bin counts as empty."""
        bins, offsets = group.shape
        quantile = chdtri(offsets, FALSE_ALARM / bins) / offsets
        return float(self.variance / bins * quantile + self.rounding**2)

    def least(self, group: Group) -> float:
        """Return the squared size that a coefficient needs, lest some index fit noise as well.

        A bin has 2^(n-b) indices to choose from, and the best of them fits pure noise far better
        than a given one: the residual alone says nothing where noise outweighs the coefficient.
        """
        bins, offsets = group.shape
        bits = group.open + np.log2(bins / FALSE_ALARM)
        return float(self.variance / bins / offsets * 2 * np.log(2) * bits)


def estimate_variance(groups: list[Group], sparsity: int) -> float:
    """Return the variance of one sample, from the bins that are likely empty.

    With K coefficients a share exp(-K/B) of the bins is empty, and those have the least energy:
    their median starts the estimate, which is then the mean over bins that it calls empty: once,
    because repeating it creeps up to the bins with one coefficient where noise is strong.
    """
    scaled, counts = [], []
    share = 1.0
    for group in groups:
        bins, offsets = group.shape
        scaled.append((np.abs(group.values) ** 2).mean(axis=1) * bins)
        counts.append(np.full(bins, offsets))
        share = min(share, np.exp(-sparsity / bins))
    energy, freedom = np.concatenate(scaled), np.concatenate(counts)
    start = float(np.quantile(energy, share / 2))
    likely = energy <= start * chdtri(freedom, 0.02) / freedom
    return float(energy[likely].mean()) if likely.any() else start


def peel(
    groups: list[Group], noise: Noise, rounds: int, *, repeat: bool = True
) -> tuple[Words, NDArray[Any]]:
    """Find coefficients that are alone in a bin, take them out everywhere, and start again.

    Args:
        groups: with their values, which are peeled in place.
        noise: what may be left.
        rounds: at most so many.
        repeat: whether what was found is taken out of the bins, the step that frees others.

    Returns:
        Indices and coefficients; an index that was found again stands there again.
    """
    keys, amounts = [np.zeros(0, np.uint64)], [np.zeros(0)]
    for _ in range(rounds):
        found = 0
        for group in groups:
            new, sizes = _singletons(group, noise)
            found += new.size
            keys.append(new)
            amounts.append(sizes)
            for other in groups if new.size and repeat else ():
                other.subtract(new, sizes)
        if not found or not repeat:
            break
    return np.concatenate(keys), np.concatenate(amounts)


def is_empty(group: Group, noise: Noise) -> NDArray[np.bool_]:
    """Whether each bin holds nothing but noise."""
    touched = np.flatnonzero(group.touched)
    group.energy[touched] = (np.abs(group.values[touched]) ** 2).mean(axis=1)
    return group.energy <= noise.limit(group)


def is_explained(group: Group, noise: Noise) -> bool:
    """Whether nothing but noise is left in any bin, nor in all of them together.

    Where noise outweighs coefficients, each bin looks empty by itself.
    """
    if not is_empty(group, noise).all():
        return False
    bins, offsets = group.shape
    quantile = chdtri(bins * offsets, FALSE_ALARM) / (bins * offsets)
    limit = (1 + SLACK) * noise.variance / bins * quantile + noise.rounding**2
    return bool(group.energy.mean() <= limit)


def _singletons(group: Group, noise: Noise) -> tuple[Words, NDArray[Any]]:
    """Return the coefficients that explain their bin alone, among bins touched since the last."""
    waiting = np.flatnonzero(group.touched & ~is_empty(group, noise))
    group.touched[:] = False
    keys = group.decode(waiting)
    signs = _gf2.signs(group.offsets, keys)
    values = group.values[waiting]
    amounts = (values * signs).mean(axis=1)
    left = (np.abs(values - amounts[:, None] * signs) ** 2).mean(axis=1)
    alone = (left <= noise.limit(group)) & (np.abs(amounts) ** 2 > noise.least(group))
    return keys[alone], amounts[alone]


def refit(
    groups: list[Group], keys: Words, amounts: NDArray[Any], noise: Noise
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Add the least-squares correction from the residuals of all bins that are empty by now.

    Returns:
        The coefficients, taken out of the bins anew, and the variance of each that independent
        bins would give.
    """
    if not keys.size:
        return amounts, np.zeros(0)
    matrices, residuals = [], []
    precision = np.zeros(keys.size)
    for group in groups:
        bins, offsets = group.shape
        of = group.bins_of(keys)
        used = np.flatnonzero(is_empty(group, noise)[of])
        rows = of[used, None] * offsets + np.arange(offsets)
        columns = np.broadcast_to(used[:, None], rows.shape)
        weight = np.sqrt(bins)  # bins of a finer group are less noisy
        entries = weight * _gf2.signs(group.offsets, keys[used])
        shape = (bins * offsets, keys.size)
        place = (rows.ravel(), columns.ravel())
        matrices.append(csr_array((entries.ravel(), place), shape=shape))
        residuals.append(weight * group.values.ravel())
        precision[used] += offsets * bins
    matrix, residual = vstack(matrices), np.concatenate(residuals)
    parts = [residual.real, residual.imag] if residual.dtype.kind == "c" else [residual]
    solved = [lsqr(matrix, part, atol=1e-9, btol=1e-9)[0] for part in parts]
    correction = solved[0] + (1j * solved[1] if len(solved) > 1 else 0)
    for group in groups:
        group.subtract(keys, correction)
    return amounts + correction, noise.variance / np.maximum(precision, 1.0)
