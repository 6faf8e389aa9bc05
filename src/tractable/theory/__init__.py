"""Learning theory: what can be learned or certified, at which cost in samples and time."""
