"""One guess of the best value: levels of buckets, samples and the state after them."""

from collections.abc import Collection, Iterable
from math import exp, inf, log, log1p
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tractable.algorithms.submodular._oracles import Floats, Ids, SubmodularOracle

SLACK = 1e-12
"""What rounding may take from a gain, relative to the threshold that it is compared with."""


SHARE = 0.25
"""The bucket taken is the highest that has this share of the largest one's elements.

The largest itself is full of the least useful elements where values are skewed: solutions were
worth 0.70 of greedy's in the middle on such sets, and 0.84 with a quarter, at no more calls.
"""


class Elements:
    """The elements that are there, under a fresh number for each insertion."""

    def __init__(self) -> None:
        """Start without elements."""
        self.element: dict[int, int] = {}
        self.single: dict[int, float] = {}
        self.next = 0

    def put(self, element: int, single: float) -> int:
        """Store an element with its value alone, and return its number."""
        number = self.next
        self.next += 1
        self.element[number], self.single[number] = element, single
        return number

    def drop(self, number: int) -> None:
        """Forget a number."""
        del self.element[number], self.single[number]

    def elements_of(self, numbers: Collection[int]) -> Ids:
        """Return the oracle's elements behind numbers that are there."""
        found = map(self.element.__getitem__, numbers)
        return np.fromiter(found, np.int64, len(numbers))

    def singles_of(self, numbers: Collection[int]) -> Floats:
        """Return what the elements are worth alone."""
        return np.fromiter(map(self.single.__getitem__, numbers), np.float64, len(numbers))


class Rules(NamedTuple):
    """The parameters that all guesses share.

    Args:
        k: at most so many elements are chosen.
        epsilon: the ratio between neighbouring bucket edges, less 1.
        growth: a level is built again when it has more than this times the elements it had.
        tolerance: share of a bucket that may be deleted before its level is built again.
        n_trials: random draws that one sample size is tested with.
        sampled: whether deleted members of a sample are tolerated at all.
    """

    k: int
    epsilon: float
    growth: float
    tolerance: float
    n_trials: int
    sampled: bool = True


class Level:
    """A level R_i: its elements, its bucket B_i, the sample S_i, and the state after S_i."""

    def __init__(
        self, *, size: int, bucket: list[int], sample: list[int], state: Any, total: int
    ) -> None:
        """Store a level that was just built."""
        self.built = self.size = size
        self.bucket = set(bucket)
        self.bucket_built = len(bucket)
        self.lost = 0
        self.sample = dict.fromkeys(sample)
        self.dead = 0
        self.state = state
        self.total = total
        self.rest = set(sample)  # the elements that no later level has


class Copy:
    """The paper's data structure for one guess v of the best value.

    Elements worth between v / 2k and v are in it. Level i holds R_i, those whose gain over the
    samples S_1 to S_(i-1) reaches tau = v / 2k.

    Updates can wait: `later_insert` and `later_delete` note them, `catch_up` carries them out.
    """

    def __init__(
        self,
        oracle: SubmodularOracle,
        known: Elements,
        rules: Rules,
        *,
        guess: int,
        rng: np.random.Generator,
    ) -> None:
        """Start without elements."""
        self.oracle, self.known, self.rules, self.rng = oracle, known, rules, rng
        self.step = log1p(rules.epsilon)
        self.tau = exp(min(guess * self.step - log(2.0 * rules.k), 709.0))
        self.wanted = self.tau * (1.0 - SLACK)
        self.levels: list[Level] = []
        self.loose: set[int] = set()  # below tau even alone, by rounding
        self.arrived: dict[int, None] = {}
        self.gone: set[int] = set()
        self.rebuilds = 0
        self._value: float | None = 0.0

    # What is asked of a copy.

    @property
    def void(self) -> bool:
        """Whether nothing is left once what waits is carried out."""
        held = (self.levels[0].size if self.levels else 0) + len(self.loose)
        return held + len(self.arrived) == len(self.gone)

    @property
    def behind(self) -> bool:
        """Whether updates wait."""
        return bool(self.arrived or self.gone)

    def members(self) -> list[int]:
        """Return the sampled elements that are still there."""
        there = self.known.element
        return [each for level in self.levels for each in level.sample if each in there]

    def value(self) -> float:
        """Return f of the members; one call if one of them died since the last one."""
        if self._value is None:
            self._value = self.oracle._evaluate(self.known.elements_of(self.members()))
        return self._value

    def bound(self) -> float:
        """Return what no k elements exceed, or infinity, if none alone is worth more than v.

        With fewer than k sampled, no element gains tau any more.
        """
        if not self.levels or self.levels[-1].total >= self.rules.k:
            return inf
        return self.oracle._value(self.levels[-1].state) + self.rules.k * self.tau

    # Updates.

    def later_insert(self, number: int) -> None:
        """Note an insertion for later."""
        self.arrived[number] = None

    def later_delete(self, number: int) -> None:
        """Note a deletion for later; it and an insertion that waits cancel out."""
        if number in self.arrived:
            del self.arrived[number]
        else:
            self.gone.add(number)
            if any(number in level.sample for level in self.levels):
                self._value = None

    def catch_up(self) -> None:
        """Carry out what waits, at once where it would build everything again anyway."""
        arrived, gone = list(self.arrived), self.gone
        self.arrived, self.gone = {}, set()
        size = self.levels[0].size if self.levels else 0
        if size + len(arrived) > self.rules.growth * size or 2 * len(gone) > size:
            held = (self._held(0) | self.loose) - gone
            self.loose = set()
            self._build(0, np.array([*held, *arrived], np.int64))
            return
        self._remove(gone)
        for number in arrived:
            self.insert(number)

    def insert(self, number: int) -> None:
        """Put an element into the levels it reaches; the first that grew too much is built again.

        Gains fall from level to level, so that few of them have to be asked.
        """
        levels, rules = self.levels, self.rules
        one = self.known.elements_of([number])
        full = 0  # the first level that would have grown too much
        while full < len(levels) and levels[full].size + 1 <= rules.growth * levels[full].built:
            full += 1
        low, high = 0, full  # reaches level `low`; is not known to reach further ones
        if full < len(levels) or not levels or levels[-1].total < rules.k:
            if self._reaches(number, one, full):
                for level in levels[:full]:
                    level.size += 1
                self._build_from(full, number)
                return
            if full == 0:  # below tau alone
                self.loose.add(number)
                return
        high = full - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._reaches(number, one, middle):
                low = middle
            else:
                high = middle - 1
        for level in levels[: low + 1]:
            level.size += 1
        levels[low].rest.add(number)

    def delete(self, number: int) -> None:
        """Take an element out; the first level whose bucket lost too many is built again."""
        self._remove([number])

    def _remove(self, numbers: Iterable[int]) -> None:
        first = len(self.levels)
        for number in numbers:
            if number in self.loose:
                self.loose.discard(number)
            else:
                first = min(first, self._take_out(number))
        if first < len(self.levels):
            self._build_from(first)

    def _take_out(self, number: int) -> int:
        """Remove one element and return the first level to build again, or how many there are."""
        levels, rules = self.levels, self.rules
        first = len(levels)
        depth = next(i for i, level in enumerate(levels) if number in level.rest)
        levels[depth].rest.discard(number)
        for i in range(depth, -1, -1):
            level = levels[i]
            level.size -= 1
            if number in level.bucket:
                level.bucket.discard(number)
                level.lost += 1
                if level.lost > rules.tolerance * level.bucket_built:
                    first = i
        if number in levels[depth].sample:
            self._value = None
            levels[depth].dead += 1
            if not rules.sampled:
                first = min(first, depth)
        return first

    # How levels are built.

    def _reaches(self, number: int, one: Ids, level: int) -> bool:
        if level == 0:
            return self.known.single[number] >= self.wanted
        gain = self.oracle._ask(self.levels[level - 1].state, one)[0]
        return bool(gain >= self.wanted)

    def _held(self, first: int) -> set[int]:
        """Return the elements of a level, which are those that it and later ones keep."""
        return set().union(*(level.rest for level in self.levels[first:]))

    def _build_from(self, first: int, *more: int) -> None:
        """Build a level again, or an earlier one that has used up half of what it may.

        Where updates are spread evenly, all levels come to their ends one shortly after another,
        the last one first; building each then costs the square of how many there are.
        """
        growth, tolerance = (self.rules.growth - 1.0) / 2.0, self.rules.tolerance / 2.0
        for i, level in enumerate(self.levels[:first]):
            if (
                level.size - level.built > growth * level.built
                or level.lost > tolerance * level.bucket_built
            ):
                first = i
                break
        self._build(first, np.array([*self._held(first), *more], np.int64))

    def _build(self, first: int, numbers: Ids) -> None:
        """Build the levels from `first` on of the elements that reach it."""
        oracle, rules = self.oracle, self.rules
        del self.levels[first:]
        self.rebuilds += 1
        state: Any = self.levels[-1].state if first else oracle.empty()
        total = self.levels[-1].total if first else 0
        outside = self.levels[-1].rest if first else self.loose
        elements = self.known.elements_of(numbers.tolist())
        while numbers.size and total < rules.k:
            if self.levels:
                gains = oracle._ask(state, elements)
            else:
                gains = self.known.singles_of(numbers.tolist())
            keep = gains >= self.wanted
            outside.update(numbers[~keep].tolist())
            numbers, elements, gains = numbers[keep], elements[keep], gains[keep]
            if not numbers.size:
                break
            places, theta = self._bucket(gains)
            state = oracle.copy(state)
            chosen = self._sample(state, elements[places], theta, rules.k - total)
            taken = places[chosen]
            total += taken.size
            level = Level(
                size=numbers.size,
                bucket=numbers[places].tolist(),
                sample=numbers[taken].tolist(),
                state=state,
                total=total,
            )
            self.levels.append(level)
            outside = level.rest
            left = np.ones(numbers.size, np.bool_)
            left[taken] = False
            numbers, elements = numbers[left], elements[left]
        outside.update(numbers.tolist())
        dead = any(level.dead for level in self.levels)
        self._value = None if dead else (oracle._value(state) if self.levels else 0.0)

    def _bucket(self, gains: Floats) -> tuple[NDArray[np.int64], float]:
        """Return the places of the bucket to sample from, and its lower edge."""
        kind = np.floor(np.log(gains / self.tau) / self.step + SLACK).astype(np.int64).clip(0)
        sizes = np.bincount(kind)
        best = int(np.flatnonzero(sizes >= SHARE * sizes.max())[-1])
        return np.flatnonzero(kind == best), self.tau * exp(best * self.step)

    def _sample(self, state: Any, bucket: Ids, theta: float, most: int) -> NDArray[np.int64]:
        """Add a sample of the bucket to the state and return its places."""
        wanted = (1.0 - self.rules.epsilon) * theta
        if bucket.size * self.rules.tolerance < 1.0:
            return self._take(state, bucket, wanted, most)
        size = self._sample_size(state, bucket, wanted, min(most, bucket.size))
        chosen = self.rng.choice(bucket.size, size, replace=False)
        self.oracle._extend(state, bucket[chosen])
        return chosen

    def _take(self, state: Any, bucket: Ids, wanted: float, most: int) -> NDArray[np.int64]:
        """Test every element in random order.

        Any deletion from a bucket as small as this builds its level again, so that it matters not
        that the choice is no uniform sample.
        """
        chosen: list[int] = []
        for place in self.rng.permutation(bucket.size).tolist():
            if len(chosen) == most:
                break
            one = bucket[place : place + 1]
            if not chosen or self.oracle._ask(state, one)[0] >= wanted:
                self.oracle._extend(state, one)
                chosen.append(place)
        return np.array(chosen, np.int64)

    def _sample_size(self, state: Any, bucket: Ids, wanted: float, most: int) -> int:
        """Return the largest size whose last element keeps its gain in nearly all draws."""
        good, bad = 1, most + 1
        while good < most and 2 * good < bad:
            size = min(2 * good, most)
            if not self._holds(state, bucket, wanted, size):
                bad = size
            else:
                good = size
        while bad - good > 1 and good < most:
            middle = (good + bad) // 2
            if self._holds(state, bucket, wanted, middle):
                good = middle
            else:
                bad = middle
        return good

    def _holds(self, state: Any, bucket: Ids, wanted: float, size: int) -> bool:
        failures, allowed = 0, int(self.rules.epsilon * self.rules.n_trials)
        for trial in range(self.rules.n_trials):
            if failures + self.rules.n_trials - trial <= allowed:
                break
            drawn = bucket[self.rng.choice(bucket.size, size, replace=False)]
            tried = self.oracle.copy(state)
            self.oracle._extend(tried, drawn[:-1])
            failures += bool(self.oracle._ask(tried, drawn[-1:])[0] < wanted)
            if failures > allowed:
                return False
        return True
