"""Plan the rounds of several papers, run them, keep every block, and judge.

Counted and seeded experiments come first: they decide without a quiet machine, and may spread
over workers. Clocked blocks run alone, one after another.
"""

import importlib.util
import os
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from tractable import __version__, measure
from tractable.claims import Experiment, Form, Size
from tractable.claims.catalogue import Entry
from tractable.run._block import AGAIN
from tractable.run._cluster import cluster_executor
from tractable.run._jobs import Block, Job, Subject
from tractable.run._judging import Judgement, judge
from tractable.run._keys import combined_key
from tractable.run._watch import run_job
from tractable.store import Machine, Measurement, Run, Store

__all__ = ["Options", "Progress", "judge_stored", "missing", "rounds_of", "verify"]


@dataclass(frozen=True)
class Options:
    """How to verify.

    Args:
        form: "short" or "full" ("smoke" runs the smallest size once).
        budget: seconds after which everything stops hard; None runs all rounds.
        device: "cpu" or "cuda".
        workers: processes that counted and seeded experiments may use at once.
        cluster: address of a Dask scheduler for them instead.
        insecure: allow a cluster address that is neither loopback nor tls.
        seed: fixes all randomness.
        contender: `package.module:function` that is raced as a further arm.
    """

    form: Form = "short"
    budget: float | None = None
    device: str = "cpu"
    workers: int = 1
    cluster: str | None = None
    insecure: bool = False
    seed: int = 0
    contender: str | None = None


class Progress:
    """Told what happens; this one keeps silent."""

    def plan(self, blocks: int) -> None:
        """Take the number of blocks that are to be run."""

    def running(self, slug: str, experiment: str, round: int) -> None:
        """Take what runs now."""

    def finished(self, slug: str, block: Block) -> None:
        """Take a finished block."""


@dataclass
class _Task:
    """One round of one experiment that is still to be run."""

    subject: Subject
    experiment: Experiment
    job: Job
    cost: float = 0.0

    @property
    def meters(self) -> tuple[str, ...]:
        if not self.experiment.judges("peak bytes"):
            return ()
        baseline = self.experiment.arm("baseline")
        again = [baseline.name + AGAIN] if baseline is not None else []
        return (*self.experiment.arms, *again)


def missing(experiment: Experiment, device: str = "cpu") -> str | None:
    """Say why an experiment cannot run here, None if it can."""
    lacks = [name for name in experiment.needs if importlib.util.find_spec(name) is None]
    if lacks:
        return f"needs {', '.join(lacks)}"
    if device not in experiment.devices:
        return f"runs on {', '.join(experiment.devices)} only"
    return None


def rounds_of(experiment: Experiment, form: Form) -> int:
    """Return how many rounds a form has."""
    return {"smoke": 1, "short": experiment.short_rounds, "full": experiment.rounds}[form]


def verify(
    subjects: Sequence[Subject],
    store: Store,
    options: Options,
    progress: Progress | None = None,
    on_judged: Callable[[Subject, Judgement], None] | None = None,
) -> dict[str, Judgement]:
    """Measure what is not measured yet and judge every paper.

    Args:
        subjects: the papers.
        store: where every finished block goes, in a transaction of its own.
        options: how.
        progress: told what happens.
        on_judged: called with each paper's judgement as soon as its rounds are over.

    Returns:
        A judgement a slug; it is in the store as well.
    """
    progress = progress or Progress()
    subjects = [_keyed(subject, options) for subject in subjects]
    session = _Session(store, options, progress)
    tasks = [task for subject in subjects for task in session.tasks(subject)]
    progress.plan(sum(len(task.job.sizes) for task in tasks))
    judged: dict[str, Judgement] = {}

    def judge_ended(open_tasks: Iterable[_Task]) -> None:
        waiting = {task.subject.slug for task in open_tasks}
        for subject in subjects:
            if subject.slug not in waiting and subject.slug not in judged:
                judged[subject.slug] = session.judge(subject)
                if on_judged is not None:
                    on_judged(subject, judged[subject.slug])

    spread = [task for task in tasks if not task.experiment.clocked]
    clocked = [task for task in tasks if task.experiment.clocked]
    with _executor(options, subjects) as executor:
        if executor is not None:
            session.spread(spread, executor)
            spread = []
    session.one_by_one(spread, lambda left: judge_ended([*left, *clocked]))
    session.one_by_one(clocked, judge_ended)
    judge_ended([])
    return judged


class _Session:
    """One call of `verify`: its run, its machine, its clock."""

    def __init__(self, store: Store, options: Options, progress: Progress) -> None:
        self.store, self.options, self.progress = store, options, progress
        description = measure.describe_machine()
        self.machine = Machine(measure.machine_id(description), description)
        self.run = Run(
            uuid4().hex, _utc(), self.machine.id, __version__, options.form, options.device,
            options.seed, "",
        )  # fmt: skip
        store.begin(self.machine, self.run)
        self.started = measure.monotonic()

    def seconds_left(self) -> float | None:
        """Return what is left of the budget, None without one."""
        if self.options.budget is None:
            return None
        return self.options.budget - (measure.monotonic() - self.started)

    def out_of_time(self) -> bool:
        """Whether the budget is spent."""
        left = self.seconds_left()
        return left is not None and left <= 0

    def tasks(self, subject: Subject) -> list[_Task]:
        """Return the rounds that are not in the store yet, sizes shuffled."""
        form, device, key = self.options.form, self.options.device, subject.key
        where = (subject.slug, key, self.machine.id, device)
        finished = self.store.finished(*where)
        hung = self.store.hung(*where)
        made = []
        for experiment in subject.claim:
            if missing(experiment, device) is not None:
                continue
            for number in range(rounds_of(experiment, form)):
                sizes: list[Size] = [
                    size
                    for size in experiment.sweep.sizes(form)
                    if (experiment.name, size, number) not in finished
                    and (experiment.name, size) not in hung
                ]
                random.Random(f"{self.options.seed} {number}").shuffle(sizes)
                job = Job(
                    subject.claim_module,
                    experiment.name,
                    tuple(sizes),
                    number,
                    seed=self.options.seed,
                    form=form,
                    device=device,
                    threads=(os.cpu_count() or 1) if experiment.clocked else 1,
                    contender=self.options.contender,
                )
                if sizes:
                    made.append(_Task(subject, experiment, job))
        return made

    def one_by_one(self, tasks: list[_Task], on_step: Callable[[list[_Task]], None]) -> None:
        """Run tasks alone; those of undecided experiments first, early rounds first, cheap first.

        Without a budget the order is the papers' own, so that each is told as it ends.
        """
        decided: set[tuple[str, str]] = set()
        costs: dict[tuple[str, str], float] = {}

        def urgency(task: _Task) -> tuple[bool, int, float]:
            place = (task.subject.slug, task.experiment.name)
            return place in decided, task.job.round, costs.get(place, 0.0)

        while tasks and not self.out_of_time():
            task = min(tasks, key=urgency) if self.options.budget is not None else tasks[0]
            tasks.remove(task)
            slug, name = task.subject.slug, task.experiment.name
            self.progress.running(slug, name, task.job.round)
            began = measure.monotonic()

            def keep(block: Block, task: _Task = task) -> None:
                self.keep(task, block)

            run_job(
                self._without_hung(task),
                limit=task.experiment.limit,
                seconds=self.seconds_left(),
                on_block=keep,
                meters=task.meters,
            )
            costs[slug, name] = measure.monotonic() - began
            if self.options.budget is not None and task.job.round >= 1:
                found = self.judge(task.subject, keep=False).experiments[name]
                if found.decided:
                    decided.add((slug, name))
            on_step(tasks)

    def spread(self, tasks: list[_Task], executor: Executor) -> None:
        """Run tasks side by side; blocks are stored here as they come home."""
        arrived: queue.Queue[tuple[_Task, Block]] = queue.Queue()
        local = isinstance(executor, ThreadPoolExecutor)
        stop = threading.Event() if local else None  # an event does not travel to a cluster
        pending: dict[Future[list[Block]], _Task] = {}
        for task in sorted(tasks, key=lambda task: task.job.round):

            def send(block: Block, task: _Task = task) -> None:
                arrived.put((task, block))

            future = executor.submit(
                run_job,
                task.job,
                limit=task.experiment.limit,
                seconds=self.seconds_left(),
                on_block=send if local else None,
                meters=task.meters,
                stop=stop,
            )
            pending[future] = task
        try:
            while pending or not arrived.empty():
                done, _ = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    task = pending.pop(future)
                    for block in future.result():
                        if not local:
                            arrived.put((task, _without_seconds(block)))
                while not arrived.empty():
                    self.keep(*arrived.get())
                if self.out_of_time():
                    for future in list(pending):
                        if future.cancel():
                            pending.pop(future)
        except BaseException:
            if stop is not None:
                stop.set()
            for future in pending:
                future.cancel()
            raise

    def keep(self, task: _Task, block: Block) -> None:
        """Store one finished block in one transaction."""
        rows = [
            Measurement(
                run=self.run.id,
                machine=self.machine.id,
                slug=task.subject.slug,
                experiment=block.experiment,
                arm=reading.arm,
                metric=reading.metric,
                size=block.size,
                round=block.round,
                device=self.options.device,
                value=reading.value,
                samples=reading.samples,
                status=reading.status,
                detail=reading.detail,
                key=task.subject.key,
                seed=self.options.seed,
                threads=block.threads,
                load=block.load,
            )
            for reading in block.readings
        ]
        self.store.add_block(rows)
        self.progress.finished(task.subject.slug, block)

    def judge(self, subject: Subject, keep: bool = True) -> Judgement:
        """Judge a paper by its rows on this machine, and store the verdict."""
        rows = self.store.measurements(
            subject.slug, machine=self.machine.id, key=subject.key, device=self.options.device
        )
        absent = {
            experiment.name: why
            for experiment in subject.claim
            if (why := missing(experiment, self.options.device)) is not None
        }
        found = judge(subject, rows, self.options.form, absent)
        if keep:
            self.store.add_verdict(
                found.verdict(self.machine.id, self.options.form, self.options.device, _utc())
            )
        return found

    def _without_hung(self, task: _Task) -> Job:
        """Drop the sizes that hung in an earlier round of this run."""
        hung = self.store.hung(
            task.subject.slug, task.subject.key, self.machine.id, self.options.device
        )
        sizes = tuple(s for s in task.job.sizes if (task.experiment.name, s) not in hung)
        return replace(task.job, sizes=sizes)


def judge_stored(store: Store, entry: Entry) -> list[Judgement]:
    """Judge every machine's stored rows of a paper anew, and store the verdicts.

    Used after a merge, whose own verdicts are not believed. Rows from sources that have changed
    since are judged too, by today's criteria.
    """
    subject = Subject.of(entry)
    forms = {run.id: run.form for run in store.runs()}
    groups: dict[tuple[str, str, str], list[Measurement]] = {}
    for row in store.measurements(entry.slug):
        groups.setdefault((row.machine, row.device, row.key), []).append(row)
    made = []
    for (machine, device, key), rows in groups.items():
        found = {forms.get(row.run, "short") for row in rows}
        form: Form = "full" if "full" in found else "short" if "short" in found else "smoke"
        judged = judge(replace(subject, key=key), rows, form)
        store.add_verdict(judged.verdict(machine, form, device, _utc()))
        made.append(judged)
    return made


@contextmanager
def _executor(options: Options, subjects: Sequence[Subject]) -> Iterator[Executor | None]:
    """Give the executor that the options ask for; None means this process alone.

    Local workers are threads, since each only watches a measuring process of its own.
    """
    if options.cluster is not None:
        modules = [subject.claim_module for subject in subjects]
        with cluster_executor(options.cluster, modules, insecure=options.insecure) as executor:
            yield executor
    elif options.workers > 1:
        with ThreadPoolExecutor(options.workers) as executor:
            yield executor
    else:
        yield None


def _keyed(subject: Subject, options: Options) -> Subject:
    """Keep the rows of other seeds and of races apart from the claim's own."""
    if options.seed == 0 and options.contender is None:
        return subject
    return replace(subject, key=combined_key(subject.key, options.seed, options.contender))


def _without_seconds(block: Block) -> Block:
    """Drop times that another machine took; counts and scores are the same everywhere."""
    kept = tuple(r for r in block.readings if r.metric != "seconds" or r.status != "ok")
    return replace(block, readings=kept)


def _utc() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
