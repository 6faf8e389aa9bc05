"""Attention over long sequences: fewer reads, less memory, the same answers where it counts."""
