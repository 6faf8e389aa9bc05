"""A summary of the standard library as it streams by, and a decision tree as a short polynomial."""

import sysconfig
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.tree import DecisionTreeRegressor

import tractable
from tractable.algorithms.sparse_wht import SparseBooleanRegressor
from tractable.algorithms.submodular import CoverageOracle, DynamicSubmodularMaximizer

files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:150]
words = CountVectorizer(min_df=2, binary=True, token_pattern=r"[a-z_]{4,}")
counts = words.fit_transform(path.read_text(errors="ignore") for path in files)
oracle = CoverageOracle.from_sets([set(row.indices) for row in counts])
summary = DynamicSubmodularMaximizer(oracle, k=6, rng=0)
print(f"Six of {len(files)} modules that cover most words, the last 100 modules counting:")
with tractable.count() as cost:
    for i in range(len(files)):
        summary.update(insert=[i], delete=[i - 100] if i >= 100 else [])
        if i % 50 == 49:
            names = ", ".join(files[j].stem for j in summary.solution())
            print(f"  after {i + 1:3}: {summary.value():,.0f} of {counts.shape[1]:,}: {names}")
print(f"  {cost['oracle queries'] / len(files):.0f} questions an update")

rng = np.random.default_rng(0)
bits = rng.integers(0, 2, (2000, 40))
target = 3.0 * bits[:, 4] * bits[:, 17] - 2.0 * (bits[:, 30] ^ bits[:, 8])
tree = DecisionTreeRegressor(max_depth=6, random_state=0).fit(
    bits, target + 0.3 * rng.standard_normal(2000)
)
with tractable.count() as cost:
    model = SparseBooleanRegressor(200, rng=0).fit_query(tree.predict, 40)
print(f"\nA tree over 40 bits, read at {cost['oracle queries']:,} of 2^40 points:")
for term, weight in sorted(model.terms(), key=lambda t: -abs(t[1]))[:5]:
    print(f"  {weight:+.3f} {term}")
