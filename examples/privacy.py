"""How many people must answer, if each answer is randomised before it leaves the phone?

Each phone draws noise from its own entropy; the server adds the answers up.
"""

import warnings

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Lasso

from tractable.privacy.ldp_regression import StatisticsProtocol, add_reports, privatize_statistics
from tractable.privacy.ldp_regression.sklearn import LDPSparseRegression

TRUTH = np.array([0.8, 0.0, 0.0, 0.0, -0.6])
BOUNDS = {"x_bound": 3.9, "y_bound": 3.0}  # known beforehand, not taken from the data


def main():
    rng = np.random.default_rng(0)
    X = rng.uniform(-1.7, 1.7, (1_000_000, 5))
    y = X @ TRUTH + 0.1 * rng.standard_normal(len(X))
    protocol = StatisticsProtocol(epsilon=3.0, delta=1e-6, **BOUNDS)
    total = add_reports(privatize_statistics(X[i], y[i], protocol) for i in range(10_000))
    model = LDPSparseRegression(3.0, 1e-6, **BOUNDS, random_state=0)
    found = {"10,000 phones": model.fit_from_reports(total).coef_, "zero": 0 * TRUTH}
    for people in (30_000, 100_000, 1_000_000):  # simulated: one machine has it all
        found[f"{people:,}"] = model.fit(X[:people], y[:people]).coef_
    found["1,000,000, not private"] = Lasso(0.001).fit(X, y).coef_
    for name, coef in found.items():
        print(f"{name}: error {np.linalg.norm(coef - TRUTH):.3f}")
    X, y = load_diabetes(return_X_y=True)
    rest = y - model.fit(20 * X, (y - 150) / 80).predict(20 * X) * 80 - 150
    print(f"442 patients: {1 - (rest**2).mean() / y.var():.1%} explained; they are far too few")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # the library warns of every fit that is too small
    main()
