"""The paper's algorithm as one reads it: slow, and what the tests trust."""

import math

import numpy as np
from jaxtyping import Bool, Float


def reference(
    X: Float[np.ndarray, "rounds features"],
    y: Float[np.ndarray, "rounds"],
    groups: Bool[np.ndarray, "rounds groups"],
    alpha: float = 1.0,
) -> Float[np.ndarray, "rounds"]:
    """Return the paper's predictions: a ridge for each group, mixed by AdaNormalHedge.

    Args:
        X: rows.
        y: labels in [0, 1].
        groups: who is in which group; every row is in one.
        alpha: the ridges' penalty.
    """

    def potential(regret: float, movement: float) -> float:
        return math.exp(max(regret, 0.0) ** 2 / (3.0 * movement)) if movement else 1.0

    regrets, movements = np.zeros(groups.shape[1]), np.zeros(groups.shape[1])
    predictions = np.zeros(len(X))
    for t, awake in enumerate(map(np.flatnonzero, groups)):
        guesses, weights = [], []
        for g in awake:
            past = np.flatnonzero(groups[:t, g])
            gram = alpha * np.eye(X.shape[1]) + X[past].T @ X[past]
            guess = X[t] @ np.linalg.solve(gram, X[past].T @ y[past])
            guesses.append(np.clip(guess, 0.0, 1.0))
            up, down = (potential(regrets[g] + step, movements[g] + 1.0) for step in (1.0, -1.0))
            weights.append((up - down) / 2.0)
        chances = np.array(weights) / sum(weights) if sum(weights) else 1.0 / len(awake)
        proposals = np.array(guesses)
        predictions[t] = np.sum(chances * proposals)
        losses = (proposals - y[t]) ** 2
        moves = np.sum(chances * losses) - losses
        regrets[awake] += moves
        movements[awake] += np.abs(moves)
    return predictions
