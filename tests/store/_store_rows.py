"""Rows for the tests of the store; children import this file by path."""

import json
from collections.abc import Iterator
from pathlib import Path

from tractable.store import Machine, Measurement, Run, Store, Verdict

HERE = Machine("aa" * 16, {"cpu": "Two Core 9000", "cores": 2, "memory": 2**33, "gpu": None})
THERE = Machine("bb" * 16, {"cpu": "Cluster", "cores": 64, "gpu": ["H100"]})


def run_on(machine: Machine, name: str = "run1") -> Run:
    return Run(
        f"{name}-{machine.id[:4]}",
        "2031-05-04T03:02:01+00:00",
        machine.id,
        "0.1.0",
        "short",
        "cpu",
        7,
        "verify hip --short",
    )


def block(run: Run, size: int | float | str = 1024, index: int = 0, **other) -> list[Measurement]:
    fields = {
        "run": run.id,
        "machine": run.machine,
        "slug": "hip",
        "experiment": "reads",
        "metric": "key reads",
        "size": size,
        "round": index,
        "device": "cpu",
        "samples": (1.0, 1.0625),
        "status": "ok",
        "detail": "",
        "key": "cd" * 16,
        "seed": 11,
        "threads": 1,
        "load": 0.25,
        **other,
    }
    arms = {"method": 2.0, "baseline": 8.0, "knockout": 2.0, "placebo": 8.0}
    return [Measurement(**{"arm": arm, "value": value, **fields}) for arm, value in arms.items()]


def verdict(machine: Machine, *, at: str = "2031-05-04T03:02:09+00:00", **other) -> Verdict:
    fields = {
        "slug": "hip",
        "form": "short",
        "device": "cpu",
        "word": "agrees",
        "sentence": "consistent with T log T on 512..65,536, T² rejected",
        "tier": "scaled down",
        "criteria_hash": "ef" * 16,
        "key": "cd" * 16,
        "detail": {"reads": {"criteria": ["agrees"], "interval": [-0.9, -0.8]}},
        **other,
    }
    return Verdict(machine=machine.id, at=at, **fields)


def fill(path: Path, machine: Machine = HERE, sizes: tuple = (512, 1024, 2048.5, "σ-net")) -> Run:
    run = run_on(machine)
    with Store.open(path) as store:
        store.begin(machine, run)
        for size in sizes:
            store.add_block(block(run, size))
        store.add_verdict(verdict(machine))
    return run


def many_lines(count: int) -> Iterator[str]:
    """Lines of `count` measurements, with their machine and run."""
    run = run_on(THERE)
    yield json.dumps({"kind": "machine", **THERE._asdict()})
    yield json.dumps({"kind": "run", **run._asdict()})
    first = json.dumps({"kind": "measurement", **block(run, 512, 123456789)[0]._asdict()})
    before, after = first.split("123456789")
    yield from (f"{before}{index}{after}" for index in range(count))
