"""Where a client's noise comes from: the operating system's entropy, never a seed."""

import os

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tractable._core import RangeError
from tractable._core.random import as_generator

__all__ = ["Source", "SystemEntropy", "choose_source"]

Floats = NDArray[np.float64]


class SystemEntropy:
    """Uniform and normal numbers from `os.urandom`, the system's cryptographic generator.

    NumPy's bit generators are not cryptographic: PCG64's state can be computed from its outputs,
    and with it the noise that was to hide a person. Nothing is buffered here, so there is no
    state to steal, to fork or to restore.
    """

    def random(self, size: int | tuple[int, ...]) -> Floats:
        """Return uniform multiples of 2^-53 in [0, 1)."""
        return np.asarray((self._words(size) >> np.uint64(11)) * 2.0**-53)

    def standard_normal(self, size: int | tuple[int, ...]) -> Floats:
        """Return normal numbers by the inverse of their distribution.

        A tail probability is made of 128 bits and a sign of one more, so that even seven standard
        deviations out the numbers have 53 random bits, and the law is exactly symmetric.
        """
        high, low = self._words(size), self._words(size)
        sign = np.where(high & np.uint64(1), 1.0, -1.0)
        # In (0, 1/2): 63 bits, then 64 finer ones, which count where the first are nearly zero.
        tail = ((high >> np.uint64(1)) + (low + 0.5) * 2.0**-64) * 2.0**-64
        return np.asarray(sign * -ndtri(np.minimum(tail, 0.5)))

    def _words(self, size: int | tuple[int, ...]) -> NDArray[np.uint64]:
        count = int(np.prod(size))
        return np.frombuffer(os.urandom(8 * count), dtype=np.uint64).reshape(size)


Source = SystemEntropy | np.random.Generator
"""What the mechanisms draw from: `random` and `standard_normal`."""


def choose_source(rng: int | np.random.Generator | None, simulation: bool) -> Source:
    """Return the system's entropy, or a seeded generator where a simulation is declared.

    Raises:
        RangeError: for a seed or generator without `simulation=True`.
        DTypeError: for an `rng` that is none.
    """
    if simulation:
        return as_generator(rng)
    if rng is not None:
        raise RangeError(
            f"rng is {rng!r}, and whoever knows it can take the noise off the report; leave it "
            "out for the system's entropy, or pass simulation=True if no real person's data are "
            "involved"
        )
    return SystemEntropy()
