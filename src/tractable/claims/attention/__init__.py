"""Claims of the papers about attention."""
