"""From measurements to verdicts: pure functions on arrays, without clocks, files or settings.

Measurements are tables of shape (rounds, sizes). A cell that is NaN was not measured; an infinite
one is a run that never reached its target. `growth`, `level` and `association` turn tables into an
`Estimate`; `judge` holds it against a bound; `combine` makes one verdict of many. `crossover` and
`noise_floor` are shown beside them. The rules, and the simulations behind them, are in MEASURING
sections 3.5, 4 and 5; all thresholds stand in one file, `_thresholds.py`.
"""

from tractable.stats._association import association
from tractable.stats._crossover import Crossover, crossover
from tractable.stats._growth import growth
from tractable.stats._level import level, noise_floor
from tractable.stats._verdicts import Estimate, Interval, Ruling, Word, combine, judge, rule

__all__ = [
    "Crossover",
    "Estimate",
    "Interval",
    "Ruling",
    "Word",
    "association",
    "combine",
    "crossover",
    "growth",
    "judge",
    "level",
    "noise_floor",
    "rule",
]
