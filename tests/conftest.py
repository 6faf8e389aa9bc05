"""Shapes in annotations are checked in tests, and in tests only."""

from jaxtyping import install_import_hook

_hook = install_import_hook("tractable", "beartype.beartype")
