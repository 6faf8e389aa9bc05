"""What everything else stands on: errors, counting, fan-out, randomness and input checks.

This file loads the standard library alone; `checks` and `random` load NumPy.
"""

from tractable._core.counting import UNITS, Cost, count, note
from tractable._core.errors import (
    DataError,
    DTypeError,
    MissingPackageError,
    RangeError,
    ShapeError,
    SlowPathWarning,
    TractableError,
    UnitError,
)
from tractable._core.fanout import fan_out

__all__ = [
    "UNITS",
    "Cost",
    "DTypeError",
    "DataError",
    "MissingPackageError",
    "RangeError",
    "ShapeError",
    "SlowPathWarning",
    "TractableError",
    "UnitError",
    "count",
    "fan_out",
    "note",
]
