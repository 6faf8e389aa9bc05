"""Input checks: each error says what was got, what was wanted and what to do."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tractable._core.errors import DataError, DTypeError, RangeError, ShapeError

__all__ = ["as_array", "check_integer", "check_number"]


def check_integer(
    name: str, value: object, *, low: int | None = None, high: int | None = None
) -> int:
    """Return `value` as an int within [low, high], or say why not.

    Raises:
        DTypeError: if it is no whole number type (booleans are refused).
        RangeError: if it lies outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise DTypeError(f"{name} is {value!r} ({type(value).__name__}); wanted an integer")
    _check_range(name, int(value), low, high)
    return int(value)


def check_number(
    name: str,
    value: object,
    *,
    low: float | None = None,
    high: float | None = None,
    open_ends: bool = False,
) -> float:
    """Return `value` as a finite float within [low, high], or within (low, high).

    Raises:
        DTypeError: if it is no real number.
        RangeError: if it is not finite or lies outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise DTypeError(f"{name} is {value!r} ({type(value).__name__}); wanted a number")
    number = float(value)
    if not math.isfinite(number):
        raise RangeError(f"{name} is {number}; wanted a finite number")
    if open_ends and number in (low, high):
        raise RangeError(f"{name} is {number}; wanted it strictly between {low} and {high}")
    _check_range(name, number, low, high)
    return number


def as_array(
    name: str,
    value: ArrayLike,
    *,
    ndim: int | None = None,
    kinds: str = "fiu",
    finite: bool = True,
    empty: bool = False,
) -> NDArray[Any]:
    """Return `value` as an array that satisfies the stated rules; it is never copied needlessly.

    Args:
        name: the argument's name, for messages.
        value: anything that `numpy.asarray` takes.
        ndim: the number of axes wanted; None takes any.
        kinds: NumPy's dtype kinds accepted: f float, i and u integer, b boolean.
        finite: refuse NaN and infinities.
        empty: accept arrays without elements.

    Raises:
        ShapeError: for another number of axes, or no elements.
        DTypeError: for another kind of dtype.
        DataError: for NaN or infinities.
    """
    array = np.asarray(value)
    if array.dtype.kind not in kinds:
        raise DTypeError(
            f"{name} has dtype {array.dtype}; wanted one of kind {', '.join(kinds)}; convert it"
        )
    if ndim is not None and array.ndim != ndim:
        raise ShapeError(f"{name} has shape {array.shape}; wanted {ndim} axes")
    if array.size == 0 and not empty:
        raise ShapeError(f"{name} has shape {array.shape}; wanted at least one element")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError(f"{name} has NaN or infinite entries; clean or mask them first")
    return array


def _check_range(name: str, value: float, low: float | None, high: float | None) -> None:
    if (low is not None and value < low) or (high is not None and value > high):
        wanted = (
            f"at least {low}"
            if high is None
            else f"at most {high}"
            if low is None
            else f"{low} to {high}"
        )
        raise RangeError(f"{name} is {value}; wanted {wanted}")
