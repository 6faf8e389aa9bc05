"""Iterative hard thresholding from privatised gradients: one group of people a round."""

import math
from typing import Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._core import RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable.privacy.ldp_regression._client import clip_rows

__all__ = ["HardThresholdingServer", "default_rounds", "group_sizes", "hard_threshold"]

Floats = NDArray[np.float64]


def hard_threshold(values: Floats, k: int) -> Floats:
    """Keep the k entries that are largest in size; of equal ones, the first."""
    kept = np.zeros_like(values)
    best = np.argsort(-np.abs(values), kind="stable")[:k]
    kept[best] = values[best]
    return kept


def default_rounds(n: int) -> int:
    """Half the logarithm of the number of people, rounded up: O(log n) rounds."""
    return max(1, math.ceil(0.5 * math.log(n)))


def group_sizes(
    n: int,
    rounds: int,
    step: float = 0.5,
    groups: Literal["geometric", "equal"] = "geometric",
) -> list[int]:
    """Deal n people into groups, one a round, nobody into two.

    An error of round t is shrunk by 1 - step in every later one. The noise of the last model is
    least where groups grow by 1 / (1 - step) a round: N rounds then cost no more than one.

    Args:
        n: people, at least `rounds`.
        rounds: at least 1.
        step: as in `HardThresholdingServer`, with variances of about 1.
        groups: "geometric", or "equal" as in the paper.

    Returns:
        Sizes, at least 1, that add up to n.

    Raises:
        RangeError, DTypeError: for anything else.

    Example:
        >>> group_sizes(1504, 4), group_sizes(1504, 4, groups="equal")
        ([101, 201, 401, 801], [376, 376, 376, 376])
    """
    check_integer("rounds", rounds, low=1)
    check_integer("n", n, low=rounds)
    check_number("step", step, low=0.0, open_ends=True)
    if groups not in ("geometric", "equal"):
        raise RangeError(f"groups is {groups!r}; wanted 'geometric' or 'equal'")
    # Never more than tenfold, so that the first groups are not left empty by a step near 1.
    ratio = 1.0 / max(1.0 - step, 0.1) if groups == "geometric" and step < 1.0 else 1.0
    shares = ratio ** np.arange(-rounds + 1.0, 1.0)
    spare = n - rounds
    ends = np.floor(spare * np.cumsum(shares) / shares.sum() + 1e-9).astype(np.int64)
    ends[-1] = spare
    return [int(size) + 1 for size in np.diff(ends, prepend=0)]


class HardThresholdingServer:
    """The server of LDP-IHT: send `coef` to a new group, `update` with the sum of its reports.

    Args:
        d: columns.
        k: coefficients that are not zero, 1 to d.
        step: of gradient descent, about one over the variance of a column of x, or less.
        k_ratio: k' = k_ratio k coefficients are kept in each round, at least 1; d at most.
        ball: the model is kept within this Euclidean norm; the paper has 1.

    Attributes:
        coef: (d,) the model; zeros at first.
        n_rounds: updates so far.

    Raises:
        RangeError, DTypeError: for parameters out of range.

    Example:
        >>> server = HardThresholdingServer(3, 1, step=1.0, k_ratio=1)
        >>> server.update([-5.0, 1.0, 0.0], 10)  # the sum of ten people's gradients
        >>> server.coef.tolist()
        [0.5, 0.0, 0.0]
    """

    def __init__(
        self, d: int, k: int, *, step: float = 0.5, k_ratio: float = 2.0, ball: float = 1.0
    ) -> None:
        """Start at zero."""
        self.d = check_integer("d", d, low=1)
        self.k = check_integer("k", k, low=1, high=self.d)
        self.step = check_number("step", step, low=0.0, open_ends=True)
        ratio = check_number("k_ratio", k_ratio, low=1.0)
        self.kept = min(self.d, math.ceil(ratio * self.k))
        self.ball = check_number("ball", ball, low=0.0, open_ends=True)
        self.coef: Floats = np.zeros(self.d)
        self.n_rounds = 0

    def update(self, gradient_sum: ArrayLike, n: int) -> None:
        """Take a step along the mean of a group's reports.

        Args:
            gradient_sum: (d,) the sum of their privatised gradients at `coef`.
            n: how many they are, at least 1.

        Raises:
            ShapeError, DataError, RangeError, DTypeError: for anything else.
        """
        total = as_array("gradient_sum", gradient_sum, ndim=1)
        if total.shape != (self.d,):
            raise ShapeError(f"gradient_sum has shape {total.shape}; wanted ({self.d},)")
        n = check_integer("n", n, low=1)
        moved = hard_threshold(self.coef - self.step * total / n, self.kept)
        self.coef = clip_rows(moved[None], self.ball)[0]
        self.n_rounds += 1
        note("iterations", 1)

    def final(self) -> Float[np.ndarray, "d"]:
        """Return the model with its k largest coefficients alone."""
        if not self.n_rounds:
            raise RangeError("no round was made yet; call update with a group's gradients")
        return hard_threshold(self.coef, self.k)
