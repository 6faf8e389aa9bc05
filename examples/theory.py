"""Can this linear classifier be trusted? Normal rows let it say yes; digits say why not."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from tractable.theory.halfspace.sklearn import TestableHalfspaceClassifier


def noisy(rng):
    rows = rng.standard_normal((200_000, 4))
    # labels are wrong on a fifth of the rows, all on one side
    wrong = (rows[:, 0] * rows[:, 1] > 0) & (rng.random(len(rows)) < 0.4)
    return rows, (rows[:, 0] > 0) ^ wrong


def scanned():
    digits = load_digits()
    kept = np.isin(digits.target, (3, 8))
    rows = PCA(8, whiten=True, random_state=0).fit_transform(digits.data[kept])
    return rows, digits.target[kept]


def main():
    sets = {"normal rows": noisy(np.random.default_rng(0)), "digits 3 and 8": scanned()}
    for name, (rows, labels) in sets.items():
        model = TestableHalfspaceClassifier(eta=0.4, random_state=0).fit(rows, labels)
        plain = LogisticRegression(fit_intercept=False).fit(rows, labels)
        wrong, theirs = (1 - each.score(rows, labels) for each in (model, plain))
        print(f"{name}: {wrong:.1%} wrong, at most {model.error_bound_:.1%} on new rows")
        print(f"  {'accepted' if model.accepted_ else 'rejected'}: {model.fit_.reasons()}")
        print(f"  logistic regression: {theirs:.1%} wrong, and no bound")


if __name__ == "__main__":
    main()
