"""Layers with structured weights: fewer of them, and less work for the same width."""
