"""A crash, a hang and memory exhaustion each end as their own result, of their block alone."""

import pytest

from tractable.run import Job, run_job


def fates(*sizes, **options):
    job = Job("fakes.toy", "deadly", sizes, 0)
    return {block.size: block.readings for block in run_job(job, limit=2.0, **options)}


def ending(readings):
    return {reading.arm: (reading.status, reading.detail) for reading in readings}


@pytest.mark.parametrize(
    ("fate", "status", "detail"),
    [
        ("raise", "crashed", "ValueError: as you wished"),
        ("segfault", "crashed", "ended by SIGSEGV"),
        ("exit", "crashed", "exit status 7"),
        ("hang", "hung", "took longer than 2 s"),
        ("eat", "out of memory", "MemoryError"),
    ],
)
def test_a_death_is_a_result_of_its_block_alone(fate, status, detail):
    found = fates("fine", fate, "fine again")
    assert list(found) == ["fine", fate, "fine again"]
    got, why = ending(found[fate])["fated"]
    assert got == status
    assert detail in why
    for size in ("fine", "fine again"):
        assert ending(found[size]) == {"fated": ("ok", ""), "immortal": ("ok", "")}


def test_the_other_arms_of_a_crashed_block_are_measured():
    found = fates("segfault")["segfault"]
    assert ending(found)["immortal"] == ("ok", "")


def test_an_arm_without_its_package_is_named_as_missing():
    (block,) = run_job(Job("fakes.toy", "counted", (4,), 0), limit=5)
    assert ending(block.readings)["absent"] == (
        "missing package",
        "no_such_package is not installed",
    )


def test_time_is_a_hard_stop_and_what_was_finished_stays():
    kept = []
    found = fates("fine", "hang", "fine", seconds=1.5, on_block=kept.append)
    assert list(found) == ["fine"]
    assert [block.size for block in kept] == ["fine"]


def test_a_claim_that_cannot_be_imported_is_a_crash_with_its_reason():
    (block,) = run_job(Job("fakes.no_such_claim", "x", (1,), 0), limit=5)
    ((status, why),) = ending(block.readings).values()
    assert status == "crashed"
    assert "no_such_claim" in why


def test_same_seed_same_numbers():
    def numbers(seed):
        job = Job("fakes.toy", "seeded", (4, 8), 1, seed=seed)
        return [
            reading.value
            for block in run_job(job, limit=5)
            for reading in block.readings
            if reading.metric == "regret"
        ]

    assert numbers(3) == numbers(3)
    assert numbers(3) != numbers(4)


def test_peak_memory_is_read_in_a_process_of_its_own():
    job = Job("fakes.toy", "large", (20,), 0)
    (block,) = run_job(job, limit=10, meters=("lean", "fat"))
    peak = {r.arm: r.value / 2**20 for r in block.readings if r.metric == "peak bytes"}
    assert peak["lean"] == pytest.approx(40, rel=0.1)
    assert peak["fat"] == pytest.approx(120, rel=0.1)
    assert "seconds" in {reading.metric for reading in block.readings}
