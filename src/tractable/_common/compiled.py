"""Numba's loops where Numba is installed, and one warning where it is not."""

import importlib
import warnings
from functools import cache
from types import ModuleType

from tractable._core.errors import SlowPathWarning

__all__ = ["load_compiled"]


@cache
def load_compiled(package: str) -> ModuleType | None:
    """Return a package's `_compiled` loops, or None with one warning where Numba is missing.

    Args:
        package: the package's full name; callers pass their `__package__`.
    """
    try:
        return importlib.import_module(f"{package}._compiled")
    except ImportError:
        warnings.warn(
            "numba is missing, so slower NumPy loops run: pip install 'tractable[jit]'",
            SlowPathWarning,
            stacklevel=2,
        )
        return None
