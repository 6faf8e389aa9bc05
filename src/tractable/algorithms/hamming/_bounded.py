"""Distances up to a bound: drop most shifts after few probes, count the rest by structure."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tractable._common.compiled import load_compiled
from tractable._core import note
from tractable.algorithms.hamming import _engines
from tractable.algorithms.hamming._letters import Codes, Pattern
from tractable.algorithms.hamming._plan import HammingPlan

Shifts = NDArray[np.int64]

SPAN = 1 << 13
"""Windows hold at least so many shifts, so that short patterns do not make tiny windows."""

PERIODS = 4
"""How many of the smallest gaps between survivors are tried as the pattern's period."""


def bounded_distances(
    codes: Codes, plan: HammingPlan, bound: int, *, periods: int = PERIODS
) -> NDArray[np.int32]:
    """Return every distance that is at most `bound`, and bound + 1 elsewhere.

    `periods` gaps are tried as the pattern's period; with 0 structure is not looked for.
    """
    pattern = plan._pattern
    shifts = codes.size - pattern.size + 1
    if bound >= pattern.size or _filter_cost(codes, plan, bound) > plan._expected_cost(codes):
        return np.minimum(plan._distances(codes), bound + 1).astype(np.int32)
    probe = Probe(codes, pattern)
    limit = -(-4 * (bound + 16) // 8)  # words of eight letters
    result = probe(np.arange(shifts), bound, limit)
    survivors = np.flatnonzero(result < 0)
    if survivors.size * pattern.size * plan.constants.probe <= 8 * shifts * plan.constants.word:
        result[survivors] = probe(survivors, bound, pattern.size)
        return result
    span = max(SPAN, pattern.size + 1)
    for first in range(0, shifts, span):
        low, high = np.searchsorted(survivors, (first, first + span))
        if high > low:
            inside = survivors[low:high]
            result[inside] = _resolve(codes, plan, probe, inside, bound=bound, periods=periods)
    return result


class Probe:
    """Compares the pattern with single shifts, eight letters a word, in one random order."""

    def __init__(self, codes: Codes, pattern: Pattern) -> None:
        """Pack both; with more than 254 letters bytes collide, so survivors are counted again."""
        self.codes, self.pattern = codes, pattern
        self.exact = pattern.letters <= 254
        self.compiled = load_compiled(__package__)
        text = _fold(codes, pattern.letters, 254)
        ours = _fold(pattern.codes, pattern.letters, 255)
        self.words = -(-pattern.size // 8)
        spare = 8 * self.words - pattern.size  # the last word is read past the pattern's end
        self.last = pattern.size - 8 if spare and pattern.size >= 8 else None
        self.text = np.zeros(-(-text.size // 8) + 2, np.uint64)
        self.text.view(np.uint8)[: text.size] = text
        self.ours = ours[: pattern.size // 8 * 8].view(np.uint64)
        self.tail = np.arange(self.ours.size * 8, pattern.size)
        # The order is drawn once: it changes how soon a shift is dropped, never what is returned.
        self.order = np.random.default_rng(0).permutation(self.ours.size)

    def __call__(self, shifts: Shifts, bound: int, limit: int) -> NDArray[np.int32]:
        """Return distances up to bound, bound + 1 above, -1 where `limit` words did not decide."""
        result = np.full(shifts.size, -1, np.int32)
        if self.compiled is not None:
            spent = self.compiled.probe_shifts(
                self.text, self.ours, self.order, shifts, bound, limit, result
            )
        else:
            spent = self._probe_slowly(shifts, bound, limit, result)
        note("operations", int(spent))
        full = np.flatnonzero((result >= 0) & (result <= bound))
        if full.size and not self.exact:
            for at in full:
                piece = self.codes[shifts[at] : shifts[at] + self.pattern.size]
                result[at] = np.count_nonzero(
                    (piece != self.pattern.codes) | (piece == self.pattern.letters)
                )
            note("operations", int(full.size) * self.pattern.size)
        elif full.size and self.tail.size:
            piece = self.codes[shifts[full, None] + self.tail]
            ours = self.pattern.codes[self.tail]
            differs = (piece != ours) | (ours == self.pattern.letters)
            result[full] += differs.sum(axis=1, dtype=np.int32)
            note("operations", int(full.size) * self.tail.size)
        np.minimum(result, bound + 1, out=result)
        return result

    def _probe_slowly(
        self, shifts: Shifts, bound: int, limit: int, result: NDArray[np.int32]
    ) -> int:
        bytes_ = self.text.view(np.uint8)
        found = np.zeros(shifts.size, np.int32)
        alive = np.arange(shifts.size)
        spent = 0
        for word in self.order[:limit]:
            spent += alive.size
            ours = self.ours[word : word + 1].view(np.uint8)
            for letter in range(8):
                found[alive] += bytes_[shifts[alive] + (8 * int(word) + letter)] != ours[letter]
            alive = alive[found[alive] <= bound]
        result[:] = np.where(found > bound, bound + 1, found if limit >= self.order.size else -1)
        return spent


def _fold(codes: Codes, letters: int, never: int) -> NDArray[np.uint8]:
    """Return codes as bytes: equal letters stay equal, letters that never match get `never`."""
    if letters <= 254:
        return np.where(codes == letters, never, codes).astype(np.uint8)
    return np.where(codes == letters, never, codes % 254).astype(np.uint8)


def _filter_cost(codes: Codes, plan: HammingPlan, bound: int) -> float:
    """Return what probing costs when text and pattern are unrelated."""
    pattern = plan._pattern
    theirs = _engines.estimate_letters(codes, pattern) / codes.size
    same = float(theirs @ (pattern.counts / pattern.size))
    words = min((bound + 1) / (8 * max(1e-9, 1 - same)) + 1, (bound + 16) / 2 + 1)
    each = words * plan.constants.probe + 2 * plan.constants.position
    return (codes.size - pattern.size + 1) * each


def _resolve(
    codes: Codes,
    plan: HammingPlan,
    probe: Probe,
    survivors: Shifts,
    *,
    bound: int,
    periods: int,
) -> NDArray[np.int32]:
    """Count the survivors of one window by whichever way costs least."""
    pattern, constants = plan._pattern, plan.constants
    first, last = int(survivors[0]), int(survivors[-1])
    piece = codes[first : last + pattern.size]
    verify = constants.probe * survivors.size * pattern.size / 8
    exact = plan._expected_cost(piece)
    if survivors.size > 1 and min(verify, exact) > constants.word * piece.size:
        period = _find_period(pattern, survivors, bound, periods)
        if period:
            text_steps = Steps(piece, pattern.letters, period)
            pattern_steps = Steps(pattern.codes, pattern.letters, period)
            pairs = text_steps.pairs_with(pattern_steps)
            # Eight passes: two differences, the products' grid and a double running sum.
            if constants.increment * pairs + constants.word * 8 * piece.size < min(verify, exact):
                matches = count_periodic(text_steps, pattern_steps, last - first + 1)
                distances = np.minimum(pattern.size - matches[survivors - first], bound + 1)
                return np.asarray(distances, dtype=np.int32)
    if verify <= exact:
        return probe(survivors, bound, pattern.size)
    distances = plan._distances(piece)[survivors - first]
    return np.minimum(distances, bound + 1).astype(np.int32)


def _find_period(pattern: Pattern, survivors: Shifts, bound: int, periods: int) -> int:
    """Return a gap between survivors that nearly is a period of the pattern, or 0.

    Two matches at distance x make the pattern differ from itself, x further, at most 2k times.
    """
    for gap in np.unique(np.diff(survivors))[:periods].tolist():
        if gap >= pattern.size // 2:
            return 0
        note("operations", pattern.size)
        if np.count_nonzero(pattern.codes[gap:] != pattern.codes[:-gap]) <= 2 * bound:
            return int(gap)
    return 0


class Steps:
    """Where a string differs from itself one period earlier, letter by letter with its sign."""

    def __init__(self, codes: Codes, letters: int, period: int) -> None:
        """Difference the string, padded by one period of nothing at each end."""
        blank = np.full(period, letters, codes.dtype)
        after = np.concatenate([codes, blank])
        before = np.concatenate([blank, codes])
        changed = np.flatnonzero(after != before)
        places = np.concatenate([changed, changed])
        owners = np.concatenate([after[changed], before[changed]]).astype(np.int64)
        signs = np.repeat(np.array([1, -1]), changed.size)
        kept = owners != letters
        order = np.argsort(owners[kept], kind="stable")
        self.places, self.signs = places[kept][order], signs[kept][order]
        self.period, self.size, self.letters = period, codes.size, letters
        self.counts = np.bincount(owners[kept], minlength=letters)
        self.ends = np.concatenate([[0], np.cumsum(self.counts)])
        note("operations", codes.size)

    def pairs_with(self, other: "Steps") -> int:
        """Return how many products the correlation with another string's steps has."""
        return int(self.counts @ other.counts)

    def of(self, letter: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return places and signs of one letter."""
        part = slice(self.ends[letter], self.ends[letter + 1])
        return self.places[part], self.signs[part]


def count_periodic(text: Steps, pattern: Steps, shifts: int) -> NDArray[np.int64]:
    """Return the matches of the first `shifts` shifts from the two strings' steps.

    With x the period and M the matches, the correlation of the steps is
    2 M(i) - M(i - x) - M(i + x), which is solved upwards from shifts where nothing overlaps.
    """
    period, size = text.period, pattern.size
    low = -(size + 2 * period)  # M is 0 here and one period further up
    rows = -(-(shifts - low) // period) + 1
    grid = np.zeros(rows * period, np.int64)
    for letter in np.flatnonzero((text.counts > 0) & (pattern.counts > 0)):
        theirs, their_signs = text.of(int(letter))
        ours, our_signs = pattern.of(int(letter))
        at_once = max(1, (1 << 20) // ours.size)
        for start in range(0, theirs.size, at_once):
            part = slice(start, start + at_once)
            place = (theirs[part, None] - ours[None, :] - low).ravel()
            sign = (their_signs[part, None] * our_signs[None, :]).ravel()
            kept = (place >= 0) & (place < grid.size)
            found = np.bincount(place[kept], sign[kept])
            grid[: found.size] += found.astype(np.int64)
    note("operations", text.pairs_with(pattern) + 2 * grid.size)
    by_class = grid.reshape(rows, period)
    # M(i + x) = 2 M(i) - M(i - x) - corr(i): a double running sum down each residue class.
    matches = np.zeros_like(by_class)
    matches[1:] = -np.cumsum(np.cumsum(by_class[:-1], axis=0), axis=0)
    return matches.ravel()[-low : -low + shifts]
