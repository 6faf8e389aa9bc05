"""Search for formulas, plans, tours and architectures, judged by what it costs to find them."""
