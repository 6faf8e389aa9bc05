"""Run a package's NumPy loops although Numba is installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from tractable._common.compiled import load_compiled
from tractable._core import SlowPathWarning


@contextmanager
def numpy_only(package: ModuleType) -> Iterator[None]:
    """Be without the package's compiled loops, as where Numba is missing; it warns once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, f"{package.__name__}._compiled", None)
        load_compiled.cache_clear()
        with pytest.warns(SlowPathWarning, match=r"pip install 'tractable\[jit\]'"):
            assert load_compiled(package.__name__) is None
        try:
            yield
        finally:
            load_compiled.cache_clear()
