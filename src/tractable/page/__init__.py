"""Pictures of measurements. Only this package knows HTML and SVG."""

from tractable.page._figure import curve_svg

__all__ = ["curve_svg"]
