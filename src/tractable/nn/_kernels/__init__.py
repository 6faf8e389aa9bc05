"""Triton versions of this family's hot functions; they need a CUDA device."""
