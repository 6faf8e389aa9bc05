from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tractable.page._curves import read_curves
from tractable.page._text import compact, exact
from tractable.page.figure import curve_svg, spark
from tractable.page.figure import figure as draw


def figure(points, **changes):
    arms = [
        {"name": "fast_one", "role": "method", "points": points},
        {"name": "<b>&\u202e", "role": "baseline", "points": [[p[0], 2, 1, 3] for p in points]},
    ]
    curves = {"axis": "size", "scale": "log", "metric": "seconds", "arms": arms} | changes
    return curve_svg({"curves": curves, "crossover_point": None}, "a & b")


@pytest.mark.parametrize(
    "points",
    [
        [[1, 2.0, 1.0, 3.0], [10, 20.0, 10.0, 30.0], [1000, 2e5, 1e5, 3e5]],
        [[1, 0.0, -1.0, 1.0], [2, 5.0, 4.0, 6.0]],
        [[7, 3.0, 3.0, 3.0]],
        [["short", 3.0, 3.0, 3.0], ["long", 1e-9, 1e-12, 1e300]],
        [[0, 1.0, 1.0, 1.0], [32, 2.0, 2.0, 2.0]],
    ],
)
def test_any_curve_is_well_formed_and_inside_the_frame(points):
    root = ElementTree.fromstring(figure(points))
    circles = [e for e in root.iter() if e.tag.endswith("circle")]
    assert len(circles) == 2 * len(points)
    for circle in circles:
        assert 64 <= float(circle.get("cx")) <= 592
        assert 44 <= float(circle.get("cy")) <= 372


def test_nothing_is_drawn_between_names():
    text = figure([["short", 3.0, 1.0, 9.0], ["long", 3.0, 1.0, 9.0]])
    assert "<poly" not in text
    root = ElementTree.fromstring(text)
    places = [float(e.get("cx")) for e in root.iter() if e.tag.endswith("circle")]
    assert len(set(places)) == 4, "arms stand side by side"


def test_names_are_escaped():
    text = figure([[1, 2.0, 1.0, 3.0]])
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_nothing_measured_is_said():
    assert "nothing measured" in figure([], arms=[])


def test_a_crossover_is_marked():
    curves = {
        "axis": "n",
        "scale": "log",
        "metric": "seconds",
        "arms": [{"name": "a", "role": "method", "points": [[1, 1, 1, 1], [9, 2, 2, 2]]}],
    }
    assert 'class="cross"' in curve_svg({"curves": curves, "crossover_point": 3.0}, "x")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.001, "0.001"), (30, "30"), (3000, "3,000"), (10_000, "10k"), (2.5e6, "2.5M"),
        (1e15, "10¹⁵"), (2e-7, "2×10⁻⁷"), (1e-310, "10⁻³¹⁰"), (-1e300, "-1×10³⁰⁰"), (7e9, "7G"),
    ],
)  # fmt: skip
def test_axis_labels_are_short(value, text):
    assert compact(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (float("nan"), "not a number"), (10**400, "beyond measure"),
     (0.5, "0.5"), (1e-9, "1e-09"), ("a\u202eb", "a b"), (True, "True"), (123456.7, "123,457")],
    ids=lambda value: str(value)[:9],
)  # fmt: skip
def test_table_values_are_exact_enough_and_harmless(value, text):
    assert exact(value) == text


numbers = st.floats() | st.integers(-(10**320), 10**320) | st.none() | st.text(max_size=3)
points = st.lists(st.lists(numbers, min_size=3, max_size=5) | numbers, max_size=6)


@given(points, points, st.sampled_from(["log", "linear", 3]), numbers)
def test_rows_of_any_kind_are_drawn_or_left_out(first, second, scale, crossover):
    arms = [
        {"name": "a", "role": "method", "points": first},
        {"name": "b", "role": "baseline", "points": second},
    ]
    curves = {"axis": "n", "scale": scale, "metric": "m", "arms": arms}
    found = {"curves": curves, "crossover_point": crossover, "crossover": crossover}
    read = read_curves(found)
    for drawn in (curve_svg(found, "t"), draw(read, "t", narrow=True), spark(read, "t") or "<a/>"):
        root = ElementTree.fromstring(drawn)
        for element in root.iter():
            for name in ("cx", "cy", "x1", "y1", "x", "y"):
                assert -500 <= float(element.get(name, 0)) <= 1500
        assert "nan" not in drawn.replace("not a number", "")
        assert "inf" not in drawn
