"""One online learner a group, mixed by sleeping experts."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, cast

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray

from tractable._common.compiled import load_compiled
from tractable._core import DataError, DTypeError, RangeError, ShapeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable.online.groupwise._hedge import (
    SleepingAdaNormalHedge,
    SpecialistHedge,
    awake_indices,
    make_hedge,
)
from tractable.online.groupwise._report import (
    Comparator,
    GroupRegret,
    check_clip,
    check_groups,
    check_labels,
    group_regret,
)
from tractable.online.groupwise._ridge import LARGEST, OnlineRidge, Oracle, Row, operations

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Loss = Literal["squared"] | Callable[[float, float], float]
NOBODY = "put it in one, or set include_all"
FEW = 16
"""Fewer rows than this are not worth gathering the ridges for the compiled loop."""


class _Round(NamedTuple):
    """What is proposed in a round, before its label is known."""

    awake: NDArray[np.int64]
    proposals: Floats
    shares: Floats
    prediction: float


class GroupwiseRegressor:
    """Online regression that is nearly as good, on every group, as the group's own best model.

    Every group has its own copy of an online learner, which sees the group's rows only. Each
    active group's learner proposes a prediction; the proposals' mean, weighted by sleeping
    experts, is predicted. Then all active groups' learners learn the row. The cost of a round
    is one prediction and one update of the learner for each active group.

    Args:
        n_groups: how many groups; they may overlap.
        base: what each group learns with: `OnlineRidge(alpha=1.0)` by default, or anything
            with `predict_one(x)` and `learn_one(x, y)`, such as river's regressors. It is
            copied, not used.
        meta: "adanormalhedge", the paper's; or "hedge", exponential weights for specialists,
            whose regret under the squared loss does not grow with the rounds.
        clip: lowest and highest label; proposals are clipped to it.
        include_all: add a last group that everybody is in.
        loss: "squared", over the squared width of `clip`; or a function (label, prediction) ->
            loss in [0, 1], convex in the prediction for the guarantee to hold.

    Attributes:
        experts_: the learners, one a group; the last is everybody's where `include_all`.
        weights_: (experts,) the weights of the last round, 0 for those asleep.
        rounds_: (experts,) rounds in which each group was active.
        cumulative_loss_: (experts,) what this regressor lost in them.
        expert_loss_: (experts,) what the group's own learner lost in them.

    Raises:
        ShapeError, DTypeError, RangeError: for arguments outside these ranges.

    Source: algorithm 1 of the paper; the regret to group g's own learner is at most
        `regret_bounds()[g]`, of order √(T_g ln G).

    Example:
        >>> rng = np.random.default_rng(0)
        >>> X, groups = rng.random((2000, 3)), rng.random((2000, 2)) < 0.5
        >>> y = np.where(groups[:, 0], X[:, 0], 1 - X[:, 0])
        >>> model = GroupwiseRegressor(2)
        >>> predictions = model.partial_fit(X, y, groups)
        >>> bool(model.group_regret(X, y, groups).per_round.max() < 0.01)
        True
    """

    def __init__(
        self,
        n_groups: int,
        base: Oracle | None = None,
        *,
        meta: Literal["adanormalhedge", "hedge"] = "adanormalhedge",
        clip: tuple[float, float] = (0.0, 1.0),
        include_all: bool = True,
        loss: Loss = "squared",
    ) -> None:
        """Copy the learner for each group; nothing is learnt yet."""
        self.n_groups = check_integer("n_groups", n_groups, low=0 if include_all else 1)
        self.include_all = bool(include_all)
        self.clip = check_clip(clip)
        base = OnlineRidge() if base is None else base
        for name in ("predict_one", "learn_one"):
            if not callable(getattr(base, name, None)):
                raise DTypeError(
                    f"base is {type(base).__name__} without {name}; wanted predict_one(x) and "
                    "learn_one(x, y)"
                )
        if loss != "squared" and not callable(loss):
            raise RangeError(f"loss is {loss!r}; wanted 'squared' or a function")
        self.loss = loss
        size = self.n_groups + self.include_all
        self.experts_: list[Oracle] = [copy.deepcopy(base) for _ in range(size)]
        self.hedge_ = make_hedge(meta, size)
        self.weights_: Floats = np.zeros(size)
        self.rounds_: Floats = np.zeros(size)
        self.cumulative_loss_: Floats = np.zeros(size)
        self.expert_loss_: Floats = np.zeros(size)

    def predict_one(self, x: Row, groups: ArrayLike) -> float:
        """Predict a row's label.

        Args:
            x: the row, as the learners take it.
            groups: the row's groups: one boolean a group, or the places of those it is in.

        Raises:
            ShapeError: for a row in no group, where `include_all` is off.
            DataError: if a learner proposes what is not finite.
        """
        proposed = self._propose(x, self._awake(groups))
        self._remember(proposed)
        return proposed.prediction

    def learn_one(self, x: Row, y: float, groups: ArrayLike) -> "GroupwiseRegressor":
        """Take a row's label, and return the regressor.

        Args:
            x, groups: as in `predict_one`.
            y: within `clip`.
        """
        label = float(check_labels([check_number("y", y)], 1, self.clip)[0])
        self._learn(x, label, self._propose(x, self._awake(groups)))
        return self

    def partial_fit(
        self, X: ArrayLike | Iterable[Row], y: ArrayLike, groups: object
    ) -> Float[np.ndarray, "rows"]:
        """Predict, then learn each row in turn; return the predictions.

        Ridges under the squared loss go through a compiled loop where Numba is installed, with
        the same result up to rounding.

        Args:
            X: (rows, features), or an iterable of rows as the learners take them.
            y: (rows,) within `clip`.
            groups: (rows, n_groups) booleans, or a list with the places of each row's groups.

        Returns:
            Each row's prediction, made before its label was learnt.

        Raises:
            ShapeError, DTypeError, RangeError, DataError: for arguments unlike these; nothing
                has been learnt then, unless a learner refuses a row half-way.
        """
        rows = np.asarray(X) if hasattr(X, "__array__") else list(cast(Iterable[Row], X))
        if not len(rows) or not isinstance(rows[0], Mapping):
            rows = as_array("X", cast(ArrayLike, rows), ndim=2, kinds="fiub", empty=True).astype(
                np.float64
            )
            if rows.size and np.abs(rows).max() > LARGEST:
                raise DataError(f"X has entries beyond {LARGEST:g}; rescale them")
        labels = check_labels(y, len(rows), self.clip)
        members = check_groups(groups, len(rows), self.n_groups)
        if self.include_all:
            members = np.column_stack((members, np.ones(len(rows), np.bool_)))
        elif not members.any(axis=1).all():
            raise ShapeError(f"row {np.argmin(members.any(axis=1))} is in no group; {NOBODY}")
        if isinstance(rows, np.ndarray) and len(rows) >= FEW and self._can_compile(rows):
            return self._play(rows, labels, members)
        predictions = np.zeros(len(rows))
        for t, (row, label, member) in enumerate(zip(rows, labels, members, strict=True)):
            proposed = self._propose(row, np.flatnonzero(member))
            predictions[t] = proposed.prediction
            self._learn(row, float(label), proposed)
        return predictions

    def group_regret(
        self,
        X: ArrayLike,
        y: ArrayLike,
        groups: object,
        *,
        comparator: Comparator = "ridge",
        alpha: float = 1.0,
    ) -> GroupRegret:
        """Return the regret so far, by group.

        Args:
            X, y, groups: all that was learnt, in any order of rows.
            comparator, alpha: as in `group_regret`, the function.

        Raises:
            DataError: if the groups have other numbers of rows than were learnt.
            RangeError: under another loss than the squared one.
        """
        if self.loss != "squared":
            raise RangeError("loss is a function; regret is reported for the squared loss only")
        rows = as_array("X", X, ndim=2)
        members = check_groups(groups, len(rows), self.n_groups)
        report = group_regret(
            np.full(len(rows), self.clip[0]),
            rows,
            y,
            members,
            comparator=comparator,
            alpha=alpha,
            clip=self.clip,
            include_all=self.include_all,
        )
        if not np.array_equal(report.rounds, self.rounds_):
            raise DataError(
                f"the groups have {report.rounds} rows and {self.rounds_} were learnt; give "
                "everything that was learnt, once"
            )
        return report._replace(loss=self.cumulative_loss_.copy())

    def regret_bounds(self) -> Float[np.ndarray, "experts"]:
        """Return what cumulative_loss_ - expert_loss_ cannot exceed.

        It holds for a convex loss; with `meta="hedge"` for the squared one.
        """
        return self.hedge_.regret_bounds()

    def _awake(self, groups: ArrayLike) -> NDArray[np.int64]:
        awake = awake_indices(groups, self.n_groups, "groups")
        if self.include_all:
            return np.append(awake, self.n_groups)
        if not awake.size:
            raise ShapeError(f"the row is in no group; {NOBODY}")
        return awake

    def _propose(self, x: Row, awake: NDArray[np.int64]) -> _Round:
        proposals = np.zeros(awake.size)
        for k, g in enumerate(awake):
            guess = float(self.experts_[g].predict_one(x))
            if not np.isfinite(guess):
                raise DataError(f"the learner of group {g} proposes {guess}; wanted finite numbers")
            proposals[k] = min(max(guess, self.clip[0]), self.clip[1])
        shares = self.hedge_.shares(awake)
        return _Round(awake, proposals, shares, float(shares @ proposals))

    def _learn(self, x: Row, label: float, proposed: _Round) -> None:
        awake, proposals, shares, prediction = proposed
        losses = np.array([self._lose(label, float(guess)) for guess in proposals])
        self.cumulative_loss_[awake] += self._lose(label, prediction)
        self.expert_loss_[awake] += losses
        self.rounds_[awake] += 1
        self._remember(proposed)
        self.hedge_.learn(shares, losses, awake)
        for g in awake:
            self.experts_[g].learn_one(x, label)
        note("oracle queries", awake.size)

    def _lose(self, label: float, prediction: float) -> float:
        if not callable(self.loss):
            return float(((prediction - label) / (self.clip[1] - self.clip[0])) ** 2)
        loss = float(self.loss(label, prediction))
        if not 0.0 <= loss <= 1.0:
            raise DataError(f"loss({label}, {prediction}) is {loss}; wanted 0 to 1: rescale it")
        return loss

    def _remember(self, proposed: _Round) -> None:
        self.weights_ = np.zeros(len(self.experts_))
        self.weights_[proposed.awake] = proposed.shares

    def _can_compile(self, rows: Floats) -> bool:
        """Whether all learners are ridges on arrays of this width, and Numba is there."""
        width = rows.shape[1]
        return (
            not callable(self.loss)
            and all(type(expert) is OnlineRidge for expert in self.experts_)
            and all(cast(OnlineRidge, expert).takes(width) for expert in self.experts_)
            and load_compiled(__package__) is not None
        )

    def _play(self, rows: Floats, labels: Floats, members: Booleans) -> Floats:
        """Run the compiled loop on the ridges' and the hedge's own numbers."""
        ridges = cast(list[OnlineRidge], self.experts_)
        width = rows.shape[1]
        for ridge in ridges:
            ridge.widen(width)
        roots = np.stack([ridge.root for ridge in ridges])
        coefficients = np.stack([ridge.coefficients for ridge in ridges])
        starts = np.concatenate(([0], np.cumsum(members.sum(axis=1))))
        places = np.nonzero(members)[1]
        compiled = cast(Any, load_compiled(__package__))
        hedge = self.hedge_
        if isinstance(hedge, SleepingAdaNormalHedge):
            first, second, rate = hedge.regrets, hedge.movements, 0.0
        else:
            hedge = cast(SpecialistHedge, hedge)
            first, second, rate = hedge.scores, np.zeros(len(ridges)), hedge.rate
        weights = np.zeros(len(ridges))
        predictions = compiled.play(
            (np.ascontiguousarray(rows), labels, starts, places),
            (roots, coefficients),
            (hedge.prior, first, second),
            (self.cumulative_loss_, self.expert_loss_, self.rounds_, weights),
            (ridges[0].variant == "vaw", rate, *self.clip),
        )
        self.weights_ = weights
        for ridge, root, solved in zip(ridges, roots, coefficients, strict=True):
            ridge.root, ridge.coefficients = root.copy(), solved.copy()
        note("oracle queries", places.size)
        note("operations", places.size * operations(width))
        return np.asarray(predictions)
