"""The commands, thin: each parses, calls one function and prints."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tractable import __version__
from tractable._core.errors import TractableError
from tractable.claims.catalogue import Entry, UnknownPaperError, claim_of, entries, find_entry
from tractable.cli import _papers
from tractable.cli._report import COLOURS, SIGNS, paper_lines

__all__ = ["tractable"]


class _Group(click.Group):
    """Turns the library's own errors into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UnknownPaperError as error:
            raise click.UsageError(str(error)) from None
        except TractableError as error:
            raise click.ClickException(str(error)) from None


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def tractable() -> None:
    """Papers that make hard computation cheap, checked on this machine."""


@tractable.command()
@click.argument("problem", nargs=-1, required=True)
@as_json
def find(problem: tuple[str, ...], as_json: bool) -> None:
    """Rank the papers that fit a PROBLEM in plain words."""
    found = _papers.search(" ".join(problem))
    if as_json:
        _print_json(found)
        return
    if not found:
        click.echo("nothing fits these words; `tractable list` shows all papers")
    for entry in found[:8]:
        click.echo(f"{click.style(entry.slug, bold=True):<20}  {entry.title}")
        if entry.here:
            click.echo(f"{'':<12}  {claim_of(entry).says}")
        else:
            click.echo(f"{'':<12}  not here yet: {entry.link}")


@tractable.command("list")
@click.option("--family", help="Only this family.")
@as_json
def list_papers(family: str | None, as_json: bool) -> None:
    """List all papers with their last verdicts, here and published."""
    families = sorted({entry.family for entry in entries()})
    if family is not None and family not in families:
        raise click.UsageError(f"no family is called {family!r}; there are {', '.join(families)}")
    chosen = [entry for entry in entries() if family in (None, entry.family)]
    if as_json:
        _print_json(chosen)
        return
    mine, theirs = _papers.verdicts_here(), _papers.published(brief=True)
    lines = []
    for entry in chosen:
        if entry.here:
            claim = claim_of(entry)
            words = [found[entry.slug].word if entry.slug in found else "not run yet"
                     for found in (mine, theirs)]  # fmt: skip
            lines += [
                f"{click.style(entry.slug, bold=True)}  ({claim.paper.tier})",
                f"    {claim.says}",
                f"    here: {_word(words[0])}   published: {_word(words[1])}",
            ]
    absent = [entry for entry in chosen if not entry.here]
    if absent:
        lines.append(f"\nNot here yet ({len(absent)}):")
    lines += [f"    {entry.slug:<25}{entry.title}" for entry in absent]
    click.echo("\n".join(lines))


@tractable.command()
@click.argument("slug")
@as_json
def show(slug: str, as_json: bool) -> None:
    """Show one paper: claim, scope, symbols, import line, last curves."""
    entry = find_entry(slug)
    if as_json:
        _print_json([entry])
        return
    if not entry.here:
        click.echo(f"{entry.slug}  ·  {entry.title}\n  {entry.link}\n  not here yet")
        return
    mine, theirs = _papers.verdicts_here(), _papers.published()
    for line in paper_lines(entry, claim_of(entry), mine.get(entry.slug), theirs.get(entry.slug)):
        click.echo(line)
    from tractable.cli._module import module_lines

    for line in module_lines(entry):
        click.echo(line)


def _measuring_options(command: Any) -> Any:
    for option in reversed(
        [
            click.option("--short", "form", flag_value="short", default="short",
                         help="Seconds a paper (the default)."),
            click.option("--full", "form", flag_value="full", help="Minutes a paper."),
            click.option("--budget", help="Stop hard after this time, such as 90s or 5m."),
            click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu"),
            click.option("--workers", type=click.IntRange(1, 256), default=os.cpu_count() or 1,
                         help="Processes for counted and seeded experiments; all cores if left."),
            click.option("--cluster", metavar="ADDRESS", help="A Dask scheduler instead."),
            click.option("--insecure", is_flag=True,
                         help="Allow a cluster address that is neither tls nor on this machine."),
            click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0),
            as_json,
        ]
    ):  # fmt: skip
        command = option(command)
    return command


@tractable.command()
@click.argument("slugs", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All papers that are here.")
@_measuring_options
def verify(slugs: tuple[str, ...], every: bool, **options: Any) -> None:
    """Check the claims of papers on this machine."""
    if bool(slugs) == every:
        raise click.UsageError("name papers, or say --all (not both)")
    chosen = _papers.here() if every else list(dict.fromkeys(find_entry(slug) for slug in slugs))
    _measure(chosen, **options)


@tractable.command()
@click.argument("slug")
@click.option("--with", "contender", required=True, metavar="PACKAGE.MODULE:FUNCTION",
              help="Your own contender; it takes the same inputs as the method.")  # fmt: skip
@_measuring_options
def race(slug: str, contender: str, **options: Any) -> None:
    """Race your own function in the experiments of a claim."""
    _measure([find_entry(slug)], contender=contender, **options)


@tractable.command()
@click.argument("slug")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True)
@click.option("--experiment", help="Its name; the first one if not given.")
def plot(slug: str, output: Path, experiment: str | None) -> None:
    """Draw the last curves of a claim into an SVG file."""
    from tractable.page.figure import curve_svg

    entry = find_entry(slug)
    verdict = _papers.verdicts_here().get(entry.slug) or _papers.published().get(entry.slug)
    if verdict is None:
        raise click.ClickException(f"nothing is measured yet: tractable verify {entry.slug}")
    found = {each["name"]: each for each in verdict.detail["experiments"]}
    name = experiment or next(iter(found))
    if name not in found:
        raise click.UsageError(
            f"{entry.slug} has no experiment {name!r}; it has {', '.join(found)}"
        )
    output.write_text(curve_svg(found[name], f"{entry.slug}: {name}"), encoding="utf-8")
    click.echo(f"wrote {output}")


@tractable.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8642,
    show_default=True,
    help="Of the loopback address; 0 takes a free one.",
)
@click.option("--export", "folder", type=click.Path(path_type=Path, file_okay=False),
              metavar="DIR", help="Write the same pages as files instead.")  # fmt: skip
def page(port: int, folder: Path | None) -> None:
    """Show all papers and verdicts in the browser, or write them as files."""
    if folder is not None:
        from tractable.page.export import export_site

        number = export_site(folder)
        click.echo(f"wrote {number} files; open {folder / 'index.html'}")
        return
    from tractable.page.server import serve

    serve(port, ready=lambda address: click.echo(f"the page is at {address} (Ctrl-C ends it)"))


@tractable.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def export(file: Path) -> None:
    """Write all measurements into FILE as JSON lines."""
    from tractable.store import Store

    with Store.open(read_only=True) as store, file.open("w", encoding="utf-8") as out:
        number = sum(out.write(line + "\n") > 0 for line in store.export_lines())
    click.echo(f"wrote {number} lines to {file}")


@tractable.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def merge(file: Path) -> None:
    """Take the measurements of another machine from FILE; verdicts are judged anew."""
    from tractable.measure import describe_machine, machine_id
    from tractable.run import judge_stored
    from tractable.store import Store

    with Store.open() as store:
        merged = store.merge(file, local_machine=machine_id(describe_machine()))
        known = [entry for entry in _papers.here() if entry.slug in merged.slugs]
        judged = [found for entry in known for found in judge_stored(store, entry)]
    click.echo(f"{merged.added} new measurements, {merged.known} known; {len(judged)} verdicts")


@tractable.command()
@click.argument("path", metavar="FAMILY/MODULE")
@click.option("--root", type=click.Path(path_type=Path), default=Path(), hidden=True)
def new(path: str, root: Path) -> None:
    """Write the three stub files of a new paper."""
    from tractable.cli._new import write_stubs

    for file in write_stubs(path, root):
        click.echo(f"wrote {file}")
    click.echo("next: write `reference`, then run the contract tests: they say what is missing")


def _measure(chosen: Sequence[Entry], *, as_json: bool, **options: Any) -> None:
    from tractable.cli._verify import run_verify

    absent = [entry for entry in chosen if not entry.here]
    if absent:
        raise click.ClickException(f"{absent[0].slug} is not here yet; read it at {absent[0].link}")
    ended = run_verify(chosen, quiet=as_json, **options)
    if as_json:
        _print_json(chosen)
    sys.exit(ended)


def _print_json(chosen: Sequence[Entry]) -> None:
    mine, theirs = _papers.verdicts_here(), _papers.published()
    papers = [
        _papers.describe(entry, mine.get(entry.slug), theirs.get(entry.slug)) for entry in chosen
    ]
    click.echo(json.dumps(papers, indent=2, ensure_ascii=False))


def _word(word: str) -> str:
    return click.style(f"{SIGNS.get(word, '·')} {word}", fg=COLOURS.get(word))
