"""Run a job in a process of its own, under a watchdog.

A crash, a hang and memory exhaustion each end one block with its reason; the round goes on in
a new process. A size that hung is not tried again.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from tractable import measure
from tractable.claims import Size
from tractable.run._jobs import Block, Job, Reading
from tractable.store import Status

__all__ = ["run_job"]

START_GRACE = 90.0
"""Seconds that a process may take to start and import before its first block's limit counts."""
GLANCE = 0.1
"""Seconds between two looks at the deadline."""
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class _OutOfTime(Exception):  # noqa: N818  # an outcome, caught right here
    """The time that the caller gave is over."""


class _End(NamedTuple):
    """What ends a job from outside: a deadline, or the wish to stop."""

    deadline: float | None
    stop: threading.Event | None

    def check(self) -> None:
        late = self.deadline is not None and measure.monotonic() >= self.deadline
        if late or (self.stop is not None and self.stop.is_set()):
            raise _OutOfTime


class _Death(Exception):  # noqa: N818  # an outcome, caught right here
    """The measuring process ended early."""

    def __init__(self, size: Size, part: str, status: Status, detail: str) -> None:
        super().__init__(detail)
        self.size, self.part, self.status, self.detail = size, part, status, detail


def run_job(
    job: Job,
    *,
    limit: float,
    seconds: float | None = None,
    on_block: Callable[[Block], None] | None = None,
    meters: tuple[str, ...] = (),
    stop: threading.Event | None = None,
) -> list[Block]:
    """Run a job to its end, through as many processes as it takes.

    Args:
        job: one round of one experiment.
        limit: seconds a block may take before it counts as hung.
        seconds: time after which everything stops hard; None never.
        on_block: called with every block as soon as it is finished.
        meters: arms whose peak memory is read, each in a process of its own.
        stop: ends the job at once when it is set, as the time's end does.

    Returns:
        The finished blocks, each with numbers or reasons; fewer than the job has sizes if the
        time ran out.
    """
    end = _End(None if seconds is None else measure.monotonic() + seconds, stop)
    done: list[Block] = []
    remaining = list(job.sizes)
    skip = list(job.skip)
    blamed: dict[Size, list[Reading]] = {}

    def finish(block: Block) -> None:
        readings = [reading for reading in block.readings if reading.status != "refused"]
        finished = replace(block, readings=(*readings, *blamed.get(block.size, [])))
        remaining.remove(block.size)
        done.append(finished)
        if on_block is not None:
            on_block(finished)

    while remaining:
        part = replace(job, sizes=tuple(remaining), skip=tuple(skip))
        try:
            for block in _blocks(part, limit, end):
                for arm in meters:
                    alone = replace(job, sizes=(block.size,), meter=arm)
                    blamed.setdefault(block.size, []).extend(_meter(alone, limit, end))
                finish(block)
        except _OutOfTime:
            return done
        except _Death as death:
            reading = Reading(death.part, "seconds", None, (), death.status, death.detail)
            blamed.setdefault(death.size, []).append(reading)
            again = death.status != "hung" and death.part not in ("inputs", "timing")
            if again and (death.size, death.part) not in skip:
                skip.append((death.size, death.part))
            else:
                finish(Block(job.experiment, death.size, job.round, job.threads, None))
    return done


def _meter(job: Job, limit: float, end: _End) -> list[Reading]:
    """Read one arm's peak memory; its death is the reading."""
    try:
        return [reading for block in _blocks(job, limit, end) for reading in block.readings]
    except _Death as death:
        return [Reading(job.meter or "", "peak bytes", None, (), death.status, death.detail)]


def _blocks(job: Job, limit: float, end: _End) -> Iterator[Block]:
    """Yield the blocks of one process; raise `_Death` if it ends before the last."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tractable.run._child"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, **dict.fromkeys(THREAD_SETTINGS, str(job.threads))},
    )
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []
    listeners = [
        threading.Thread(target=_forward, args=(child.stdout, lines.put), daemon=True),
        threading.Thread(target=_keep_tail, args=(child.stderr, errors), daemon=True),
    ]
    for listener in listeners:
        listener.start()
    size, part = job.sizes[0], "inputs"
    block_ends = measure.monotonic() + START_GRACE + limit
    try:
        if child.stdin is not None:
            try:
                child.stdin.write(job.to_json() + "\n")
                child.stdin.close()
            except BrokenPipeError:
                pass  # it died at once; its exit is read below
        while True:
            event = _next_event(lines, block_ends, end)
            if event == "late":
                raise _Death(size, part, "hung", f"took longer than {limit:g} s")
            if event is None:
                listeners[1].join(5)
                raise _Death(size, part, *_reason(child.wait(), errors))
            if event["event"] == "end":
                return
            if event["event"] == "start":
                if event["part"] == "inputs":
                    block_ends = measure.monotonic() + limit
                size, part = event["size"], event["part"]
                continue
            block_ends = measure.monotonic() + limit
            readings = tuple(Reading.from_dict(made) for made in event["readings"])
            yield Block(
                job.experiment, event["size"], job.round, job.threads, event["load"], readings
            )
    finally:
        _end(child)
        for listener in listeners:
            listener.join(5)


def _next_event(lines: "queue.Queue[str | None]", until: float, end: _End) -> Any:
    """Return the next event, None at the end of the stream, or "late"."""
    while True:
        end.check()
        try:
            line = lines.get(timeout=max(0.0, min(GLANCE, until - measure.monotonic())))
            return None if line is None else json.loads(line)
        except queue.Empty:
            if measure.monotonic() >= until:
                return "late"


def _reason(code: int, errors: list[str]) -> tuple[Status, str]:
    """Turn an exit into a status and a short reason."""
    last = next((line for line in reversed(errors) if line.strip()), "").strip()[:300]
    if code == -signal.SIGKILL:
        return "out of memory", "killed by the system"
    if "MemoryError" in last or "can't allocate memory" in last:
        return "out of memory", last
    if code < 0:
        return "crashed", f"ended by {signal.Signals(-code).name}"
    return "crashed", last or f"exit status {code}"


def _forward(stream: Any, put: Callable[[str | None], None]) -> None:
    with stream:
        for line in stream:
            put(line)
    put(None)


def _keep_tail(stream: Any, tail: list[str]) -> None:
    with stream:
        for line in stream:
            tail.append(line)
            del tail[:-50]


def _end(child: "subprocess.Popen[str]") -> None:
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()
