"""The few errors of the library: each is a `TractableError` and the built-in it refines.

A message says what was got, what was wanted, and what to do next.
"""

__all__ = [
    "DTypeError",
    "DataError",
    "MissingPackageError",
    "RangeError",
    "ShapeError",
    "SlowPathWarning",
    "TractableError",
    "UnitError",
]


class TractableError(Exception):
    """Anything the library refuses; catch this to catch all of it."""


class ShapeError(TractableError, ValueError):
    """An array has the wrong number of axes, or axes that do not fit together."""


class DTypeError(TractableError, TypeError):
    """An argument has a type that the function cannot work on."""


class RangeError(TractableError, ValueError):
    """A parameter lies outside the range that its docstring states."""


class DataError(TractableError, ValueError):
    """Array contents break the argument's rule, such as NaN where numbers are wanted."""


class UnitError(TractableError, KeyError):
    """A cost was noted in a unit that the vocabulary does not have."""

    def __str__(self) -> str:
        """Return the plain message; `KeyError` would quote it."""
        return str(self.args[0])


class MissingPackageError(TractableError, ImportError):
    """An optional package is not installed; the message has the install line."""


class SlowPathWarning(UserWarning):
    """A fast backend is missing and a slower one runs instead; given once a process."""
