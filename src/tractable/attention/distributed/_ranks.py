"""The two messages that the schedules send, and the count of their bytes.

Everything goes through `all_to_all_single`, which gloo and NCCL have alike: a piece for one
neighbour is an exchange whose other pieces are empty, so no send waits for a receive.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from tractable._core import RangeError, note

__all__ = ["Pending", "Ranks"]


class Pending(NamedTuple):
    """A message under way."""

    work: dist.Work
    received: Tensor
    sent: Tensor
    """Held until it is gone."""

    def wait(self) -> Tensor:
        """Return what came in."""
        self.work.wait()
        return self.received


class Ranks:
    """The processes that hold a sequence together, as one of them sees them.

    Args:
        group: None takes the default group, or this process alone where there is none.

    Raises:
        RangeError: if this process is not in the group.
    """

    def __init__(self, group: ProcessGroup | None = None) -> None:
        """Look up rank and size."""
        if group is None and dist.is_available() and dist.is_initialized():
            group = dist.group.WORLD
        if group is not None and not isinstance(group, ProcessGroup):
            raise RangeError(
                "this process is not in the group; wanted the call from its members only"
            )
        self.group = group
        self.rank = 0 if group is None else group.rank()
        self.size = 1 if group is None else group.size()

    def start_shift(self, tensor: Tensor, step: int, members: Sequence[int]) -> Pending:
        """Send a tensor `step` members on and receive one of the same shape from as far back.

        Args:
            tensor: has the same shape on all members.
            step: not a multiple of the number of members.
            members: ranks in a ring, this one among them; all ranks call, with rings of one size.
        """
        at = members.index(self.rank)
        sends, takes = [0] * self.size, [0] * self.size
        sent = tensor.contiguous()
        sends[members[(at + step) % len(members)]] = sent.numel()
        takes[members[(at - step) % len(members)]] = sent.numel()
        received = torch.empty_like(sent)
        work = dist.all_to_all_single(
            received.view(-1), sent.view(-1), takes, sends, group=self.group, async_op=True
        )
        note("bytes sent", sent.nbytes)
        return Pending(work, received, sent)

    def gather(self, tensor: Tensor, members: Sequence[int]) -> list[Tensor]:
        """Return the tensors of all members in their order, this rank's own not copied."""
        at, count = members.index(self.rank), len(members)
        parts = [tensor] * count
        pending = [self.start_shift(tensor, step, members) for step in range(1, count)]
        for step, message in enumerate(pending, 1):
            parts[(at - step) % count] = message.wait()
        return parts

    def scatter(self, parts: Sequence[Tensor], members: Sequence[int]) -> list[Tensor]:
        """Send part i to member i and return what the members sent here, this rank's own first."""
        at, count = members.index(self.rank), len(members)
        pending = [
            self.start_shift(parts[(at + step) % count], step, members) for step in range(1, count)
        ]
        return [parts[at], *(message.wait() for message in pending)]

    def exchange(self, tensor: Tensor) -> Tensor:
        """Send slice i of the first axis to rank i; slice i of the result came from rank i."""
        if self.size == 1:
            return tensor
        sent = tensor.contiguous()
        received = torch.empty_like(sent)
        dist.all_to_all_single(received, sent, group=self.group)
        note("bytes sent", sent.nbytes * (self.size - 1) // self.size)
        return received
