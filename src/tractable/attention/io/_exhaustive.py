"""The least that any schedule moves, found by trying all of them; for tiny instances alone."""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count, product

from tractable._core import RangeError
from tractable.attention.io._counts import check_sizes

__all__ = ["least_traffic"]

Word = tuple[str, int, int]
State = tuple[frozenset[tuple[Word, int]], frozenset[tuple[Word, int]]]

FINISHED = -1
"""Stands for the terms of an output that was divided by its row's sum."""


def least_traffic(n: int, d: int, capacity: int, *, max_states: int = 200_000) -> int:
    """Find the fewest words that any order of steps moves, by exhaustive search.

    A step adds one product to a score, one weight to a row's sum, or one weighted entry of the
    values to an output, all in the cache; sums may be begun again, spilled and added in any
    order. Maxima are left out, as in the paper, so safe schedules can only move more.

    Args:
        n, d: sequence length and width; n · d at most 2 ends in seconds.
        capacity: words in the cache, at least 3.
        max_states: give up beyond so many situations.

    Raises:
        DTypeError, RangeError: for sizes out of range, or a search that grows too large.

    Example:
        >>> least_traffic(1, 1, 3)
        4
    """
    n, d, M = check_sizes(n, d, capacity)
    if M < 3:
        raise RangeError(f"capacity is {M}; a step holds three words, so wanted at least 3")
    game = _Game(n, d, M)
    start: State = (frozenset(), frozenset())
    best = {start: 0}
    ties = count()
    queue = [(game.still_to_move(start), next(ties), 0, start)]
    while queue:
        _, _, moved, state = heappop(queue)
        if moved > best[state]:
            continue
        if game.is_over(state):
            return moved + game.still_to_move(state)
        for cost, after in game.moves(state):
            if moved + cost < best.get(after, moved + cost + 1):
                best[after] = moved + cost
                ahead = moved + cost + game.still_to_move(after)
                # Among equals the latest first, which goes straight to an end.
                heappush(queue, (ahead, -next(ties), moved + cost, after))
        if len(best) > max_states:
            raise RangeError(f"more than {max_states} situations; take a smaller n, d or capacity")
    raise RangeError(f"a cache of {M} words is too small for attention; wanted at least 3")


class _Game:
    """Words are inputs ("q", "k", "v") and sums ("s", "l", "o") with the set of terms they have."""

    def __init__(self, n: int, d: int, capacity: int) -> None:
        self.n, self.d, self.capacity = n, d, capacity
        self.inputs: list[Word] = [(x, i, t) for x in "qkv" for i in range(n) for t in range(d)]
        self.sums: list[Word] = [
            *(("s", i, j) for i, j in product(range(n), range(n))),
            *(("l", i, 0) for i in range(n)),
            *(("o", i, t) for i, t in product(range(n), range(d))),
        ]

    def is_over(self, state: State) -> bool:
        """Whether all outputs are done, in the cache or written."""
        done = {word for part in state for word, terms in part if terms == FINISHED}
        return len(done) == self.n * self.d

    def still_to_move(self, state: State) -> int:
        """Outputs to write and inputs to read once more at least: a bound from below."""
        held, slow = dict(state[0]), dict(state[1])
        most = {word: held.get(word, 0) | slow.get(word, 0) for word in self.sums}
        needed = {word for word in self.sums if word[0] == "o" and slow.get(word) != FINISHED}
        for (_, i, j), terms in ((w, most[w]) for w in self.sums if w[0] == "s"):
            open_to = [t for t in range(self.d) if not most["o", i, t] >> j & 1]
            needed |= {("v", j, t) for t in open_to}
            if open_to or not self._has_sum(most, i, j):
                missing = [t for t in range(self.d) if not terms >> t & 1]
                needed |= {("q", i, t) for t in missing} | {("k", j, t) for t in missing}
        return len(needed - {word for word in held if word[0] in "qkv"})

    def _has_sum(self, most: dict[Word, int], i: int, j: int) -> bool:
        """Whether a row's sum has this weight, or was used already and is not needed."""
        used = all(most["o", i, t] == FINISHED for t in range(self.d))
        return used or bool(most["l", i, 0] >> j & 1)

    def moves(self, state: State) -> Iterator[tuple[int, State]]:
        """Every way to bring one more word into the cache, after making room if it is full."""
        for cost, held, slow in self._make_room(state):
            kept = dict(slow)
            for word in self.inputs:
                if word not in held:
                    yield cost + 1, self._close({**held, word: 0}, slow)
            for word in self.sums:
                if word not in held and kept.get(word) != FINISHED:
                    begun = self._close({**held, word: 0}, slow)
                    if (word, 0) not in begun[0]:
                        yield cost, begun
                    if word in kept:
                        yield cost + 1, self._close({**held, word: kept[word]}, slow)

    def _make_room(
        self, state: State
    ) -> Iterator[tuple[int, dict[Word, int], frozenset[tuple[Word, int]]]]:
        held, slow = dict(state[0]), state[1]
        if len(held) < self.capacity:
            yield 0, held, slow
            return
        for word, terms in state[0]:
            rest = {other: value for other, value in held.items() if other != word}
            if terms != FINISHED:
                yield 0, rest, slow
            if word[0] in "slo" and terms:
                others = frozenset(item for item in slow if item[0] != word)
                yield 1, rest, others | {(word, terms)}

    def _close(self, held: dict[Word, int], slow: frozenset[tuple[Word, int]]) -> State:
        """Take every step that the cached words allow: more terms in a sum never harm."""
        all_keys, all_width = (1 << self.n) - 1, (1 << self.d) - 1
        for word in held:
            if word[0] == "s":
                _, i, j = word
                for t in range(self.d):
                    if ("q", i, t) in held and ("k", j, t) in held:
                        held[word] |= 1 << t
        complete = {w[1:] for w, terms in held.items() if w[0] == "s" and terms == all_width}
        for word, terms in held.items():
            if word[0] in "lo" and terms != FINISHED:
                for j in range(self.n):
                    if (word[1], j) in complete and (word[0] == "l" or ("v", j, word[2]) in held):
                        held[word] |= 1 << j
        for word, terms in held.items():
            if word[0] == "o" and terms == all_keys and held.get(("l", word[1], 0)) == all_keys:
                held[word] = FINISHED
        return frozenset(held.items()), slow
