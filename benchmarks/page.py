"""The bar of the page: the grid in under 200 ms and 300 kB, with 64 papers and 20,000 rows.

python benchmarks/page.py    fills a store of its own, serves it, asks for the grid, prints
"""

import json
import os
import statistics
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import uvicorn

from tractable.claims import Claim, Paper
from tractable.measure import describe_machine, machine_id
from tractable.page._library import Library, Shelf
from tractable.page.server import make_app
from tractable.store import Machine, Measurement, Run, Store, Verdict

PAPERS, ROWS, RUNS, ASKED = 64, 20_000, 5, 30
MILLISECONDS, KILOBYTES = 200, 300
AT = "2031-05-{:02d}T03:02:01+00:00"
ARMS = (("method", 0.6), ("baseline", 1.0), ("peer", 0.9), ("knockout", 0.95))
WORDS = ("agrees", "disagrees", "undecided", "not run")


def experiment(name: str) -> dict[str, Any]:
    sizes = [2**power for power in range(8, 21)]
    arms = [
        {"name": f"{role}_arm", "role": role,
         "points": [[s, 7 * s**law, 6.5 * s**law, 8 * s**law] for s in sizes]}
        for role, law in ARMS
    ]  # fmt: skip
    text = (
        "seconds of method over baseline go like tokens^-0.4 [-0.43, -0.37], needed at most ^-0.3"
    )
    finding = {"text": text, "rule": text, "word": "agrees", "guard": False, "reason": "",
               "point": -0.4, "low": -0.43, "high": -0.37}  # fmt: skip
    return {
        "name": name, "word": "agrees", "criteria": [finding] * 4, "contender": [], "why": "",
        "placebo": "disagrees", "knockout": "disagrees", "crossover": "2,100 (1,900 to 2,300)",
        "crossover_point": 2100.0,
        "curves": {"axis": "tokens", "scale": "log", "metric": "seconds", "arms": arms},
    }  # fmt: skip


def fill(library: Library) -> None:
    """Write rows and verdicts of every paper, and give every paper a claim."""
    detail = {"experiments": [experiment(name) for name in ("time", "memory", "quality", "reads")]}
    machine = library.machine
    with Store.open() as store:
        store.begin(
            Machine(machine, dict(library.description)),
            Run("r", AT.format(1), machine, "0", "full", "cpu", 0, ""),
        )
        for number, (entry, _) in enumerate(library.shelves):
            slug, word = entry.slug, WORDS[number % 4]
            store.add_block(
                [
                    Measurement("r", machine, slug, "time", f"arm {i % 4}", "seconds", i, 0, "cpu",
                                0.5, (0.5,) * 5, "ok", "", "k", 0, 1, None)
                    for i in range(-(-ROWS // PAPERS))
                ]
            )  # fmt: skip
            row = Verdict(machine, slug, "full", "cpu", AT.format(1), word, "It pays. " * 40,
                          "scaled down", "c", "k", detail)  # fmt: skip
            for day in range(RUNS):
                store.add_verdict(row._replace(at=AT.format(day + 1)))
            library.published[slug] = [row._replace(machine="0ld")]
    for number, (entry, claim) in enumerate(library.shelves):
        paper = Paper(entry.title, "A. Author", 2031, entry.link, "scaled down")
        made = claim or Claim(paper, says="a promise in a sentence of the usual length " * 5,
                              scope="here", solves=("a problem",) * 6, agreement="a table",
                              stakes="clinical use")  # fmt: skip
        library.shelves[number] = library.by_slug[entry.slug] = Shelf(entry, made)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TRACTABLE_STORE"] = str(Path(folder) / "store.db")
        library = Library()
        fill(library)
        settings = uvicorn.Config(make_app(library), port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(settings)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
        taken, size = [], 0
        for _ in range(ASKED):
            before = time.perf_counter()
            with urllib.request.urlopen(address) as answered:
                size = len(answered.read())
            taken.append(1000 * (time.perf_counter() - before))
        server.should_exit = True
        thread.join()
    middle, worst = statistics.median(taken[1:]), max(taken[1:])
    about = json.dumps(describe_machine())
    print(f"{PAPERS} papers, {ROWS:,} rows, {RUNS} runs each, on {machine_id(describe_machine())}")
    print(about)
    print(f"first     {taken[0]:7.0f} ms")
    print(f"median    {middle:7.0f} ms   {middle / MILLISECONDS:.2f} of {MILLISECONDS} ms")
    print(f"slowest   {worst:7.0f} ms   {worst / MILLISECONDS:.2f} of {MILLISECONDS} ms")
    print(f"size      {size / 1000:7.0f} kB   {size / 1000 / KILOBYTES:.2f} of {KILOBYTES} kB")


if __name__ == "__main__":
    main()
