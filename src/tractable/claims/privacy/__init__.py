"""Claims of the papers about privacy."""
