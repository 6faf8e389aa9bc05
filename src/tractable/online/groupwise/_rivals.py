"""The earlier way: sleeping experts over every pair of a group and a model."""

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike

from tractable._core import note
from tractable._core.checks import as_array
from tractable.online.groupwise._hedge import SleepingAdaNormalHedge
from tractable.online.groupwise._report import check_groups, check_labels


def grid_of_models(
    X: ArrayLike, y: ArrayLike, groups: Bool[np.ndarray, "rows groups"], models: ArrayLike
) -> Float[np.ndarray, "rows"]:
    """Predict with one sleeping expert for each group and model, everybody a group as well.

    The regret to each group's best model is small, but the work is linear in the number of
    models, which grows exponentially with the features.

    Args:
        X: (rows, features).
        y: (rows,) labels in [0, 1].
        groups: who is in which group.
        models: (models, features) coefficients.

    Raises:
        ShapeError, DTypeError, DataError: for arguments unlike these.

    Source: A. Blum and T. Lykouris, "Advancing subgroup fairness via sleeping experts", 2020.
    """
    rows = as_array("X", X, ndim=2).astype(np.float64)
    every = as_array("models", models, ndim=2).astype(np.float64)
    labels = check_labels(y, len(rows), (0.0, 1.0))
    members = check_groups(groups, len(rows), np.asarray(groups).shape[1])
    members = np.column_stack((members, np.ones(len(rows), np.bool_)))
    hedge = SleepingAdaNormalHedge(members.shape[1] * len(every))
    predictions = np.zeros(len(rows))
    for t, member in enumerate(members):
        groups_in = np.flatnonzero(member)
        awake = (groups_in[:, None] * len(every) + np.arange(len(every))).ravel()
        guesses = np.clip(every @ rows[t], 0.0, 1.0)
        shares = hedge.shares(awake)
        predictions[t] = shares @ np.tile(guesses, groups_in.size)
        hedge.learn(shares, np.tile((guesses - labels[t]) ** 2, groups_in.size), awake)
        # a product a model, and for each expert its weight, its share and its two updates
        note("operations", every.size + 4 * awake.size)
    return predictions
