from xml.etree import ElementTree

import pytest

from tractable.page import curve_svg


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
        assert 76 <= float(circle.get("cx")) <= 616
        assert 56 <= float(circle.get("cy")) <= 348


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
