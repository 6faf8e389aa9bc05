"""Pages as texts: the grid, a paper, an error."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from tractable import __version__
from tractable.page._bibtex import bibtex_of_measurement, bibtex_of_paper
from tractable.page._code import code_of
from tractable.page._library import Library, Moment, Shelf, describe
from tractable.page._links import Choice, Links, slug_of_word
from tractable.page._text import clean, day, plain
from tractable.page._views import (
    ABSENT,
    NOT_RUN_HERE,
    STATES,
    Cell,
    cell_of,
    changes_of,
    experiments_of,
    state_of,
)
from tractable.page.papers import search

__all__ = ["ASSETS", "TIERS", "VERDICTS", "Site", "choices"]

HERE = Path(__file__).parent
ASSETS = HERE / "assets"
TIERS = ("same quantity", "scaled down", "consequence")
VERDICTS = ("agrees", "disagrees", "undecided", NOT_RUN_HERE.word, ABSENT.word)
EVERYTHING = Choice()
LONGEST_QUERY = 200
FAMILIES = {
    "nn": "neural networks",
    "ssm": "state space models",
    "optim": "optimisation",
    "theory": "learning theory",
    "online": "online learning",
    "rl": "reinforcement learning",
    "search": "search and planning",
    "quantum": "quantum computing",
}
"""Families whose folder's name is short; the others are called what their folder is."""


class Chip(NamedTuple):
    """One filter: where it leads, how many papers it leaves, whether it is on."""

    label: str
    sign: str
    style: str
    link: str
    papers: int
    on: bool


class Site:
    """Renders pages; keeps the library, the compiled templates and the last cells."""

    def __init__(self, library: Library) -> None:
        """Compile the templates."""
        self.library = library
        self._cells: dict[str, tuple[object, Cell]] = {}
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_finalize,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters |= {"sentence": sentence, "marked": marked}
        self.templates.globals |= {"everything": EVERYTHING, "version": __version__}
        self.templates.globals |= {"plain": plain, "family_names": FAMILIES}

    def grid(self, links: Links, choice: Choice = EVERYTHING) -> str:
        """Return the grid, narrowed to a choice."""
        choice = choice._replace(words=clean(choice.words[:LONGEST_QUERY]).strip())
        moment = self.library.moment()
        cells = {shelf.entry.slug: self._cell(shelf, moment) for shelf in self.library.shelves}
        kept = [cell for cell in self._found(choice.words, cells) if _fits(cell, choice)]
        ranked = bool(choice.words)
        groups = [("Best matches first", kept)] if ranked else list(self._by_family(kept))
        return self._render(
            "grid.html",
            links,
            choice=choice,
            groups=[(name, *_halves(group)) for name, group in groups if group],
            shown=len(kept),
            total=len(cells),
            chips=self._chips(links, choice, list(cells.values())),
            summary=Counter(cell.state.word for cell in cells.values()),
            machine=describe(self.library.description),
            ranked=ranked,
        )

    def paper(self, links: Links, slug: str) -> str:
        """Return a paper's page.

        Raises:
            KeyError: if there is no such paper.
        """
        shelf = self.library.by_slug[slug]
        if shelf.claim is None:
            return self._render("absent.html", links, entry=shelf.entry)
        moment = self.library.moment()
        mine, published = moment.here.get(slug), self.library.published.get(slug, [])
        machines = {**self.library.machines_behind(slug), **moment.machines}
        theirs = published[0] if published else None
        shown = [
            {"where": where, "verdict": verdict, "state": state_of(verdict.word),
             "when": day(verdict.at), "machine": describe(machines.get(verdict.machine))}
            for where, verdict in (("here", mine), *(("published", each) for each in published),
                                   *(("merged", each) for each in moment.others.get(slug, [])))
            if verdict is not None
        ]  # fmt: skip
        cited = mine or theirs
        return self._render(
            "paper.html",
            links,
            entry=shelf.entry,
            claim=shelf.claim,
            state=state_of(mine.word) if mine else NOT_RUN_HERE,
            shown=shown,
            cell=self._cell(shelf, moment),
            experiments=list(experiments_of(list(shelf.claim.experiments), mine, published)),
            changes=changes_of(self.library.history(slug)),
            names=self._names(machines),
            code=code_of(shelf.entry),
            bibtex=bibtex_of_paper(slug, shelf.claim.paper),
            measured_entry=bibtex_of_measurement(
                slug, shelf.claim.paper, cited, describe(machines.get(cited.machine))
            )
            if cited
            else "",
        )

    def error(self, links: Links, title: str, message: str) -> str:
        """Return a page that says what went wrong and what to do."""
        return self._render("error.html", links, title=title, message=message)

    def _cell(self, shelf: Shelf, moment: Moment) -> Cell:
        """Return a paper's cell, drawn anew only when its verdict is another."""
        slug = shelf.entry.slug
        key = (shelf, moment.here.get(slug), moment.agreed.get(slug))
        known = self._cells.get(slug)
        if known is None or known[0] != key:
            known = self._cells[slug] = (key, cell_of(shelf, self.library, moment))
        return known[1]

    def _render(self, name: str, links: Links, **values: Any) -> str:
        return self.templates.get_template(name).render(links=links, **values)

    def _names(self, machines: Any) -> dict[str, str]:
        named = {name: describe(about) for name, about in machines.items()}
        return {**named, self.library.machine: "this machine"}

    def _found(self, words: str, cells: dict[str, Cell]) -> Sequence[Cell]:
        if not words:
            return list(cells.values())
        return [cells[entry.slug] for entry in search(words) if entry.slug in cells]

    def _by_family(self, cells: Sequence[Cell]) -> Iterator[tuple[str, list[Cell]]]:
        for family in self.library.families:
            yield family, [cell for cell in cells if cell.shelf.entry.family == family]

    def _chips(
        self, links: Links, choice: Choice, cells: Sequence[Cell]
    ) -> list[tuple[str, str, list[Chip]]]:
        """Return the three rows of filters; each counts what it would leave beside the others."""
        signs = {state.word: state for state in (*STATES.values(), NOT_RUN_HERE, ABSENT)}
        options = {"verdict": VERDICTS, "tier": TIERS, "family": tuple(self.library.families)}
        rows = []
        for field, values in options.items():
            chips = []
            now = getattr(choice, field)
            for value in values:
                narrowed = (choice if links.served else EVERYTHING)._replace(
                    **{"words": "", field: value}
                )
                state = signs.get(value) if field == "verdict" else None
                chips.append(
                    Chip(
                        FAMILIES.get(value, plain(value)),
                        state.sign if state else "",
                        state.style if state else "",
                        links.grid(choice, **{field: "" if now == value else value}),
                        sum(_fits(cell, narrowed) for cell in cells),
                        now == value,
                    )
                )
            rows.append((field, links.grid(choice, **{field: ""}) if now else "", chips))
        return rows


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop; marked text stays marked."""
    kind = type(text)
    named = not re.match(r"[a-z]['a-z-]*[ ,;:]", text)  # a name in code keeps its small letter
    whole = text if named else text[:1].upper() + text[1:]
    return kind(whole if whole.endswith((".", "!", "?")) else f"{whole}.")


def marked(text: str) -> Markup:
    """Set what stands between backticks as code."""
    parts = [str(escape(clean(part))) for part in text.split("`")]
    whole = [f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)]
    return Markup("".join(whole))


def _finalize(value: object) -> object:
    """Take out what a browser would obey from every text that a template shows."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _fits(cell: Cell, choice: Choice) -> bool:
    return (
        choice.family in ("", cell.shelf.entry.family)
        and choice.verdict in ("", cell.state.word)
        and choice.tier in ("", cell.tier)
    )


def _halves(cells: Sequence[Cell]) -> tuple[list[Cell], list[Shelf]]:
    """Part the papers that are here from those that are only named."""
    return (
        [cell for cell in cells if cell.shelf.claim is not None],
        [cell.shelf for cell in cells if cell.shelf.claim is None],
    )


def choices(library: Library) -> Iterator[tuple[str, Choice]]:
    """Yield every single filter with the name of its file in an export."""
    for field, values in (
        ("family", library.families),
        ("verdict", VERDICTS),
        ("tier", TIERS),
    ):
        for value in values:
            yield f"{field}-{slug_of_word(value)}.html", Choice(**{field: value})
