"""Papers and verdicts as pages, served or exported, and pictures of measurements.

Only this package knows HTML and SVG. `server` and `export` need the extra `verify`; what this
file loads is the standard library alone.
"""

from tractable.page._figure import curve_svg

__all__ = ["curve_svg"]
