"""Peak bytes of the tensors that one thread makes, exact where a process's memory is not."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["Meter", "meter_tensors"]


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Bytes of tensors made while it listens: those alive now, and the most at once."""

    def __init__(self) -> None:
        """Start at zero."""
        super().__init__()  # type: ignore[no-untyped-call]  # the same
        self.alive = 0
        self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run an operation and see what it made."""
        given = {x.untyped_storage()._cdata for x in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in given and storage._cdata not in self._known:
                self._known.add(storage._cdata)
                weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
                self.alive += storage.nbytes()
                self.peak = max(self.peak, self.alive)
        return out

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.alive -= size


@contextmanager
def meter_tensors() -> Iterator[Meter]:
    """Meter the tensors that this thread makes inside the block, on any device.

    Scratch that an operation frees before it returns is not seen.

    Yields:
        The meter; `peak` is the number of bytes.

    Example:
        >>> with meter_tensors() as meter:
        ...     x = torch.zeros(10) + torch.zeros(10)
        >>> meter.peak, meter.alive
        (120, 40)
    """
    with Meter() as meter:
        yield meter


def _tensors(tree: object) -> Iterator[torch.Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
