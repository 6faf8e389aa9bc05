import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter

import pytest
from run.conftest import only

from tractable.run import Options, Progress, Subject, verify
from tractable.store import Store


def rows_of(store):
    return {
        (row.experiment, row.arm, row.metric, row.size, row.round): (row.value, row.status)
        for row in store.measurements("toy")
        if row.metric != "seconds"
    }


def test_words_controls_and_crossover_of_known_laws(toys):
    with Store.open() as store:
        found = verify([toys("counted", "seeded")], store, Options())["toy"]
        (verdict,) = store.verdicts("toy")
    counted = found.experiments["counted"]
    assert (counted.word, counted.placebo, counted.knockout) == ("agrees", "disagrees", "disagrees")
    growth, guard = counted.criteria
    assert (growth.point, growth.low, growth.high) == pytest.approx((-1, -1, -1))
    assert guard.guard
    assert counted.crossover == "below 4"
    assert found.experiments["seeded"].knockout == "disagrees"
    assert found.sentence.startswith(("Agrees at this scale", "Undecided at this scale"))
    first = verdict.detail["experiments"][0]["curves"]["arms"][0]
    assert (first["name"], first["points"][0][0]) == ("quick", 4)


def test_an_interrupted_claim_goes_on_where_it_stopped(toys):
    with Store.open() as store:
        verify([toys("counted")], store, Options(form="short"))
        before = len(store.measurements("toy"))
        runs = Counter(row.run for row in store.measurements("toy"))
        verify([toys("counted")], store, Options(form="short"))
        assert len(store.measurements("toy")) == before
        verify([toys("counted")], store, Options(form="full"))
        shared = Counter(row.run for row in store.measurements("toy"))
    assert all(shared[run] == number for run, number in runs.items()), "short rows are shared"
    assert sum(shared.values()) > before


def test_a_size_that_hung_is_not_tried_again(toys):
    started = time.monotonic()
    with Store.open() as store:
        found = verify([toys("deadly")], store, Options())["toy"]
        rows = store.measurements("toy")
    hung = [row for row in rows if row.status == "hung"]
    assert [(row.size, row.round) for row in hung] == [("hang", 0)]
    assert found.word == "undecided"
    assert time.monotonic() - started < 60


def test_a_method_that_crashes_everywhere_is_not_run_and_never_disagrees(toys):
    subject = toys("deadly")
    experiment = subject.claim.experiments["deadly"]
    sweep, experiment.sweep = experiment.sweep, type(experiment.sweep)("fate", instances=("raise",))
    try:
        with Store.open() as store:
            found = verify([subject], store, Options())["toy"]
    finally:
        experiment.sweep = sweep
    assert found.word == "not run"
    assert "crashed: ValueError: as you wished" in found.sentence


def test_what_cannot_run_here_says_why(toys):
    subject = toys("counted")
    experiment = subject.claim.experiments["counted"]
    experiment.needs = ("no_such_package",)
    try:
        with Store.open() as store:
            found = verify([subject], store, Options())["toy"]
    finally:
        experiment.needs = ()
    assert found.word == "not run"
    assert "needs no_such_package" in found.sentence


def test_a_budget_stops_hard(toys):
    started = time.monotonic()
    with Store.open() as store:
        found = verify([toys("deadly")], store, Options(budget=1.5, form="full"))["toy"]
    assert time.monotonic() - started < 6
    assert found.word in ("undecided", "not run")


def test_a_budget_is_spent_on_counts_first_and_round_by_round(toys):
    class Order(Progress):
        def __init__(self):
            self.seen = []

        def running(self, slug, experiment, round):
            self.seen.append((experiment, round))

    order = Order()
    with Store.open() as store:
        verify([toys("clocked", "counted", "seeded")], store, Options(budget=100), order)
    names = [name for name, _ in order.seen]
    assert names.index("clocked") == 7, "three rounds of one and four of the other come first"
    assert order.seen[:2] in ([("counted", 0), ("seeded", 0)], [("seeded", 0), ("counted", 0)])


def test_workers_give_the_rows_of_one_process(toys):
    with Store.open("one.db") as one, Store.open("two.db") as two:
        verify([toys("counted", "seeded")], one, Options())
        verify([toys("counted", "seeded")], two, Options(workers=3))
        assert rows_of(one) == rows_of(two)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_other_seeds_are_kept_apart(toys):
    with Store.open() as store:
        verify([toys("seeded")], store, Options(seed=1))
        verify([toys("seeded")], store, Options(seed=2))
        keys = {row.key for row in store.measurements("toy")}
    assert len(keys) == 2


def test_a_contender_is_raced_in_the_methods_place(toys):
    options = Options(contender="fakes.contenders:thrifty")
    with Store.open() as store:
        found = verify([toys("counted")], store, options)["toy"].experiments["counted"]
    words = [finding.word for finding in found.contender]
    assert words == ["agrees", "agrees"]
    assert "contender" in {arm["name"] for arm in found.curves["arms"]}


CRASHING = """
import sys
from run.conftest import only
from tractable.run import Options, Progress, verify
from tractable.store import Store

class Tell(Progress):
    def finished(self, slug, block):
        print(block.experiment, block.size, block.round, flush=True)

with Store.open() as store:
    verify([only("counted", "seeded", "clocked")], store, Options(), Tell())
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(4))
def test_kill_9_loses_no_finished_block(moment, tmp_path):
    child = subprocess.Popen(
        [sys.executable, "-c", CRASHING], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    wanted = random.Random(moment).randrange(2, 20)
    told = [child.stdout.readline().split() for _ in range(wanted)]
    time.sleep(random.Random(moment).random() / 20)
    os.kill(child.pid, signal.SIGKILL)
    told += [line.split() for line in child.stdout.read().splitlines()]
    child.stdout.close()
    child.wait()
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    with Store.open() as store:
        kept = {(r.experiment, str(r.size), str(r.round)) for r in store.measurements("toy")}
        assert {tuple(line) for line in told} <= kept
        subject = only("counted", "seeded", "clocked")
        verify([subject], store, Options())
        expected = {
            (e.name, size, number)
            for e in subject.claim
            for size in e.sweep.sizes("short")
            for number in range(e.short_rounds)
        }
        assert {(r.experiment, r.size, r.round) for r in store.measurements("toy")} == expected


@pytest.mark.slow
def test_a_dask_cluster_gives_the_rows_of_one_process(toys):
    distributed = pytest.importorskip("distributed")
    from tractable.run import ClusterError

    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, processes=True
        ) as cluster,
        Store.open("one.db") as one,
        Store.open("two.db") as two,
    ):
        verify([toys("counted", "seeded")], one, Options())
        verify([toys("counted", "seeded")], two, Options(cluster=cluster.scheduler_address))
        assert rows_of(one) == rows_of(two)
        with pytest.raises(ClusterError, match="neither tls nor on this machine"):
            verify([toys("counted")], one, Options(cluster="tcp://192.0.2.1:8786"))


def test_workers_with_other_code_are_refused(monkeypatch):
    from tractable.run import _cluster

    ours = {"tractable": "1", "tractable.claims.attention.hip": "a"}
    theirs = {"tractable": "1", "tractable.claims.attention.hip": "b"}
    with pytest.raises(_cluster.ClusterError, match=r"another version of .*hip"):
        _cluster.compare(ours, {"tcp://127.0.0.1:1": theirs})
    with pytest.raises(_cluster.ClusterError, match="no workers"):
        _cluster.compare(ours, {})


def test_verdicts_travel_as_json(toys):
    with Store.open() as store:
        verify([toys("counted")], store, Options())
        lines = [json.loads(line) for line in store.export_lines()]
    assert [line["kind"] for line in lines[:3]] == ["verdict", "machine", "run"]


def test_subjects_of_the_catalogue_have_stable_keys():
    from tractable.claims.catalogue import entries

    here = [entry for entry in entries() if entry.here]
    keys = {Subject.of(entry).key for entry in here}
    assert len(keys) == len(here)
