import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner
from page.samples import SLUG

from tractable._core.errors import TractableError
from tractable.claims.catalogue import entries
from tractable.cli._commands import tractable
from tractable.page.export import export_site


class Links(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.found += [named[name] for name in ("href", "src") if name in named]
        self.ids |= {named["id"]} if "id" in named else set()


@pytest.fixture
def folder(filled, tmp_path):
    export_site(tmp_path / "site")
    return tmp_path / "site"


def test_every_link_of_the_export_resolves(folder):
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) > 64 + len({entry.family for entry in entries()})
    ids = {page: Links(page.read_text()).ids for page in pages}
    for page in pages:
        for link in Links(page.read_text()).found:
            address = urlsplit(link)
            if address.scheme in ("https", "data"):
                continue
            assert not address.scheme
            assert not address.path.startswith("/"), f"{page.name} has {link}"
            target = page if not address.path else (page.parent / unquote(address.path)).resolve()
            assert target.is_file(), f"{page.name} leads to {link}"
            if address.fragment:
                assert address.fragment in ids[target], f"{page.name} leads to {link}"


def test_the_export_has_the_same_cells_filters_and_feed(folder):
    assert (folder / "index.html").read_text().count("<article") == 64
    assert (folder / "verdict-agrees.html").read_text().count("<article") == 1
    assert (folder / "family-quantum.html").read_text().count("<article") == 3
    found = re.findall(r'<link href="([^"]+)"', (folder / "feed.xml").read_text())
    assert f"paper/{SLUG}.html" in found
    assert all((folder / link).is_file() for link in found)


def test_the_export_is_the_same_again(folder, tmp_path):
    export_site(tmp_path / "again")
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert all(
        (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in files
    )


def test_a_folder_that_cannot_be_written_is_a_readable_error(store, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TractableError, match="choose another"):
        export_site(tmp_path / "file")


def test_the_command_exports(store, tmp_path):
    ran = CliRunner().invoke(tractable, ["page", "--export", str(tmp_path / "site")])
    assert ran.exit_code == 0, ran.output
    assert "index.html" in ran.output
    assert Path(tmp_path / "site" / "index.html").is_file()
