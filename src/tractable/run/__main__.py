"""`python -m tractable.run SLUG --device cuda --out FILE`: measure without the extra `verify`.

For a bare machine, such as one with a GPU: it needs the base install and what the paper needs,
and writes JSON lines that `tractable merge` and `published/` take.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tractable.claims.catalogue import find_entry
from tractable.run import Block, Judgement, Options, Progress, Subject, verify
from tractable.store import Store

__all__ = ["main"]


class _Lines(Progress):
    """One line a block, on standard error."""

    def finished(self, slug: str, block: Block) -> None:
        bad = [reading.detail for reading in block.readings if reading.status != "ok"]
        end = f"  {bad[0]}" if bad else ""
        sys.stderr.write(f"{slug} {block.experiment} {block.size} round {block.round}{end}\n")


def main() -> None:
    """Parse, measure, write."""
    parser = argparse.ArgumentParser(prog="python -m tractable.run", description=__doc__)
    parser.add_argument("slugs", nargs="+", metavar="SLUG")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--form", default="full", choices=["smoke", "short", "full"])
    parser.add_argument("--budget", type=float, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="a file of JSON lines")
    asked = parser.parse_args()
    options = Options(form=asked.form, budget=asked.budget, device=asked.device, seed=asked.seed)

    def show(subject: Subject, judged: Judgement) -> None:
        sys.stderr.write(f"{subject.slug}: {judged.sentence}\n")

    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder) / "run.db") as store:
        verify(
            [Subject.of(find_entry(slug)) for slug in asked.slugs], store, options, _Lines(), show
        )
        lines = list(store.export_lines())
    asked.out.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main()
