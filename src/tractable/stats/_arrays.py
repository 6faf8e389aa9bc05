"""Rows and columns of measurements: checks, logarithms, spreads and resampled lines."""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

from tractable._core import RangeError, ShapeError
from tractable._core.checks import as_array
from tractable.stats import _thresholds as thresholds

Kind = Literal["clocked", "seeded", "counted"]
Table = Float[np.ndarray, "rounds sizes"]
Row = Float[np.ndarray, "sizes"]


def check_kind(kind: str) -> None:
    """Refuse a word that is no kind of metric."""
    if kind not in get_args(Kind):
        raise RangeError(f"kind is {kind!r}; wanted one of {', '.join(get_args(Kind))}")


def prepare(*tables: Table | None) -> list[Table]:
    """Return the tables as equal float copies that share their holes.

    A cell that is NaN in one table is NaN in all. An infinite cell is a run that never reached
    its target: what it would have cost is unknown, so that its whole size counts as not measured
    (dropping the run alone would flatter the method).
    """
    arrays = [
        as_array("values", table, ndim=2, finite=False, empty=True).astype(np.float64)
        for table in tables
        if table is not None
    ]
    if len({array.shape for array in arrays}) > 1:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ShapeError(f"tables have shapes {shapes}; wanted one shape (rounds, sizes)")
    holes = np.any([np.isnan(array) for array in arrays], axis=0)
    holes = holes | np.any([np.isinf(array).any(axis=0) for array in arrays], axis=0)
    return [np.where(holes, np.nan, array) for array in arrays]


def positions(sizes: Row, columns: int, axis: str) -> Row:
    """Return where the sizes stand on the axis: their logarithms, or themselves."""
    checked = as_array("sizes", sizes, ndim=1, empty=True).astype(np.float64)
    if checked.size != columns:
        raise ShapeError(f"{checked.size} sizes for {columns} columns; wanted one size a column")
    if axis not in ("log", "linear"):
        raise RangeError(f"axis is {axis!r}; wanted 'log' or 'linear'")
    if (np.diff(checked) <= 0).any() or (axis == "log" and (checked <= 0).any()):
        raise RangeError(f"sizes are {checked}; wanted them increasing, and positive on a log axis")
    return np.log(checked) if axis == "log" else checked


def log_quotient(costs: list[Table]) -> Table:
    """Return log(of / over), or log(of) alone; NaN where either is zero or negative."""
    logs = [np.log(np.where(cost > 0, cost, np.nan)) for cost in costs]
    return logs[0] - logs[1] if len(logs) > 1 else logs[0]


def spread(table: Table) -> tuple[Int[np.ndarray, "sizes"], Row, Row]:
    """Return each column's number of values, their mean and the sum of squares around it."""
    number = (~np.isnan(table)).sum(axis=0)
    mean = np.where(number > 0, np.nansum(table, axis=0) / np.maximum(number, 1), np.nan)
    with np.errstate(over="ignore"):  # an overflow leaves the interval infinite, as it should
        return number, mean, np.nansum((table - mean) ** 2, axis=0)


def student(table: Table, *, pooled: bool, confidence: float) -> tuple[Row, Row]:
    """Return each column's mean and the half width of its Student's t interval.

    The half width is infinite where no spread is known, the mean NaN for an empty column.
    """
    number, mean, squares = spread(table)
    freedom = np.maximum(number - 1, 0)
    if pooled:
        squares, freedom = np.full_like(mean, squares.sum()), np.full_like(number, freedom.sum())
    known = (freedom > 0) & (number > 0)
    degrees = np.where(known, freedom, 1)
    width = stdtrit(degrees, (1 + confidence) / 2) * np.sqrt(squares / degrees)
    return mean, np.where(known, width / np.sqrt(np.maximum(number, 1)), np.inf)


def draw_weights(count: int, rng: np.random.Generator) -> Float[np.ndarray, "draws count"]:
    """Return how often each of `count` things is in each resample; the first row is the data."""
    draws = thresholds.DRAWS
    drawn = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=draws * count).reshape(draws, count)
    return np.vstack([np.ones(count), times])


def resampled_lines(
    x: Row, table: Table, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "draws"], Float[np.ndarray, "draws"]]:
    """Fit a line to the data (first entry) and to resamples of rounds and of sizes.

    Returns:
        Slopes, NaN where a resample holds one size only, and heights at x = 0.
    """
    rows = draw_weights(table.shape[0], rng)
    columns = draw_weights(table.shape[1], rng)
    centre = x.mean()
    weight = columns * (rows @ ~np.isnan(table))
    value = columns * (rows @ np.nan_to_num(table))
    total, first = weight.sum(axis=1), weight @ (x - centre)
    height = value.sum(axis=1)
    spread = total * (weight @ (x - centre) ** 2) - first**2
    flat = spread <= thresholds.ROUNDING * np.maximum(total * np.ptp(x), 1e-300) ** 2
    slope = (total * (value @ (x - centre)) - first * height) / np.where(flat, np.nan, spread)
    return slope, (height - slope * first) / np.maximum(total, 1) - slope * centre
