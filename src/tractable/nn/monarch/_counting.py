"""Counting that `torch.compile` can step over."""

import torch

from tractable._core import note

__all__ = ["note_flops"]


def note_flops(amount: int) -> None:
    """Note `flops`, unless the call is being compiled, where nobody can listen."""
    if not torch.compiler.is_compiling():
        note("flops", amount)
