"""Publish measured rows, and renew the README's table from them.

python tools/publish.py SLUG ...    write this machine's rows of these papers under published/
python tools/publish.py             renew the README only
python tools/publish.py --check     exit 1 if the README's table is not what published/ says
"""

import sys
from pathlib import Path

from tractable.claims.catalogue import claim_of, entries, find_entry
from tractable.store import Store, published_verdicts, write_published

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
START, END = "<!-- published: written by tools/publish.py -->\n", "<!-- end of published -->\n"


def table() -> str:
    """Return the papers that are here with their published verdicts, as Markdown."""
    verdicts = published_verdicts(ROOT / "published")
    lines = ["| paper | says | published verdict |", "|---|---|---|"]
    for entry in entries():
        if entry.here:
            found = sorted(verdicts.get(entry.slug, []), key=lambda row: row["device"])
            word = "; ".join(f"**{row['word']}** ({row['device']})" for row in found)
            claim = claim_of(entry)
            lines.append(
                f"| [`{entry.path}`]({entry.link}) | {claim.says} | {word or 'not published'} |"
            )
    absent = sum(not entry.here for entry in entries())
    return "\n".join([*lines, "", f"{absent} of the 64 papers are not here yet.", ""])


def main() -> None:
    """Publish, then renew or check the README."""
    slugs = [word for word in sys.argv[1:] if not word.startswith("-")]
    for slug in slugs:
        with Store.open(read_only=True) as store:
            print(write_published(store, find_entry(slug).slug, ROOT / "published"))
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(START)
    _, _, tail = rest.partition(END)
    renewed = head + START + table() + END + tail
    if "--check" in sys.argv and renewed != text:
        sys.exit("README.md is not what published/ says; run: python tools/publish.py")
    README.write_text(renewed, encoding="utf-8")


if __name__ == "__main__":
    main()
