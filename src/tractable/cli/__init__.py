"""The `tractable` command.

`find`, `list`, `show` and `--help` load neither NumPy, SciPy nor torch; what measures is
imported by the commands that measure.
"""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say which install line it needs."""
    try:
        import click  # noqa: F401
    except ImportError:
        sys.stderr.write(
            "the tractable command needs the extra `verify`: pip install 'tractable[verify]'\n"
        )
        sys.exit(1)
    from tractable.cli._commands import tractable

    tractable()
