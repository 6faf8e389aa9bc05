"""Regret by group: what a learner lost on each group, against the group's own best in hindsight."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike, NDArray

from tractable._core import DataError, DTypeError, RangeError, ShapeError
from tractable._core.checks import as_array, check_number
from tractable.online.groupwise._hedge import awake_indices

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Comparator = str | Callable[[Floats, Floats], ArrayLike]


class GroupRegret(NamedTuple):
    """A table with one entry a group; the last is everybody, where `include_all` is set.

    Losses are squared errors over the squared width of `clip`, summed over the group's rounds.
    """

    rounds: Int[np.ndarray, "groups"]
    """How many rounds had the group in them."""
    loss: Float[np.ndarray, "groups"]
    """What the learner lost in them."""
    best: Float[np.ndarray, "groups"]
    """What the group's own best in hindsight would have lost."""

    @property
    def regret(self) -> Float[np.ndarray, "groups"]:
        """The difference; below zero where the learner did better than the best in hindsight."""
        return np.asarray(self.loss - self.best)

    @property
    def per_round(self) -> Float[np.ndarray, "groups"]:
        """Regret a round; zero for groups that never came."""
        return np.asarray(self.regret / np.maximum(self.rounds, 1))

    def table(self, names: Sequence[str] | None = None) -> str:
        """Return the report as text, a line a group.

        Args:
            names: one a group; "everybody" may be left out. Numbers by default.

        Raises:
            ShapeError: for another number of names.
        """
        size = len(self.rounds)
        labels = [f"group {i}" for i in range(size)] if names is None else list(names)
        if len(labels) == size - 1:
            labels.append("everybody")
        if len(labels) != size:
            raise ShapeError(f"names has {len(labels)} entries; wanted {size}, one a group")
        widest = max(5, *map(len, labels))
        lines = [f"{'group':{widest}} {'rounds':>8} {'loss':>10} {'best':>10} {'regret':>10}"]
        for label, rounds, loss, best in zip(labels, *self, strict=True):
            lines.append(
                f"{label:{widest}} {rounds:8d} {loss:10.2f} {best:10.2f} {loss - best:10.2f}"
            )
        return "\n".join(lines)


def check_clip(clip: object) -> tuple[float, float]:
    """Return the lowest and the highest prediction."""
    if not isinstance(clip, tuple | list) or len(clip) != 2:
        raise RangeError(f"clip is {clip!r}; wanted a pair, the lowest and highest label")
    low, high = (check_number("clip", end) for end in clip)
    if not 1e-100 < high - low < 1e100:  # its square divides losses
        raise RangeError(f"clip is {clip!r}; wanted the lowest label, then a higher one")
    return low, high


def check_groups(groups: object, rounds: int, n_groups: int) -> Booleans:
    """Return membership as booleans (rounds, n_groups), from those or from a list of places a row.

    Raises:
        ShapeError: for another number of rounds or groups.
        DTypeError, RangeError: for anything but booleans, or whole numbers in range.
    """
    if hasattr(groups, "__array__"):
        table = np.asarray(groups)
        if table.dtype.kind != "b":  # 0 and 1 would be taken for places
            raise DTypeError(f"groups has dtype {table.dtype}; wanted booleans: astype(bool)")
        if table.shape != (rounds, n_groups):
            raise ShapeError(f"groups has shape {table.shape}; wanted {(rounds, n_groups)}")
        return table
    try:
        each = list(groups)  # type: ignore[call-overload]
    except TypeError:
        raise ShapeError(f"groups is {groups!r}; wanted a mask or places for each row") from None
    if len(each) != rounds:
        raise ShapeError(f"groups has {len(each)} rows; wanted {rounds}, as X has")
    members = np.zeros((rounds, n_groups), np.bool_)
    for t, one in enumerate(each):
        members[t, awake_indices(one, n_groups, "groups")] = True
    return members


def check_labels(y: ArrayLike, rounds: int, clip: tuple[float, float]) -> Floats:
    """Return labels as (rounds,) numbers within `clip`."""
    labels = as_array("y", y, ndim=1, kinds="fiub", empty=True).astype(np.float64)
    if labels.size != rounds:
        raise ShapeError(f"y has {labels.size} labels; wanted {rounds}, one a row of X")
    if labels.size and not (labels.min() >= clip[0] and labels.max() <= clip[1]):
        raise DataError(
            f"y runs from {labels.min():g} to {labels.max():g}; wanted {clip[0]:g} to "
            f"{clip[1]:g}: give the labels' range as clip"
        )
    return labels


def best_in_hindsight(
    X: Floats, y: Floats, comparator: Comparator, alpha: float, clip: tuple[float, float]
) -> float:
    """Return the loss of the comparator on one group's rows."""
    if not y.size:
        return 0.0
    if callable(comparator):
        guesses = as_array("the comparator's prediction", comparator(X, y), ndim=1)
        if guesses.shape != y.shape:
            raise ShapeError(f"the comparator gave {guesses.size} predictions; wanted {y.size}")
    else:
        gram = X.T @ X + alpha * np.eye(X.shape[1])
        guesses = X @ np.linalg.solve(gram, X.T @ y)
    return float(np.sum(((np.clip(guesses, *clip) - y) / (clip[1] - clip[0])) ** 2))


def group_regret(
    predictions: ArrayLike,
    X: ArrayLike,
    y: ArrayLike,
    groups: ArrayLike,
    *,
    comparator: Comparator = "ridge",
    alpha: float = 1.0,
    clip: tuple[float, float] = (0.0, 1.0),
    include_all: bool = True,
) -> GroupRegret:
    """Return the regret of any learner's predictions on each group.

    Args:
        predictions: (rounds,) made before the labels were seen, in order.
        X: (rounds, features).
        y: (rounds,) labels within `clip`.
        groups: (rounds, groups) booleans.
        comparator: "ridge", fitted in hindsight to each group's rows, its penalty left out of
            the loss; or a function (rows, labels) -> predictions on these rows. Both are
            clipped, as the predictions are.
        alpha: the ridge's penalty, above 0.
        clip: lowest and highest label.
        include_all: add everybody as the last group.

    Raises:
        ShapeError, DTypeError, RangeError, DataError: for arguments unlike these.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, y = rng.random((100, 3)), rng.random(100)
        >>> group_regret(np.full(100, 0.5), X, y, X[:, :1] > 0.5).regret.round(1).tolist()
        [-0.2, -1.8]
    """
    rows = as_array("X", X, ndim=2).astype(np.float64)
    clip = check_clip(clip)
    labels = check_labels(y, len(rows), clip)
    guesses = as_array("predictions", predictions, ndim=1).astype(np.float64)
    if guesses.shape != labels.shape:
        raise ShapeError(f"predictions has {guesses.size} entries; wanted {labels.size}")
    if check_number("alpha", alpha, low=0.0) == 0.0:
        raise RangeError("alpha is 0; wanted above 0, however small")
    if not callable(comparator) and comparator != "ridge":
        raise RangeError(f"comparator is {comparator!r}; wanted 'ridge' or a function")
    members = as_array("groups", groups, ndim=2, kinds="b", empty=True)
    if len(members) != len(rows):
        raise ShapeError(f"groups has {len(members)} rows; wanted {len(rows)}, as X has")
    if include_all:
        members = np.column_stack((members, np.ones(len(rows), np.bool_)))
    errors = ((np.clip(guesses, *clip) - labels) / (clip[1] - clip[0])) ** 2
    best = [best_in_hindsight(rows[one], labels[one], comparator, alpha, clip) for one in members.T]
    return GroupRegret(members.sum(axis=0), members.T @ errors, np.array(best))
