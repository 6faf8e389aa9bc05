"""Plan the rounds of several papers, run them, keep every block, and judge.

Counted and seeded experiments come first: they decide without a quiet machine, and may spread
over workers. Clocked blocks run alone, one after another.
"""

import os
import queue
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from tractable import __version__, measure
from tractable.claims import Form, Size
from tractable.claims.catalogue import Entry
from tractable.run._agenda import Agenda, Task, missing, rounds_of
from tractable.run._cluster import cluster_executor
from tractable.run._jobs import Block, Job, Subject
from tractable.run._judging import Judgement, judge
from tractable.run._keys import combined_key
from tractable.run._watch import run_job
from tractable.store import Machine, Measurement, Run, Store

__all__ = ["Options", "Progress", "judge_stored", "verify"]


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

    def judge_ended(open_tasks: Iterable[Task]) -> None:
        waiting = {task.subject.slug for task in open_tasks}
        for subject in subjects:
            if subject.slug not in waiting and subject.slug not in judged:
                judged[subject.slug] = session.judge(subject)
                if on_judged is not None:
                    on_judged(subject, judged[subject.slug])

    spread = [task for task in tasks if not task.experiment.clocked]
    clocked = [task for task in tasks if task.experiment.clocked]
    with _executor(options, subjects) as executor:
        width = 64 if options.cluster is not None else options.workers
        session.run_all(spread, executor, width, lambda left: judge_ended([*left, *clocked]))
    with ThreadPoolExecutor(1) as alone:
        session.run_all(clocked, alone, 1, judge_ended)
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

    def tasks(self, subject: Subject) -> list[Task]:
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
                    made.append(Task(subject, experiment, job))
        return made

    def run_all(
        self,
        tasks: list[Task],
        executor: Executor,
        width: int,
        on_step: Callable[[list[Task]], None],
    ) -> None:
        """Run tasks, `width` at a time, and store every block as it comes home.

        Args:
            tasks: the rounds.
            executor: threads, each of which only watches a measuring process, or a cluster.
            width: how many run at once.
            on_step: told what is left whenever a round is over.
        """
        agenda = Agenda(tasks, by_urgency=self.options.budget is not None)
        arrived: queue.SimpleQueue[tuple[Task, Block]] = queue.SimpleQueue()
        local = isinstance(executor, ThreadPoolExecutor)
        stop = threading.Event() if local else None  # an event does not travel to a cluster
        pending: dict[Future[list[Block]], tuple[Task, float]] = {}
        try:
            while pending or (agenda.tasks and not self.out_of_time()):
                while agenda.tasks and len(pending) < width and not self.out_of_time():
                    task = agenda.take()
                    self.progress.running(task.subject.slug, task.experiment.name, task.job.round)
                    future = executor.submit(
                        run_job,
                        self._without_hung(task),
                        limit=task.experiment.limit,
                        seconds=self.seconds_left(),
                        on_block=partial(_send, arrived, task) if local else None,
                        meters=task.meters,
                        stop=stop,
                    )
                    pending[future] = task, measure.monotonic()
                done, _ = wait(pending, timeout=0.1, return_when=FIRST_COMPLETED)
                for future in done:
                    for block in future.result():
                        if not local:
                            _send(arrived, pending[future][0], _without_seconds(block))
                while not arrived.empty():
                    self.keep(*arrived.get())
                for future in done:
                    task, began = pending.pop(future)
                    agenda.learn(task, measure.monotonic() - began, self._decided(task))
                if done:
                    on_step([*agenda.tasks, *(task for task, _ in pending.values())])
        except BaseException:
            if stop is not None:
                stop.set()
            for future in pending:
                future.cancel()
            raise

    def _decided(self, task: Task) -> bool:
        """Whether more rounds of an experiment would hardly change a word."""
        if self.options.budget is None or task.job.round < 1:
            return False
        found = self.judge(task.subject, keep=False).experiments[task.experiment.name]
        return found.decided

    def keep(self, task: Task, block: Block) -> None:
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

    def _without_hung(self, task: Task) -> Job:
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
def _executor(options: Options, subjects: Sequence[Subject]) -> Iterator[Executor]:
    """Give the executor that the options ask for."""
    if options.cluster is None:
        with ThreadPoolExecutor(options.workers) as threads:
            yield threads
    else:
        modules = [subject.claim_module for subject in subjects]
        with cluster_executor(options.cluster, modules, insecure=options.insecure) as cluster:
            yield cluster


def _send(arrived: "queue.SimpleQueue[tuple[Task, Block]]", task: Task, block: Block) -> None:
    arrived.put((task, block))


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
