"""Claims of the papers on algorithms."""
