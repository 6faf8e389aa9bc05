"""Who earns above 50,000 dollars? Regret of four online learners on groups of the 1994 census."""

import numpy as np
from river import linear_model, optim

from tractable.online.groupwise import GroupwiseRegressor, group_regret
from tractable.online.groupwise.adult import load_adult


def main():
    try:
        adult = load_adult()
    except ImportError as error:  # it says what to install
        return print(error)
    shuffled = np.random.default_rng(0).permutation(len(adult.labels))
    by_age = shuffled[np.argsort(adult.ages[shuffled], kind="stable")]
    for name, order in {"shuffled": shuffled, "sorted by age": by_age}.items():
        X, y, groups = adult.features[order], adult.labels[order], adult.groups[order]
        nobody = groups[:, :0]
        named = [{i: value for i, value in enumerate(row) if value} for row in X.tolist()]
        river = linear_model.LinearRegression(optimizer=optim.SGD(0.01))
        predictions = {
            "one ridge": GroupwiseRegressor(0).partial_fit(X, y, nobody),
            "one-hot": GroupwiseRegressor(0).partial_fit(np.hstack((X, groups)), y, nobody),
            "river": GroupwiseRegressor(0, river).partial_fit(named, y, nobody),
            "groupwise": GroupwiseRegressor(10).partial_fit(X, y, groups),
        }
        regrets = [group_regret(each, X, y, groups).regret for each in predictions.values()]
        print(f"\nregret, {name:24s}" + "".join(f"{each:>10s}" for each in predictions))
        for i, group in enumerate((*adult.group_names, "everybody")):
            print(f"{group:32s}" + "".join(f"{regret[i]:10.1f}" for regret in regrets))


if __name__ == "__main__":
    main()
