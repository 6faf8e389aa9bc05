"""Measurements of one experiment as arrays of rounds by sizes."""

import math
import statistics
from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray

from tractable.claims import Criterion, Experiment, Size
from tractable.store import Measurement

__all__ = ["Table"]

Array = NDArray[np.float64]


class Table:
    """The rows of one experiment; NaN stands where nothing was measured.

    Args:
        experiment: the experiment.
        rows: its measurements, from one machine and one resume key.
        sizes: the sizes that the form has, in order.
    """

    def __init__(
        self, experiment: Experiment, rows: Sequence[Measurement], sizes: Sequence[Size]
    ) -> None:
        """Index the rows."""
        self.experiment = experiment
        self.sizes = list(sizes)
        self.arms = {row.arm for row in rows}
        self.rounds = sorted({row.round for row in rows})
        self._rows = {(row.arm, row.metric, row.size, row.round): row for row in rows}
        self._failed: dict[str, list[Measurement]] = {}
        for row in rows:
            if row.status != "ok":
                self._failed.setdefault(row.arm, []).append(row)

    def covered_by(self, rule: Criterion) -> "Table":
        """Return the part of the table whose sizes count for a rule."""
        part = copy(self)
        instances = bool(self.experiment.sweep.instances)
        part.sizes = [size for size in self.sizes if rule.covers(size, instances)]
        return part

    def numbers(self) -> Array:
        """Return the sizes as numbers."""
        return np.array([float(size) for size in self.sizes])

    def values(self, arm: str, metric: str) -> Array:
        """Return one arm's metric, shape (rounds, sizes)."""
        return self._array(lambda size, number: self._value(arm, metric, size, number))

    def log_ratios(self, of: str, over: str, metric: str) -> Array:
        """Return log(of / over), shape (rounds, sizes): the median over paired samples."""
        return self._array(lambda size, number: self._log_ratio(of, over, metric, size, number))

    def failures(self, arm: str) -> list[Measurement]:
        """Return the rows in which an arm ended without a number."""
        return self._failed.get(arm, [])

    def curve(self, arm: str, metric: str) -> list[tuple[Size, float, float, float]]:
        """Return (size, median, lowest, highest) over rounds, where measured."""
        points = []
        for size in self.sizes:
            found = [
                value
                for number in self.rounds
                if math.isfinite(value := self._value(arm, metric, size, number))
            ]
            if found:
                points.append((size, statistics.median(found), min(found), max(found)))
        return points

    def _array(self, cell: Callable[[Size, int], float]) -> Array:
        return np.array(
            [[cell(size, number) for size in self.sizes] for number in self.rounds], dtype=float
        ).reshape(len(self.rounds), len(self.sizes))

    def _value(self, arm: str, metric: str, size: Size, number: int) -> float:
        row = self._rows.get((arm, metric, size, number))
        return math.nan if row is None or row.value is None else row.value

    def _log_ratio(self, of: str, over: str, metric: str, size: Size, number: int) -> float:
        first = self._rows.get((of, metric, size, number))
        second = self._rows.get((over, metric, size, number))
        if first is None or second is None or first.value is None or second.value is None:
            return math.nan
        pairs = list(zip(first.samples, second.samples, strict=False))
        if not pairs:
            pairs = [(first.value, second.value)]
        if any(a <= 0 or b <= 0 for a, b in pairs):
            return math.nan
        return statistics.median(math.log(a / b) for a, b in pairs)
