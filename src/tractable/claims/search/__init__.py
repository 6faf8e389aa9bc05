"""Claims of the papers on search."""
