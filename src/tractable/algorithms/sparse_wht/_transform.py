"""The full transform, and the definition that it is tested with."""

import math
from typing import Any, Literal

import numpy as np
from jaxtyping import Num
from numpy.typing import ArrayLike, NDArray

from tractable._common.compiled import load_compiled
from tractable._core import DataError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer

Norm = Literal["ortho", "forward"] | None


def fwht(
    x: ArrayLike, axis: int = -1, *, norm: Norm = None, overwrite: bool = False
) -> Num[np.ndarray, "..."]:
    """Transform along one axis: X_k = Σ_m x_m (-1)^<k,m>, in natural (Hadamard) order.

    Args:
        x: real or complex; the axis has 2^n entries. Whole numbers become float64.
        axis: which axis.
        norm: None leaves the sum as it is, "forward" divides by 2^n, "ortho" by its root.
        overwrite: write the result over `x` where it is a contiguous array that can hold it.

    Returns:
        An array of the same shape, float32, float64, complex64 or complex128.

    Raises:
        DataError: for NaN or infinite entries.
        DTypeError: for entries that are no numbers, booleans included.
        RangeError: for an axis that does not exist, or an unknown norm.
        ShapeError: for an axis whose length is no power of two.

    Example:
        >>> fwht([1, 0, 1, 0]).tolist()
        [2.0, 2.0, 0.0, 0.0]
    """
    array = as_numbers("x", x)
    if norm not in (None, "ortho", "forward"):
        raise RangeError(f"norm is {norm!r}; wanted None, 'ortho' or 'forward'")
    place = check_integer("axis", axis)
    if not -array.ndim <= place < array.ndim:
        raise RangeError(f"axis is {axis}; wanted one of the {array.ndim} axes of x")
    length = array.shape[place]
    if length & (length - 1):
        raise ShapeError(
            f"x has {length} entries along axis {axis}; wanted a power of two; pad with zeros"
        )
    kind = array.dtype if array.dtype in ("f4", "f8", "c8", "c16") else np.dtype(np.float64)
    usable = overwrite and array.dtype == kind and array.flags.c_contiguous
    if not (usable and array.flags.writeable):
        array = np.array(array, dtype=kind, order="C")
    transform_in_place(array, place % array.ndim)
    note("operations", array.size * (length.bit_length() - 1))
    if norm is not None:
        array /= length if norm == "forward" else math.sqrt(length)
    return array


def transform_in_place(array: NDArray[Any], axis: int) -> None:
    """Transform a contiguous array along an axis, unscaled."""
    parts = array.view(np.dtype(f"f{array.itemsize // 2}")) if array.dtype.kind == "c" else array
    flat = parts.reshape(-1)
    inner = flat.size // math.prod(array.shape[: axis + 1])
    length = array.shape[axis] * inner
    compiled = load_compiled(__package__)
    if compiled is not None:
        compiled.transform(flat, length, inner)
        return
    h = inner
    while 2 * h <= length:
        pairs = flat.reshape(-1, 2, h)
        difference = pairs[:, 0] - pairs[:, 1]
        pairs[:, 0] += pairs[:, 1]
        pairs[:, 1] = difference
        h *= 2


def reference(x: ArrayLike) -> Num[np.ndarray, "N"]:
    """Sum the definition, X_k = (1/N) Σ_m x_m (-1)^<k,m>, one coefficient at a time.

    Args:
        x: N = 2^n numbers, real or complex.

    Returns:
        The N coefficients, as `fwht` with norm "forward".

    Raises:
        DataError, DTypeError, ShapeError: as `fwht`.

    Example:
        >>> reference([1, 0, 1, 0]).tolist()
        [0.5, 0.5, 0.0, 0.0]
    """
    values = as_numbers("x", x, ndim=1)
    size = values.size
    if size & (size - 1):
        raise ShapeError(f"x has {size} entries; wanted a power of two; pad with zeros")
    points = np.arange(size)
    signs = ((-1.0) ** np.bitwise_count(points & k) for k in range(size))
    return np.array([(values * sign).sum() / size for sign in signs])


def as_numbers(name: str, value: ArrayLike, ndim: int | None = None) -> NDArray[Any]:
    """Return finite real or complex numbers with at least one axis and one element."""
    array = as_array(name, value, ndim=ndim, kinds="fiuc")
    if array.ndim == 0:
        raise ShapeError(f"{name} is one number; wanted at least one axis")
    if array.dtype.kind == "c" and not np.isfinite(array).all():
        raise DataError(f"{name} has NaN or infinite entries; clean or mask them first")
    return array
