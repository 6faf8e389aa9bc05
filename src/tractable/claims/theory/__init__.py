"""Claims of the papers about learning theory."""
