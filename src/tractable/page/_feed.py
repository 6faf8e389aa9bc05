"""An Atom feed of verdicts that are new or changed."""

from collections.abc import Callable, Iterable
from xml.sax.saxutils import escape, quoteattr

from tractable.page._library import Library
from tractable.page._text import clean
from tractable.page._views import changes_of
from tractable.store import Verdict

__all__ = ["feed"]

MOST = 100
NEVER = "1970-01-01T00:00:00Z"


def feed(library: Library, address: Callable[[str], str]) -> str:
    """Return the feed; verdicts that only repeat the one before are left out.

    Args:
        library: the papers and the store.
        address: from a slug to where its page is.
    """
    found = []
    for slug, shelf in library.by_slug.items():
        if shelf.claim is not None:
            stored = [*library.history(slug), *library.published.get(slug, [])]
            once = {(each.machine, each.device, each.at): each for each in stored}
            verdicts = sorted(once.values(), key=lambda each: each.at)
            found += [(c.verdict, c.new) for c in changes_of(verdicts) if c.new]
    found.sort(key=lambda item: item[0].at, reverse=True)
    items = [_item(library, verdict, new, address) for verdict, new in found[:MOST]]
    return "\n".join(_feed(items, found[0][0].at if found else NEVER))


def _feed(items: Iterable[str], updated: str) -> list[str]:
    return [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<feed xmlns="http://www.w3.org/2005/Atom">',
        "<title>tractable: new and changed verdicts</title>",
        "<id>urn:tractable:verdicts</id>",
        "<author><name>tractable</name></author>",
        f"<updated>{escape(clean(updated))}</updated>",
        *items,
        "</feed>\n",
    ]


def _item(library: Library, verdict: Verdict, new: str, address: Callable[[str], str]) -> str:
    entry, claim = library.by_slug[verdict.slug]
    parts = ("urn:tractable", verdict.slug, verdict.machine, verdict.device, verdict.at)
    stakes = f" Research code, not for {claim.stakes}." if claim and claim.stakes else ""
    title = f"{entry.slug} {verdict.word} ({verdict.tier}); {new}"
    return "\n".join(
        [
            "<entry>",
            f"<title>{_xml(title)}</title>",
            f"<id>{_xml(':'.join(parts))}</id>",
            f"<updated>{_xml(verdict.at)}</updated>",
            f"<link href={quoteattr(address(entry.slug))}/>",
            f"<summary>{_xml(verdict.sentence + stakes)}</summary>",
            "</entry>",
        ]
    )


def _xml(text: str) -> str:
    return escape(clean(text))
