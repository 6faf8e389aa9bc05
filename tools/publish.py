"""Publish measured rows, and renew what the README shows of them.

python tools/publish.py SLUG ...    write this machine's rows of these papers under published/
python tools/publish.py             renew the README and its picture only
python tools/publish.py --check     exit 1 if they are not what published/ says
"""

import sys
from collections import Counter
from pathlib import Path
from typing import Any

from tractable.claims.catalogue import claim_of, entries, find_entry
from tractable.page.picture import grid_picture
from tractable.store import Measurement, Store, published_verdicts, write_published

ROOT = Path(__file__).resolve().parents[1]
README, PICTURE = ROOT / "README.md", ROOT / "docs" / "grid.svg"
START, END = "<!-- published: written by tools/publish.py -->\n", "<!-- end of published -->\n"
SHOWN = 6
SIGNS = {"agrees": "✓", "disagrees": "✗", "undecided": "?", "not run": "–"}


def publish(slug: str) -> Path:
    """Write the rows that the verdict of a paper follows from."""
    entry = find_entry(slug)
    judged = {
        experiment.name: {rule.metric for rule in experiment.rules}
        | {getattr(rule, "against", None) for rule in experiment.rules}
        for experiment in claim_of(entry)
    }

    def keep(row: Measurement) -> bool:
        return row.status != "ok" or row.metric in judged.get(row.experiment, ())

    with Store.open(read_only=True) as store:
        return write_published(store, entry.slug, ROOT / "published", keep=keep)


def section(verdicts: dict[str, list[dict[str, Any]]]) -> str:
    """Return a table of some papers, counts by tier and verdict, and what is not here."""
    here = [entry for entry in entries() if entry.here]
    order = {word: place for place, word in enumerate(("disagrees", "undecided", "agrees"))}
    first = {slug: found[0] for slug, found in verdicts.items() if found}
    shown = sorted(
        (entry for entry in here if entry.slug in first),
        key=lambda entry: order.get(first[entry.slug]["word"], 3),
    )[:SHOWN]
    lines = ["| paper | what it says | published verdict |", "|---|---|---|"]
    for entry in shown:
        found = first[entry.slug]
        word = f"{SIGNS[found['word']]} {found['word']} ({found['tier']})"
        lines.append(f"| [`{entry.path}`]({entry.link}) | {claim_of(entry).says} | {word} |")
    tiers = Counter(row["tier"] for row in first.values())
    words = Counter(row["word"] for row in first.values())
    lines += [
        "",
        f"Of {len(first)} published papers, "
        + ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
        + "; by tier: "
        + ", ".join(f"{number} {tier}" for tier, number in sorted(tiers.items()))
        + f". Not here yet: {len(entries()) - len(here)} of {len(entries())} papers.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Publish, then renew or check."""
    for slug in (word for word in sys.argv[1:] if not word.startswith("-")):
        print(publish(slug))
    verdicts = published_verdicts(ROOT / "published")
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    renewed = {
        README: head + START + section(verdicts) + END + tail,
        PICTURE: grid_picture(verdicts),
    }
    stale = [
        path
        for path, wanted in renewed.items()
        if not path.exists() or path.read_text(encoding="utf-8") != wanted
    ]
    if "--check" in sys.argv:
        if stale:
            names = ", ".join(path.name for path in stale)
            sys.exit(f"{names} is not what published/ says; run: python tools/publish.py")
        return
    for path in stale:
        path.write_text(renewed[path], encoding="utf-8")


if __name__ == "__main__":
    main()
