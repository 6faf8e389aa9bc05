"""What travels between the process that plans and the process that measures."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from tractable.claims import Claim, Form, Size
from tractable.claims.catalogue import Entry, claim_of
from tractable.run._keys import resume_key
from tractable.store import Status

__all__ = ["Block", "Job", "Reading", "Subject"]


@dataclass(frozen=True)
class Subject:
    """A paper ready to be measured.

    Args:
        slug: its name on the command line.
        claim: its claim.
        claim_module: where a fresh process imports the claim from.
        key: its resume key.
    """

    slug: str
    claim: Claim
    claim_module: str
    key: str

    @classmethod
    def of(cls, entry: Entry) -> "Subject":
        """Return the subject of a catalogue entry that is here."""
        module = "tractable.claims." + entry.path.replace("/", ".")
        return cls(entry.slug, claim_of(entry), module, resume_key(entry))


@dataclass(frozen=True)
class Job:
    """One round of one experiment, for one fresh process.

    Args:
        claim_module: import path of the claim.
        experiment: name of the experiment.
        sizes: in the order to be run.
        round: number of the round; with `seed` it fixes all randomness.
        seed: the run's seed.
        form: "smoke", "short" or "full".
        device: "cpu" or "cuda".
        threads: threads of BLAS, torch and Numba.
        contender: `package.module:function` of a further arm, or None.
        skip: (size, arm) pairs that ended a process before.
        meter: the arm whose peak memory is measured, and nothing else; None for the rest.
        memory: bytes that the process may take beyond its start; None takes what is free.
    """

    claim_module: str
    experiment: str
    sizes: tuple[Size, ...]
    round: int
    seed: int = 0
    form: Form = "short"
    device: str = "cpu"
    threads: int = 1
    contender: str | None = None
    skip: tuple[tuple[Size, str], ...] = ()
    meter: str | None = None
    memory: int | None = None

    def to_json(self) -> str:
        """Return the job as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Job":
        """Read a job back."""
        made = json.loads(line)
        made["sizes"] = tuple(made["sizes"])
        made["skip"] = tuple((size, arm) for size, arm in made["skip"])
        return cls(**made)


@dataclass(frozen=True)
class Reading:
    """One number of one arm in one block, or why there is none."""

    arm: str
    metric: str
    value: float | None
    samples: tuple[float, ...] = ()
    status: Status = "ok"
    detail: str = ""

    @classmethod
    def from_dict(cls, made: dict[str, Any]) -> "Reading":
        """Read a reading back from JSON."""
        return cls(**{**made, "samples": tuple(made["samples"])})


@dataclass(frozen=True)
class Block:
    """All readings of one size in one round."""

    experiment: str
    size: Size
    round: int
    threads: int
    load: float | None
    readings: tuple[Reading, ...] = field(default=())
