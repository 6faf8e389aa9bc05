"""Distributed attention on the CPU: seconds of two processes against one, and bytes against plan.

Prints, for 4 heads of width 64 in float32, one thread a process, forward only:
- every schedule on two gloo processes against one process with the same tiles, against all scores
  in memory, and against torch's fused attention (wanted: at least 1.6 times one process);
- the bytes that a rank sent over the closed form (wanted: 1 within 2 %).

Run with `python benchmarks/distributed.py` on two idle cores at least; about two minutes.
"""

import statistics
import tempfile
import time
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F  # noqa: N812 (the field's own name)

from tractable import count
from tractable.attention.distributed import (
    communication_volume,
    distributed_attention,
    reference,
    shard_sequence,
)

RANKS, HEADS, WIDTH, PAIRS = 2, 4, 64, 5
LENGTHS = (2048, 4096)
ALGORITHMS = ("ring", "allgather", "ulysses", "mesh2d")


def clock(call):
    dist.barrier()
    started = time.perf_counter()
    call()
    dist.barrier()
    return time.perf_counter() - started


def race(method, rivals):
    """Median ratios of the rivals' seconds to the method's, taken in turn after one call each."""
    calls = (method, *rivals)
    for call in calls:
        call()
    rounds = [[clock(call) for call in calls] for _ in range(PAIRS)]
    ratios = [statistics.median(row[i + 1] / row[0] for row in rounds) for i in range(len(rivals))]
    return statistics.median(row[0] for row in rounds), ratios


def work(rank, folder):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=RANKS,
        timeout=timedelta(seconds=300),
    )
    for length in LENGTHS:
        generator = torch.Generator().manual_seed(0)
        whole = [torch.randn(1, HEADS, length, WIDTH, generator=generator) for _ in range(3)]
        parts = [shard_sequence(x, 2).contiguous() for x in whole]
        one = dist.new_group([0])

        def only_first(call):
            # The other rank waits at the barrier, so that rivals have the machine to themselves.
            return call if rank == 0 else lambda: None

        rivals = [
            only_first(lambda whole=whole, one=one: distributed_attention(*whole, group=one)),
            only_first(lambda whole=whole: reference(*whole)),
            only_first(lambda whole=whole: F.scaled_dot_product_attention(*whole)),
        ]
        for algorithm in ALGORITHMS:

            def attend(parts=parts, algorithm=algorithm):
                return distributed_attention(*parts, algorithm=algorithm, check=False)

            with count() as cost:
                attend()
            planned = communication_volume(algorithm, RANKS, length, WIDTH, HEADS).forward
            taken, ratios = race(attend, rivals)
            if rank == 0:
                print(
                    f"{length:6,} tokens, {algorithm:9}: {1000 * taken:7.1f} ms; one process takes "
                    f"{ratios[0]:.2f} times as long, all scores {ratios[1]:.2f}, fused "
                    f"{ratios[2]:.2f}; bytes over plan {cost['bytes sent'] / planned:.3f}",
                    flush=True,
                )
    dist.destroy_process_group()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, (folder,), nprocs=RANKS)
