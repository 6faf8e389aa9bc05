"""The local page and its export; only this package knows HTML and SVG."""
