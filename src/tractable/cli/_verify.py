"""`tractable verify` in the terminal: progress, then each paper as it is judged."""

import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from tractable.claims.catalogue import Entry, claim_of
from tractable.cli import _papers
from tractable.cli._report import COLOURS, paper_lines
from tractable.run import Block, Judgement, Options, Progress, Subject, verify
from tractable.store import Store

__all__ = ["parse_seconds", "run_verify"]


def run_verify(chosen: Sequence[Entry], *, budget: str | None, quiet: bool, **options: Any) -> int:
    """Verify papers and print each as it is judged.

    Returns:
        The exit status: 0 whenever it ran, whatever the verdicts; 130 if it was interrupted.
    """
    seconds = None if budget is None else parse_seconds(budget)
    _check_device(options["device"])
    wanted = Options(budget=seconds, **options)
    published = _papers.published()
    by_slug = {entry.slug: entry for entry in chosen}

    with Store.open() as store, _progress(quiet) as progress:

        def show(subject: Subject, judged: Judgement) -> None:
            if quiet:
                return
            entry = by_slug[subject.slug]
            verdict = store.verdicts(subject.slug)[-1]
            theirs = published.get(subject.slug)
            lines = paper_lines(entry, claim_of(entry), verdict, theirs, brief=True)
            progress.write("\n" + _coloured("\n".join(lines), judged.word))

        try:
            verify([Subject.of(entry) for entry in chosen], store, wanted, progress, show)
        except KeyboardInterrupt:
            progress.write(
                "\nStopped. Every finished block is kept; the same command goes on from there."
            )
            return 128 + signal.SIGINT
        progress.write("\nAll of it as a page, beside the published run: tractable page")
    return 0


def parse_seconds(text: str) -> float:
    """Read a time such as `90`, `90s`, `5m` or `1h`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None or float(found[1]) <= 0:
        raise click.UsageError(f"--budget is {text!r}; wanted a time such as 90s, 5m or 1h")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]]


def _check_device(device: str) -> None:
    if device != "cuda":
        return
    try:
        import torch
    except ImportError:
        raise click.ClickException("cuda needs torch: pip install 'tractable[torch]'") from None
    if not torch.cuda.is_available():
        raise click.ClickException("torch sees no CUDA device here; leave --device out")


class _Plain(Progress):
    """Progress without a terminal: nothing but what is written."""

    def write(self, text: str) -> None:
        click.echo(text)


class _Quiet(_Plain):
    """Progress for machines: nothing at all."""

    def write(self, text: str) -> None:
        """Write nothing."""


class _Bar(_Plain):
    """A progress bar with what runs and the time left."""

    def __init__(self, bar: Any) -> None:
        self.bar = bar
        self.task = bar.add_task("starting", total=None)

    def plan(self, blocks: int) -> None:
        self.bar.update(self.task, total=blocks)

    def running(self, slug: str, experiment: str, round: int) -> None:
        self.bar.update(self.task, description=f"{slug} · {experiment} · round {round + 1}")

    def finished(self, slug: str, block: Block) -> None:
        self.running(slug, block.experiment, block.round)
        self.bar.advance(self.task)

    def write(self, text: str) -> None:
        from rich.text import Text

        self.bar.console.print(Text.from_ansi(text), soft_wrap=True)


@contextmanager
def _progress(quiet: bool) -> Iterator[_Plain]:
    if quiet:
        yield _Quiet()
        return
    if not sys.stdout.isatty() or os.environ.get("TERM") == "dumb":
        yield _Plain()
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, transient=True) as bar:
        yield _Bar(bar)


def _coloured(text: str, word: str) -> str:
    """Colour the verdict's own lines, which are the last that start with its sign."""
    from tractable.cli._report import SIGNS

    head, sign, tail = text.rpartition(f"\n  {SIGNS[word]} ")
    return f"{head}\n" + click.style(f"  {SIGNS[word]} {tail}", fg=COLOURS[word]) if sign else text
