"""The same pages as files with relative links, which open from the file system."""

import os
from pathlib import Path

from tractable._core.errors import TractableError
from tractable.page._feed import feed
from tractable.page._library import Library
from tractable.page._links import FileLinks
from tractable.page._site import ASSETS, Site, choices

__all__ = ["export_site"]


def export_site(folder: Path, library: Library | None = None) -> int:
    """Write every page, the style sheet and the feed.

    Args:
        folder: made if missing; files of the same names are replaced, others stay.
        library: what to write; read now if not given.

    Returns:
        How many files were written.

    Raises:
        TractableError: if the folder cannot be written.
    """
    library = library or Library()
    site = Site(library)
    top, below = FileLinks(), FileLinks("../")
    files = {"index.html": site.grid(top)}
    files |= {name: site.grid(top, choice) for name, choice in choices(library)}
    files |= {f"paper/{slug}.html": site.paper(below, slug) for slug in library.by_slug}
    files["feed.xml"] = feed(library, top.paper)
    files |= {file.name: file.read_text(encoding="utf-8") for file in sorted(ASSETS.iterdir())}
    try:
        (folder / "paper").mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            _replace(folder / name, text)
    except OSError as error:
        raise TractableError(f"cannot write {folder}: {error.strerror}; choose another") from error
    return len(files)


def _replace(path: Path, text: str) -> None:
    """Write a file whole: whoever reads it meanwhile sees the old one."""
    made = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        made.write_text(text, encoding="utf-8", newline="\n")
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
