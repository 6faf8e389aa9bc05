"""Every threshold of the verdicts, in one place: changed here for all claims, or for none."""

CONFIDENCE = 0.95
"""Coverage aimed at by every interval (MEASURING, section 4)."""

BARE_CONFIDENCE = 0.99
"""Coverage for a bare direction, "faster" and no more: a bound of exactly 1 (4.3)."""

DRAWS = 1000
"""Resamples of a bootstrap (4.2)."""

NOISE_LIMIT = 0.15
"""Spread of the log-ratio over rounds from which clocked criteria stay undecided (3.5)."""

FIXED_COST_SHARE = 0.20
"""A size counts for clocked growth while the fixed cost is under this share of its median (4.1)."""

FIXED_COST_SIZES = 5
"""How many such sizes clocked growth needs (4.1)."""

GROWTH_SIZES = 3
"""How many sizes growth needs where nothing is clocked (4.1)."""

SEEDED_FACTOR = 10.0
"""How far the sizes of seeded growth must span (4.1)."""

CROSSOVER_SIZES = 5
"""How many sizes around the change of sign the crossover's line goes through (4.4)."""

ASSOCIATION_INSTANCES = 5
"""How many instances a rank correlation needs before it has an interval (4.6)."""

UNDEFINED_SHARE = 0.01
"""Share of resamples without a defined ratio that makes the whole estimate undefined."""

ROUNDING = 1e-9
"""Relative slack when an interval meets a bound, so that rounding errors refute nothing."""
