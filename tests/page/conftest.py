"""A store of its own, published runs of its own, and a browser where there is one."""

import shutil
import threading
import time

import pytest
import uvicorn
from page.samples import publish, verdict

import tractable.store._published as published
from tractable.page.server import make_app
from tractable.store import Store

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
def published_folder(monkeypatch, tmp_path):
    """An empty folder in the place of the published rows."""
    folder = tmp_path / "published"
    folder.mkdir()
    monkeypatch.setattr(published, "published_folder", lambda: folder)
    return folder


@pytest.fixture
def store(monkeypatch, tmp_path, published_folder):
    """An open, empty store in the place of the user's."""
    monkeypatch.setenv("TRACTABLE_STORE", str(tmp_path / "store.db"))
    with Store.open() as opened:
        yield opened


@pytest.fixture
def filled(store, published_folder):
    """A paper that agrees here but not where it was published, and one that disagrees."""
    store.add_verdict(verdict(word="undecided", at="2031-05-03T03:02:01+00:00"))
    store.add_verdict(verdict())
    store.add_verdict(verdict("hamming", "disagrees", tier="scaled down"))
    publish(published_folder, verdict(word="undecided", machine="0ld", form="full"))
    return store


@pytest.fixture
def serve_now():
    """Serve the page on a free port until the test ends; gives a function."""
    running = []

    def serve():
        settings = uvicorn.Config(make_app(), port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        running.append((server, thread))
        while not server.started:
            time.sleep(0.01)
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield serve
    for server, thread in running:
        server.should_exit = True
        thread.join(5)


@pytest.fixture
def serving(filled, serve_now):
    """Serve the filled store; gives the address."""
    return serve_now()


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("there is no chromium to open the page with")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()
