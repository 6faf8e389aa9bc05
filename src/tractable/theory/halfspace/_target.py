"""What a standard normal sample looks like: ranges that it leaves with a stated probability."""

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrik, chdtri, ndtr

from tractable._core import DataError, ShapeError
from tractable._core.checks import as_array, check_integer, check_number

Floats = NDArray[np.float64]


class Check(NamedTuple):
    """One test of a sample.

    Args:
        statistic: what was measured.
        low, high: the range wanted; a sample of the target leaves it rarely.
        note: why nothing could be measured; empty where something was.
    """

    statistic: float
    low: float
    high: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the statistic lies in its range."""
        return not self.note and self.low <= self.statistic <= self.high

    def __str__(self) -> str:
        """Say what was got and what was wanted."""
        if self.note:
            return self.note
        word = "passed" if self.passed else "failed"
        return f"{word}: {self.statistic:.4g}, wanted {self.low:.4g} to {self.high:.4g}"


def check_rows(X: ArrayLike) -> Floats:
    """Return finite numbers with two axes as float64, of a size whose squares do not overflow."""
    rows = np.asarray(as_array("X", X, ndim=2, kinds="fiub"), dtype=np.float64)
    if np.abs(rows).max() > 1e60:
        raise DataError("X has entries above 1e60, whose moments overflow; scale it")
    return rows


def check_direction(w: ArrayLike, width: int) -> Floats:
    """Return w as a unit vector of the given length."""
    vector = np.asarray(as_array("w", w, ndim=1, kinds="fiub"), dtype=np.float64)
    if vector.size != width:
        raise ShapeError(f"w has {vector.size} entries; wanted the {width} columns of X")
    largest = np.abs(vector).max()
    if largest == 0.0:
        raise DataError("w is zero; wanted a direction")
    vector = vector / largest
    return np.asarray(vector / np.linalg.norm(vector))


def check_labels(y: ArrayLike, rows: int) -> Floats:
    """Return labels -1 and 1 as float64, one a row."""
    labels = np.asarray(as_array("y", y, ndim=1, kinds="fiu"), dtype=np.float64)
    if labels.size != rows:
        raise ShapeError(f"y has {labels.size} labels; wanted one for each of the {rows} rows")
    if not (np.abs(labels) == 1.0).all():
        raise DataError("y has entries other than -1 and 1; encode the two classes so")
    return labels


def slab_mass(low: float, high: float) -> float:
    """Return P[low <= |g| < high] of a standard normal g."""
    return float(2.0 * (ndtr(-low) - ndtr(-high)))


def check_mass(
    count: int, size: int, edges: tuple[float, float], delta: float, tolerance: float
) -> Check:
    """Compare the share of a slab with the normal law's, by exact binomial quantiles."""
    low, high = edges
    share = slab_mass(low, high)
    least, most = (float(bdtrik(q, size, share)) for q in (delta / 2, 1.0 - delta / 2))
    sure = 0.0 if share < 0.5 else float(size)  # NaN where no other count is likely
    least = sure if math.isnan(least) else math.floor(least)
    most = sure if math.isnan(most) else math.ceil(most)
    # the logarithm of a share changes at most by 1 + edge^2 with that of the spread
    wide = tolerance ** (1.0 + (low if math.isinf(high) else high) ** 2)
    return Check(count / size, least / size / wide, min(1.0, most / size * wide))


def check_spectrum(
    moments: Float[np.ndarray, "k k"], size: int, delta: float, tolerance: float
) -> tuple[Check, Check]:
    """Hold both ends of a second moment's spectrum against those of `size` normal rows.

    The ranges are the non-asymptotic ones of Davidson and Szarek: each is left with probability
    at most delta / 2.
    """
    width = len(moments)
    if not width:
        return Check(1.0, 0.0, 1.0), Check(1.0, 1.0, math.inf)
    values = np.linalg.eigvalsh(moments)
    edge = math.sqrt(width / size) + math.sqrt(2.0 * math.log(2.0 / delta) / size)
    least, most = max(0.0, 1.0 - edge) ** 2 / tolerance, (1.0 + edge) ** 2 * tolerance
    return Check(float(values[-1]), 0.0, most), Check(float(values[0]), least, math.inf)


def moment_test(
    X: ArrayLike, degree: int = 2, *, delta: float = 0.05, tolerance: float = 1.0
) -> dict[str, Check]:
    """Compare mean and second moments of rows with those of N(0, I).

    Args:
        X: (n, d) finite numbers.
        degree: 1 for the mean alone, or 2.
        delta: a normal sample fails with at most this probability.
        tolerance: factor that widens ranges, for rows that were whitened by estimates; 1 is none.

    Returns:
        The tests by name: "mean", "largest variance", "smallest variance".

    Raises:
        DataError, DTypeError, RangeError, ShapeError: for arguments of the wrong kind or range.

    Example:
        >>> rows = np.random.default_rng(1).standard_normal((1000, 3))
        >>> [check.passed for check in moment_test(rows).values()]
        [True, True, True]
        >>> moment_test(2 * rows)["largest variance"].passed
        False
    """
    rows = check_rows(X)
    degree = check_integer("degree", degree, low=1, high=2)
    delta = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    size, width = rows.shape
    mean = float(np.linalg.norm(rows.mean(axis=0)))
    limit = math.sqrt(float(chdtri(width, delta / degree)) / size)
    # whitening moves the mean about as far as a sample's own
    checks = {"mean": Check(mean, 0.0, limit if tolerance == 1.0 else 2.0 * limit * tolerance)}
    if degree == 2:
        second = check_spectrum(rows.T @ rows / size, size, delta / 2, tolerance)
        checks["largest variance"], checks["smallest variance"] = second
    return checks


def failures(checks: dict[str, Any]) -> list[str]:
    """Return the names of the tests that failed."""
    return [name for name, check in checks.items() if not check.passed]
