"""What is still to be run, and which round comes next."""

from collections.abc import Iterable
from dataclasses import dataclass

from tractable.claims import Experiment, Form
from tractable.run._block import AGAIN
from tractable.run._jobs import Job, Subject

__all__ = ["Agenda", "Task", "missing", "rounds_of"]


@dataclass
class Task:
    """One round of one experiment that is still to be run."""

    subject: Subject
    experiment: Experiment
    job: Job

    @property
    def place(self) -> tuple[str, str]:
        return self.subject.slug, self.experiment.name

    @property
    def meters(self) -> tuple[str, ...]:
        if not self.experiment.judges("peak bytes"):
            return ()
        baseline = self.experiment.arm("baseline")
        again = [baseline.name + AGAIN] if baseline is not None else []
        return (*self.experiment.arms, *again)


class Agenda:
    """Which round comes next: under a budget the most urgent, else the papers' own order."""

    def __init__(self, tasks: Iterable[Task], *, by_urgency: bool) -> None:
        self.tasks = list(tasks)
        self.by_urgency = by_urgency
        self._decided: set[tuple[str, str]] = set()
        self._costs: dict[tuple[str, str], float] = {}

    def take(self) -> Task:
        """Remove and return the next: undecided ones first, early rounds first, cheap first."""
        task = min(self.tasks, key=self._urgency) if self.by_urgency else self.tasks[0]
        self.tasks.remove(task)
        return task

    def learn(self, task: Task, cost: float, decided: bool) -> None:
        """Take what a round cost, and whether its experiment is decided now."""
        self._costs[task.place] = cost
        if decided:
            self._decided.add(task.place)

    def _urgency(self, task: Task) -> tuple[bool, int, float]:
        return task.place in self._decided, task.job.round, self._costs.get(task.place, 0.0)


def missing(experiment: Experiment, device: str = "cpu") -> str | None:
    """Say why an experiment cannot run here, None if it can."""
    if lacks := experiment.lacks():
        return f"needs {', '.join(lacks)}"
    if device not in experiment.devices:
        return f"runs on {', '.join(experiment.devices)} only"
    return None


def rounds_of(experiment: Experiment, form: Form) -> int:
    """Return how many rounds a form has."""
    return {"smoke": 1, "short": experiment.short_rounds, "full": experiment.rounds}[form]
