"""Spread calls over an executor and bring their counts home."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Generic, TypeVar

from tractable._core.counting import count, listening, note

if TYPE_CHECKING:  # loading it would cost every command its logging
    from concurrent.futures import Executor

__all__ = ["fan_out"]

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Counted(Generic[Item, Result]):
    """Calls a function and returns its result with what it noted; picklable if it is."""

    def __init__(self, function: Callable[[Item], Result], listens: bool) -> None:
        self.function = function
        self.listens = listens

    def __call__(self, item: Item) -> tuple[Result, dict[str, int | float]]:
        if not self.listens:
            return self.function(item), {}
        with count() as cost:
            result = self.function(item)
        return result, dict(cost)


def fan_out(
    executor: "Executor | None", function: Callable[[Item], Result], items: Iterable[Item]
) -> list[Result]:
    """Call `function` on every item and return the results in the items' order.

    A plain `executor.map` loses what the calls note, since threads and processes do not share
    the listener; here the counts are noted again where `fan_out` was called.

    Args:
        executor: threads, processes or `dask.distributed.Client.get_executor()`; None calls
            one after another in this thread.
        function: called with one item; picklable if the executor crosses processes.
        items: the arguments.

    Returns:
        One result an item.

    Raises:
        Exception: the first failing call's own error; calls not yet started are cancelled.

    Example:
        >>> fan_out(None, abs, [-1, 2])
        [1, 2]
    """
    if executor is None:
        return [function(item) for item in items]
    call = _Counted(function, listening())
    futures = [executor.submit(call, item) for item in items]
    try:
        pairs = [future.result() for future in futures]
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    for _, costs in pairs:
        for unit, amount in costs.items():
            note(unit, amount)
    return [result for result, _ in pairs]
