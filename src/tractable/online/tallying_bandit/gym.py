"""The environment in gymnasium's form; needs the extra `rl`."""

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from tractable._core.checks import check_integer
from tractable.online.tallying_bandit._environment import WeightedTallyingBandit

__all__ = ["TallyingEnv"]


class TallyingEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """A tallying bandit as a gymnasium environment: an action is an arm, the reward its loss
    with a minus.

    What is observed is each arm's share of the full tally, (n_arms,), between 0 and 1.

    Args:
        bandit: the bandit; the environment owns it from now on.
        horizon: plays until an episode is truncated, at least 1.

    Example:
        >>> env = TallyingEnv(WeightedTallyingBandit([[0.9, 0.1], [0.5, 0.5]], memory=2), 10)
        >>> env.reset(seed=0)[0].tolist(), env.step(0)[0].tolist()
        ([0.0, 0.0], [0.5, 0.0])
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - as gymnasium declares it

    def __init__(self, bandit: WeightedTallyingBandit, horizon: int) -> None:
        """Describe actions and observations."""
        self.bandit = bandit
        self.horizon = check_integer("horizon", horizon, low=1)
        self.action_space = gymnasium.spaces.Discrete(bandit.n_arms)
        self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (bandit.n_arms,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Forget all plays and return the observation and an empty dictionary."""
        super().reset(seed=seed, options=options)
        self.bandit.reset(self.np_random)
        return self._observe(), {}

    def step(
        self, action: np.int64 | int
    ) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Play an arm: observation, reward, terminated (never), truncated, expected regret."""
        reward = -self.bandit.step(int(action))
        truncated = self.bandit.time >= self.horizon
        return self._observe(), reward, False, truncated, {"regret": self.bandit.regret}

    def _observe(self) -> NDArray[np.float32]:
        shares = self.bandit.tallies() / self.bandit.full_tally
        return np.clip(shares, 0.0, 1.0).astype(np.float32)
