"""Learning and statistics whose output tells little about any one person in the data."""
