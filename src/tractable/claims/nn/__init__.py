"""Claims of the papers about layers with structured weights."""
