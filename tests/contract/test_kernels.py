"""Every kernel compiles for an H100, on this machine, and fits its shared memory."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SHARED = 227 * 2**10
"""Bytes of shared memory that one program may have there."""

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")


def test_kernels_compile_for_an_h100_and_fit_it(tmp_path: Path) -> None:
    # A process of its own: here Triton interprets, and another's driver would stand for all.
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_INTERPRET", None)
    script = Path(__file__).parents[1] / "hopper.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", script], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    sizes: dict[str, int] = {}
    for line in done.stdout.splitlines():
        name, size = line.split()
        sizes[name] = max(int(size), sizes.get(name, 0))
    assert sorted(sizes) == [
        "attend_blocks",
        "attend_split",
        "combine",
        "convolve",
        "correlate",
        "keep_best",
        "merge_splits",
        "score_halves",
        "start_chunks",
        "transform",
    ]
    assert max(sizes.values()) <= SHARED, sizes
