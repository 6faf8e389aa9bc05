import numpy as np
import pytest

from tractable._core import DataError, DTypeError, RangeError, ShapeError, TractableError
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator


def test_integers_and_numbers_within_their_ranges():
    assert check_integer("k", np.int8(3), low=1, high=3) == 3
    assert check_number("eps", 0.5, low=0, high=1, open_ends=True) == 0.5


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_integer("k", True), DTypeError, "k is True"),
        (lambda: check_integer("k", 1.0), DTypeError, "wanted an integer"),
        (lambda: check_integer("k", 0, low=1), RangeError, "k is 0; wanted at least 1"),
        (lambda: check_integer("k", 9, high=3), RangeError, "wanted at most 3"),
        (lambda: check_integer("k", 9, low=1, high=3), RangeError, "wanted 1 to 3"),
        (lambda: check_number("eps", "x"), DTypeError, "wanted a number"),
        (lambda: check_number("eps", np.nan), RangeError, "finite"),
        (lambda: check_number("eps", 1, low=0, high=1, open_ends=True), RangeError, "strictly"),
        (lambda: as_array("X", [[1.0]], ndim=1), ShapeError, r"shape \(1, 1\); wanted 1 axes"),
        (lambda: as_array("X", []), ShapeError, "at least one element"),
        (lambda: as_array("X", ["a"]), DTypeError, "dtype <U1"),
        (lambda: as_array("X", [np.inf]), DataError, "NaN or infinite"),
        (lambda: as_generator("seed"), DTypeError, "rng is str"),
        (lambda: as_generator(np.random.RandomState(0)), DTypeError, "RandomState"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_refusals_say_what_was_got_and_wanted(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, TractableError)


def test_arrays_pass_without_a_copy():
    array = np.arange(4.0)[::2]
    assert as_array("X", array) is array


def test_randomness_from_a_seed_repeats_and_a_generator_advances():
    assert as_generator(3).integers(1000) == as_generator(3).integers(1000)
    rng = np.random.default_rng(3)
    assert as_generator(rng) is rng
