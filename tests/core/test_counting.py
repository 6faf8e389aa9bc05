import asyncio
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
from fakes.counted import nested, work

import tractable
from tractable._core import UnitError, count, fan_out, note


def test_totals_by_unit_and_zero_for_what_was_not_noted():
    with count() as cost:
        note("flops", 2)
        note("flops", 3.5)
        note("bits")
    assert dict(cost) == {"flops": 5.5, "bits": 1}
    assert cost["gates"] == 0
    assert repr(cost) == "Cost(flops: 5.5, bits: 1)"


def test_outer_listeners_hear_what_inner_ones_hear():
    with count() as outer:
        note("flops", 1)
        with count() as inner:
            note("flops", 10)
        note("flops", 100)
    assert (inner["flops"], outer["flops"]) == (10, 111)


def test_an_unknown_unit_is_refused_even_if_nobody_listens():
    with pytest.raises(UnitError, match=r"'parsecs'.*key reads"):
        note("parsecs")
    with count() as cost, pytest.raises(UnitError):
        cost["parsecs"]


def test_a_total_is_final_when_the_block_ends():
    started, go_on = threading.Event(), threading.Event()

    def late():
        note("flops", 1)
        started.set()
        go_on.wait()
        note("flops", 100)

    import contextvars

    with count() as cost:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(late,))
        thread.start()
        started.wait()
    go_on.set()
    thread.join()
    assert cost["flops"] == 1


def test_an_error_in_the_block_closes_the_listener():
    with pytest.raises(ZeroDivisionError), count():
        raise ZeroDivisionError
    note("flops", 1)
    with count() as cost:
        pass
    assert dict(cost) == {}


def test_concurrent_tasks_do_not_hear_each_other():
    async def task(amount):
        with count() as cost:
            for _ in range(3):
                note("tokens", amount)
                await asyncio.sleep(0)
        return cost["tokens"]

    async def both():
        with count() as all_of_it:
            found = await asyncio.gather(task(1), task(100))
        return found, all_of_it["tokens"]

    assert asyncio.run(both()) == ([3, 300], 303)


@pytest.mark.parametrize("workers", [1, 4])
def test_fan_out_brings_counts_home_from_threads(workers):
    with ThreadPoolExecutor(workers) as executor, count() as cost:
        assert fan_out(executor, work, range(50)) == [i * i for i in range(50)]
    assert cost["operations"] == sum(range(50))


def test_fan_out_brings_counts_home_from_processes_even_nested():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor, count() as cost:
        assert fan_out(executor, nested, [2, 3]) == [1, 5]
    assert cost["operations"] == 1 + 3


def test_a_plain_map_would_lose_the_counts():
    with ThreadPoolExecutor(2) as executor, count() as cost:
        list(executor.map(work, range(5)))
    assert cost["operations"] == 0


@pytest.mark.parametrize("parallel", [False, True])
def test_fan_out_raises_the_first_calls_own_error(parallel):
    with ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="negative"):
        fan_out(executor if parallel else None, work, [1, -1, 2])


def test_the_packages_own_names():
    assert tractable.count is count
    assert set(tractable.__all__) == {"Cost", "__version__", "count"}
