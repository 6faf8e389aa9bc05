"""One way to pass randomness."""

import numpy as np

from tractable._core.errors import DTypeError

__all__ = ["as_generator"]


def as_generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    """Turn the `rng` argument of a public function into a generator.

    Args:
        rng: a seed (same seed, same result), a generator (used and advanced), or None (fresh
            entropy).

    Returns:
        A NumPy generator.

    Raises:
        DTypeError: for anything else, legacy `RandomState` included.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if rng is None or (isinstance(rng, int | np.integer) and not isinstance(rng, bool)):
        return np.random.default_rng(rng)
    raise DTypeError(
        f"rng is {type(rng).__name__}; wanted an int seed, numpy.random.Generator or None"
    )
