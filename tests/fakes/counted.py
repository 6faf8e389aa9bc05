"""What other processes can import, whatever is called `tests` among the installed packages."""

from tractable._core import fan_out, note


def work(size):
    note("operations", size)
    if size < 0:
        raise ValueError("negative")
    return size * size


def nested(size):
    return sum(fan_out(None, work, range(size)))
