"""The process that measures: reads a job, sends one line an event, dies alone.

Started by `tractable.run._watch` as `python -m tractable.run._child`.
"""

import importlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO

from tractable import measure
from tractable.claims import Claim, Experiment
from tractable.run._block import CONTENDER, read_block
from tractable.run._jobs import Job

__all__ = ["main"]

SHARE_OF_FREE_MEMORY = 0.85


def main() -> None:
    """Run the job on standard input; whatever the arms print goes to standard error."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    job = Job.from_json(sys.stdin.readline())
    if job.device == "cpu":
        _limit_memory(job.memory)
    experiment = load_experiment(job)
    for size in job.sizes:

        def announce(part: str, size: object = size) -> None:
            _send(channel, {"event": "start", "size": size, "part": part})

        load = measure.load_average()
        readings = [asdict(reading) for reading in read_block(experiment, job, size, announce)]
        _send(channel, {"event": "block", "size": size, "load": load, "readings": readings})
    _send(channel, {"event": "end"})


def load_experiment(job: Job) -> Experiment:
    """Import the claim and add the contender, if there is one, as a further arm."""
    claim: Claim = importlib.import_module(job.claim_module).claim
    experiment = claim.experiments[job.experiment]
    if job.contender is not None:
        module, _, name = job.contender.partition(":")
        contender = getattr(importlib.import_module(module), name)

        def contend(*inputs: object) -> object:
            return contender(*inputs)

        contend.__name__ = CONTENDER
        experiment.peer()(contend)
    return experiment


def _limit_memory(wanted: int | None) -> None:
    """Make an allocation fail before the machine has to kill somebody."""
    free = measure.available_memory()
    if wanted is None and free is not None:
        wanted = int(free * SHARE_OF_FREE_MEMORY)
    try:
        import resource

        if wanted is not None and sys.platform == "linux":
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            top = pages * os.sysconf("SC_PAGE_SIZE") + wanted
            resource.setrlimit(resource.RLIMIT_AS, (top, top))
    except (ImportError, ValueError, OSError):
        return


def _send(channel: IO[str], event: dict[str, object]) -> None:
    channel.write(json.dumps(event) + "\n")


if __name__ == "__main__":
    main()
