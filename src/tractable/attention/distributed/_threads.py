"""Ranks without a launcher: threads of this process that talk through gloo."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import (  # type: ignore[attr-defined]  # stubs export no stores
    HashStore,
    PrefixStore,
    ProcessGroup,
    Store,
)

from tractable._core import fan_out
from tractable._core.checks import check_integer, check_number

__all__ = ["run_ranks"]

Result = TypeVar("Result")


def run_ranks(
    ranks: int, function: Callable[..., Result], *arguments: Any, timeout: float = 60.0
) -> list[Result]:
    """Call `function(group, *arguments)` on so many ranks, threads of this process.

    To try, test and count a distributed function where starting processes is not worth it; the
    messages are gloo's, over this machine's own network. Counts of all ranks add up for the caller.

    Args:
        ranks: how many.
        function: gets the group first; its rank is `group.rank()`.
        arguments: the rest, the same for all.
        timeout: seconds that a message may wait.

    Returns:
        What each rank returned, in order.

    Raises:
        Exception: the first failing rank's own error, once the others have ended too.

    Example:
        >>> run_ranks(3, lambda group: group.rank())
        [0, 1, 2]
    """
    count = check_integer("ranks", ranks, low=1)
    patience = timedelta(seconds=check_number("timeout", timeout, low=0.001))
    store = HashStore()
    failed: list[Exception] = []

    def call(rank: int) -> Result | None:
        try:
            return function(_make_group(store, rank, count, patience), *arguments)
        except Exception as error:
            failed.append(error)
            return None

    with ThreadPoolExecutor(count) as executor:
        results = fan_out(executor, call, range(count))
    if failed:
        raise failed[0]
    return results  # type: ignore[return-value]  # None stands for a failure only


def _make_group(store: Store, rank: int, count: int, patience: timedelta) -> ProcessGroup:
    """Make a group that belongs to this thread and is not registered for the process."""
    group = ProcessGroup(store, rank, count)
    gloo = dist.ProcessGroupGloo(PrefixStore("gloo", store), rank, count, patience)
    group._register_backend(torch.device("cpu"), ProcessGroup.BackendType.GLOO, gloo)
    return group
