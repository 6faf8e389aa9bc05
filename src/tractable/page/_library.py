"""What the pages are made from: papers and published runs, read once, and the store of now."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tractable._core.errors import DataError
from tractable.claims import Claim
from tractable.claims.catalogue import Entry, claim_of, entries
from tractable.measure import describe_machine, machine_id
from tractable.page._text import clean
from tractable.page.papers import published_of_all
from tractable.store import Store, Verdict, published_machines

__all__ = ["Library", "Moment", "Shelf", "describe"]

RECENT = 10
"""Runs of which the page says how many agreed."""


class Shelf(NamedTuple):
    """One paper; without a claim where its code is not here yet."""

    entry: Entry
    claim: Claim | None


class Moment(NamedTuple):
    """What the store said when a page was asked for.

    Args:
        here: this machine's last verdict by slug, whatever the device.
        others: last verdicts of other machines, by slug.
        agreed: how many of this machine's last runs agreed, and how many there were.
        machines: descriptions by id.
    """

    here: dict[str, Verdict]
    others: dict[str, list[Verdict]]
    agreed: dict[str, tuple[int, int]]
    machines: dict[str, Mapping[str, Any]]


class Library:
    """Everything that stays the same while pages are served, and the way to the store."""

    def __init__(self) -> None:
        """Read the catalogue, the claims and the published verdicts."""
        self.shelves = [Shelf(e, claim_of(e) if e.here else None) for e in entries()]
        self.by_slug = {shelf.entry.slug: shelf for shelf in self.shelves}
        self.families = list(dict.fromkeys(shelf.entry.family for shelf in self.shelves))
        self.description: Mapping[str, Any] = describe_machine()
        self.machine = machine_id(describe_machine())
        self.published = published_of_all()
        self._machines: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self._agreed: dict[str, tuple[Verdict, tuple[int, int]]] = {}

    def moment(self) -> Moment:
        """Read the latest verdicts; a store that is not there yet is an empty one."""
        here: dict[str, Verdict] = {}
        others: dict[str, list[Verdict]] = {}
        with Store.open(read_only=True) as store:
            for verdict in sorted(store.verdicts(), key=lambda each: each.at):
                if verdict.machine == self.machine:
                    here[verdict.slug] = verdict
                else:
                    others.setdefault(verdict.slug, []).append(verdict)
            machines: dict[str, Mapping[str, Any]] = {self.machine: self.description}
            machines |= {machine.id: machine.description for machine in store.machines()}
            agreed = {slug: self._count(store, verdict) for slug, verdict in here.items()}
        return Moment(here, others, agreed, machines)

    def history(self, slug: str) -> list[Verdict]:
        """Return every verdict about a claim in the store, oldest first."""
        with Store.open(read_only=True) as store:
            return store.history(slug)

    def machines_behind(self, slug: str) -> Mapping[str, Mapping[str, Any]]:
        """Return the descriptions of the machines of a paper's published rows, read once.

        Where the file has a malformed row there are none: its verdicts are shown all the same.
        """
        if slug not in self._machines:
            try:
                found = published_machines(slug)
            except DataError:
                found = []
            self._machines[slug] = {machine.id: machine.description for machine in found}
        return self._machines[slug]

    def _count(self, store: Store, latest: Verdict) -> tuple[int, int]:
        """Count a claim's runs that agreed; all history is read only when it has grown."""
        known = self._agreed.get(latest.slug)
        if known is None or known[0] != latest:
            mine = [each for each in store.history(latest.slug) if each.machine == self.machine]
            mine = [each for each in mine if each.word != "not run"][-RECENT:]
            known = (latest, (sum(each.word == "agrees" for each in mine), len(mine)))
            self._agreed[latest.slug] = known
        return known[1]


def describe(description: Mapping[str, Any] | None) -> str:
    """Say a machine in one line."""
    if not description:
        return "a machine without description"
    parts = [str(description.get("cpu") or "")]
    if description.get("cores"):
        parts.append(f"{description['cores']} cores")
    if description.get("memory GiB"):
        parts.append(f"{description['memory GiB']} GiB")
    parts += [str(description.get("system") or "")]
    if description.get("gpu") not in (None, "", "none"):
        parts.append(str(description["gpu"]))
    return clean(", ".join(part for part in parts if part)[:200])
