"""What a user might race."""

from tractable._core import note


def thrifty(size, number):
    note("operations", 1)
    return number
