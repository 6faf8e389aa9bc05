"""Shapes in annotations are checked in tests only; kernels are interpreted where no GPU is."""

import os
from collections.abc import Iterator

import jaxtyping
import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton

_hook = jaxtyping.install_import_hook("tractable", "shapes.check")


settings.register_profile("tractable", deadline=None)  # no test asserts a wall-clock time
settings.load_profile("tractable")


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Call as users do, without the shape checks, so that refusals are the library's own."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
