"""The last m plays, and what they weigh for each arm."""

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Method = Literal["ring", "recursive", "general"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Window:
    """The last `memory` plays as runs of one arm, with the tallies kept up to date.

    A step costs O(1) where all weights are equal ("ring": counts) or geometric ("recursive": a
    decayed value an arm), and one look at each run of the window otherwise ("general"). A run
    of any length costs one look at each run that the window holds.
    """

    def __init__(self, n_arms: int, weights: Floats, method: Method) -> None:
        """Start empty."""
        self.n_arms = n_arms
        self.memory = len(weights)
        self.weights = weights
        self.method = method
        self.prefix: Floats = np.concatenate([[0.0], np.cumsum(weights)])
        self.decay = float(weights[1] / weights[0]) if method == "recursive" else 1.0
        self.reset()

    def reset(self) -> None:
        """Forget every play."""
        self._runs: deque[list[int]] = deque()
        self._held = 0
        self._clock = 0
        self._values: list[float] = [0.0] * self.n_arms
        self._stamps: list[int] = [0] * self.n_arms
        self._stale = False

    def push(self, arm: int) -> float:
        """Play an arm once and return its tally, this play included."""
        if self._stale:
            self._refresh()
        leaving = self._append(arm, 1)
        self._clock += 1
        if self.method == "general":
            return self._look_up(arm)
        if self.method == "ring":
            if leaving >= 0:
                self._values[leaving] -= 1.0
            self._values[arm] += 1.0
            return self._values[arm] * float(self.weights[0])
        if leaving >= 0:
            self._decay(leaving)
            self._values[leaving] -= float(self.weights[0]) * self.decay**self.memory
        self._decay(arm)
        self._values[arm] += float(self.weights[0])
        return self._values[arm]

    def is_full_of(self, arm: int) -> bool:
        """Whether the whole window is plays of this arm."""
        return bool(self._runs) and self._runs[-1][0] == arm and self._runs[-1][1] == self.memory

    def holds(self, arm: int) -> bool:
        """Whether a play of this arm is in the window."""
        return any(other == arm for other, _ in self._runs)

    def extend(self, arm: int, plays: int) -> None:
        """Play an arm several times without asking for tallies."""
        self._append(arm, plays)
        self._stale = True

    def push_run(self, arm: int, plays: int) -> Floats:
        """Play an arm several times and return the tallies of the first `memory` of them.

        Later plays of the run find the window full of the arm: their tally is the last one.
        """
        first = min(plays, self.memory)
        position = np.arange(1, first + 1)
        tallies = self.prefix[1 : first + 1].copy()
        gap = 0
        for other, length in reversed(self._runs):
            if other == arm:
                near = np.minimum(position + gap, self.memory)
                far = np.minimum(position + gap + length, self.memory)
                tallies += self.prefix[far] - self.prefix[near]
            gap += length
        self.extend(arm, plays)
        return tallies

    def push_sequence(self, actions: Integers) -> Floats:
        """Play a sequence and return all its tallies."""
        before = self.actions()
        tallies = sequence_tallies(np.concatenate([before, actions]), self.weights)[len(before) :]
        for arm in actions[-self.memory :]:
            self._append(int(arm), 1)
        self._stale = True
        return tallies

    def actions(self) -> Integers:
        """Return the plays of the window, oldest first."""
        arms = np.array([arm for arm, _ in self._runs], dtype=np.int64)
        return np.repeat(arms, [length for _, length in self._runs])

    def tallies(self) -> Floats:
        """Return what each arm's plays in the window weigh now."""
        return np.array([self._look_up(arm) for arm in range(self.n_arms)])

    def _append(self, arm: int, plays: int) -> int:
        """Add plays; return the arm of the last play that left the window, or -1."""
        if self._runs and self._runs[-1][0] == arm:
            self._runs[-1][1] += plays
        else:
            self._runs.append([arm, plays])
        excess = self._held + plays - self.memory
        self._held = min(self._held + plays, self.memory)
        leaving = -1
        while excess > 0:
            oldest = self._runs[0]
            leaving = oldest[0]
            taken = min(oldest[1], excess)
            oldest[1] -= taken
            excess -= taken
            if oldest[1] == 0:
                self._runs.popleft()
        return leaving

    def _look_up(self, arm: int) -> float:
        tally, gap = 0.0, 0
        for other, length in reversed(self._runs):
            if other == arm:
                tally += float(self.prefix[gap + length] - self.prefix[gap])
            gap += length
        return tally

    def _decay(self, arm: int) -> None:
        elapsed = self._clock - self._stamps[arm]
        self._values[arm] *= self.decay**elapsed
        self._stamps[arm] = self._clock

    def _refresh(self) -> None:
        """Bring the step-wise tallies up to date after runs in bulk."""
        values = self.tallies()
        self._values = list(values / self.weights[0] if self.method == "ring" else values)
        self._stamps = [self._clock] * self.n_arms
        self._stale = False


def sequence_tallies(actions: Integers, weights: Floats) -> Floats:
    """Return the tally of each play of a sequence that starts with an empty window."""
    tallies = np.zeros(len(actions))
    uniform = bool(np.all(weights == weights[0]))
    for arm in np.unique(actions):
        played = actions == arm
        if uniform:
            total = np.cumsum(played, dtype=np.float64)
            total[len(weights) :] -= total[: -len(weights)].copy()
            weighed = total * weights[0]
        else:
            weighed = np.convolve(played, weights)[: len(actions)]
        tallies[played] = weighed[played]
    return tallies


def pick_method(weights: Floats) -> Method:
    """Return the cheapest way to keep the tally of these weights."""
    if np.all(weights == weights[0]):
        return "ring"
    if weights[0] > 0 and 0 < weights[1] < weights[0]:
        geometric = weights[0] * (weights[1] / weights[0]) ** np.arange(len(weights))
        if np.allclose(weights, geometric, rtol=1e-10, atol=0.0):
            return "recursive"
    return "general"
