"""Which engine counts which letter, and a plan that is reused over many texts."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Literal, get_args

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.algorithms.hamming import _engines
from tractable.algorithms.hamming._hashed import count_by_hashing, hashed_cost
from tractable.algorithms.hamming._letters import (
    Codes,
    Pattern,
    Text,
    check_lengths,
    make_pattern,
    read_letters,
)

Method = Literal["auto", "bytes", "bitparallel", "sparse", "fft", "mixed", "hashed"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class EngineConstants:
    """What one elementary step of each engine costs; only their ratios matter.

    The defaults are nanoseconds on a two-core x86 server with AVX-512. `EngineConstants.equal()`
    makes every step cost one, so that plans minimise the counted operations; `calibrate()`
    measures this machine.

    Args:
        increment: adding one to one counter ("sparse").
        word: shifting or adding one word of 64 bits ("bitparallel").
        flop: one floating-point operation of a Fourier transform ("fft").
        byte: comparing and counting one byte ("bytes").
        probe: comparing one word of eight letters (`k_mismatch`).
        position: handling one text position once, whatever the pattern; may be 0.
    """

    increment: float = 1.05
    word: float = 0.22
    flop: float = 0.22
    byte: float = 0.1
    probe: float = 2.0
    position: float = 6.0

    def __post_init__(self) -> None:
        """Refuse constants that are not positive."""
        for part in fields(self):
            value = getattr(self, part.name)
            if not (value > 0 or (value == 0 and part.name == "position")):
                raise RangeError(f"{part.name} is {value}; wanted a positive number")

    @classmethod
    def equal(cls) -> "EngineConstants":
        """Return the constants of the machine model that counts every step as one."""
        return cls(1.0, 1.0, 1.0, 1.0, 1.0, 0.0)


@dataclass(frozen=True)
class Choice:
    """Masks of the letters each engine counts, the transform's shape and the expected cost."""

    pairs: Mask
    words: Mask
    transforms: Mask
    hashed: Mask
    length: int
    fields: int
    cost: float


class HammingPlan:
    """A pattern prepared once and compared with many texts.

    Args:
        pattern: the pattern, as in `hamming_distances`.
        method: the engine, as in `hamming_distances`.
        constants: what each engine's step costs; None takes the ones in the source.
        max_memory: bytes that bitsets and spectra may take, at least 2**20.

    Example:
        >>> plan = HammingPlan(b"abba")
        >>> plan.distances(b"abbaabba").tolist()
        [0, 2, 4, 2, 0]
        >>> plan.k_mismatch(b"abbaabba", 1).tolist()
        [0, 2, 2, 2, 0]
    """

    def __init__(
        self,
        pattern: Text,
        *,
        method: Method = "auto",
        constants: EngineConstants | None = None,
        max_memory: int = 2**30,
    ) -> None:
        """Number the pattern's letters and group its positions."""
        self._setup(make_pattern(read_letters("pattern", pattern)), method, constants, max_memory)

    def _setup(
        self,
        pattern: Pattern,
        method: Method,
        constants: EngineConstants | None,
        max_memory: int,
    ) -> None:
        if method not in get_args(Method):
            raise RangeError(f"method is {method!r}; wanted one of {', '.join(get_args(Method))}")
        self.method: Method = method
        self.constants = EngineConstants() if constants is None else constants
        self.max_memory = check_integer("max_memory", max_memory, low=2**20)
        self._pattern = pattern
        self._spectra: _engines.Spectra = {}

    @classmethod
    def _of(
        cls,
        pattern: Pattern,
        constants: EngineConstants | None = None,
        method: Method = "auto",
        max_memory: int = 2**30,
    ) -> "HammingPlan":
        plan = cls.__new__(cls)
        plan._setup(pattern, method, constants, max_memory)
        return plan

    @property
    def size(self) -> int:
        """How many letters the pattern has."""
        return self._pattern.size

    def distances(self, text: Text) -> Int[np.ndarray, "shifts"]:
        """Return what `hamming_distances` returns for this pattern and a text."""
        return self._distances(self._read(text))

    def k_mismatch(self, text: Text, k: int) -> Int[np.ndarray, "shifts"]:
        """Return what the function `k_mismatch` returns for this pattern and a text."""
        from tractable.algorithms.hamming._bounded import bounded_distances

        bound = check_integer("k", k, low=0)
        return bounded_distances(self._read(text), self, bound)

    def _read(self, text: Text) -> Codes:
        values = read_letters("text", text)
        check_lengths(values, self._pattern.codes)
        return self._pattern.encode(values)

    def _distances(self, codes: Codes) -> NDArray[np.int32]:
        pattern = self._pattern
        matches = np.zeros(codes.size - pattern.size + 1, np.int32)
        if pattern.letters:
            self._count(codes, matches)
        return np.asarray(pattern.size - matches, dtype=np.int32)

    def _count(self, codes: Codes, matches: NDArray[np.int32]) -> None:
        pattern = self._pattern
        by_bytes = self._bytes_cost(matches.size)
        # All other engines handle each position once, so planning would be wasted time.
        obvious = self.method == "auto" and by_bytes <= self.constants.position * codes.size
        if self.method == "bytes" or obvious:
            _engines.count_by_bytes(codes, pattern, matches)
            return
        choice = self._choose(codes, matches.size)
        if self.method == "auto" and by_bytes < choice.cost:
            _engines.count_by_bytes(codes, pattern, matches)
            return
        if choice.pairs.any():
            _engines.count_by_pairs(codes, pattern, choice.pairs, matches)
        if choice.words.any():
            _engines.count_by_words(codes, pattern, choice.words, matches, self.max_memory)
        if choice.hashed.any():
            count_by_hashing(codes, pattern, choice.hashed, matches)
        if choice.transforms.any():
            _engines.count_by_transforms(
                codes,
                pattern,
                choice.transforms,
                matches,
                length=choice.length,
                fields=choice.fields,
                max_memory=self.max_memory,
                spectra=self._keep_spectra(choice),
            )

    def _expected_cost(self, codes: Codes) -> float:
        """Return what `distances` is expected to cost."""
        shifts = codes.size - self._pattern.size + 1
        return min(self._choose(codes, shifts).cost, self._bytes_cost(shifts))

    def _bytes_cost(self, shifts: int) -> float:
        size = self._pattern.size
        width = self._pattern.codes.dtype.itemsize
        # A NumPy call takes as long as about 200 positions, whatever it does.
        calls = 200.0 * self.constants.position * -(-shifts // _engines.SLICE) * size
        return shifts * size * (width + 1) / 2 * self.constants.byte + calls

    def _choose(self, codes: Codes, shifts: int) -> Choice:
        pattern, constants = self._pattern, self.constants
        ours = pattern.counts
        theirs = _engines.estimate_letters(codes, pattern)
        length, fields, signals = self._shape(codes.size, shifts, theirs, ours)
        one = constants.flop * _engines.transform_cost(length)
        once = constants.position * codes.size
        # Marking a letter in every packed block takes a tenth of a position's time or so.
        marking = constants.position / 10 * length * fields * signals
        pairs = constants.increment * ours * theirs.astype(float)
        words = constants.word * 2.0 * ours * -(-shifts // 64)
        transform = np.full(pattern.letters, one * (signals + 1.0) + marking)
        inverse = one * signals
        every = np.ones(pattern.letters, np.bool_)
        none = ~every
        method = self.method
        if method == "sparse":
            return Choice(every, none, none, none, length, fields, float(pairs.sum() + once))
        if method == "bitparallel":
            return Choice(none, every, none, none, length, fields, float(words.sum() + once))
        if method == "fft":
            cost = float(transform.sum() + inverse)
            return Choice(none, none, every, none, length, fields, cost)
        if method == "hashed":
            return _choose_hashed(pattern, theirs, codes.size, length, fields)
        other = np.minimum(pairs, words)
        heavy = transform < other
        if (other - transform)[heavy].sum() <= inverse:
            heavy = none
        by_words = ~heavy & (words < pairs)
        cost = np.where(heavy, transform, other).sum() + (inverse if heavy.any() else 0.0)
        cost += once * (int((~heavy & ~by_words).any()) + int(by_words.any()))
        return Choice(~heavy & ~by_words, by_words, heavy, none, length, fields, float(cost))

    def _shape(
        self, size: int, shifts: int, theirs: NDArray[np.int64], ours: NDArray[np.int64]
    ) -> tuple[int, int, int]:
        """Return the transform's length, fields a mantissa and signals that cost least."""
        best: tuple[float, int, int, int] | None = None
        pattern = self._pattern.size
        lengths = {next_fast_len(size, real=True)}
        lengths |= {next_fast_len(pattern * factor, real=True) for factor in (2, 4, 8)}
        energy = float(np.sqrt(ours * theirs.astype(float)).sum())
        for length in sorted(lengths):
            if length < pattern or (length > 2 * size and best is not None):
                continue
            blocks = -(-shifts // (length - pattern + 1))
            fit = _engines.choose_fields(
                int(ours.sum()), energy * min(1.0, (length / size) ** 0.5), length
            )
            signals = -(-blocks // min(fit, blocks))
            cost = _engines.transform_cost(length) * (signals + 1)
            if best is None or cost < best[0]:
                best = (cost, length, min(fit, blocks), signals)
        if best is None:
            raise ShapeError("no transform length fits; wanted a pattern no longer than the text")
        return best[1:]

    def _keep_spectra(self, choice: Choice) -> _engines.Spectra | None:
        """Return where to keep spectra between texts, or None where they take too much."""
        if int(choice.transforms.sum()) * 8 * choice.length > self.max_memory // 4:
            return None
        if any(length != choice.length for _, length in self._spectra):
            self._spectra.clear()
        return self._spectra


def _choose_hashed(
    pattern: Pattern, theirs: NDArray[np.int64], size: int, length: int, fields: int
) -> Choice:
    """Send each letter to increments or to hashing, whichever counts fewer operations."""
    pairs = pattern.counts * theirs.astype(float)
    hashed = np.array(
        [
            hashed_cost(int(theirs[c]), int(pattern.counts[c]), size, pattern.size)
            for c in range(pattern.letters)
        ]
    )
    chosen = hashed < pairs
    none = np.zeros_like(chosen)
    cost = float(np.minimum(pairs, hashed).sum())
    return Choice(~chosen, none, none, chosen, length, fields, cost)


def calibrate(clock: Callable[[], float], *, seconds: float = 0.5) -> EngineConstants:
    """Measure what each engine's elementary step costs on this machine.

    Nothing is stored: pass the result as `constants` to `HammingPlan` or a function.

    Args:
        clock: returns seconds, such as `time.perf_counter`.
        seconds: roughly how long to measure, at least 0.1.

    Returns:
        Constants in nanoseconds.

    Raises:
        RangeError: if seconds is under 0.1.
    """
    if not seconds >= 0.1:
        raise RangeError(f"seconds is {seconds}; wanted at least 0.1")
    rng = np.random.default_rng(0)
    text = rng.integers(0, 16, 1 << 17).astype(np.uint8)
    pattern = text[: 1 << 12].copy()
    share = seconds / 10
    unit = EngineConstants.equal()
    measured: dict[str, float] = {}
    jobs: tuple[tuple[str, Method], ...] = (
        ("increment", "sparse"),
        ("word", "bitparallel"),
        ("flop", "fft"),
        ("byte", "bytes"),
    )
    for name, method in jobs:
        plan = HammingPlan(pattern, method=method, constants=unit)
        codes = plan._read(text)
        shifts = text.size - pattern.size + 1
        steps = shifts * pattern.size if name == "byte" else plan._choose(codes, shifts).cost
        measured[name] = _time(partial(plan._distances, codes), clock, share) / steps
    plan = HammingPlan(pattern, constants=EngineConstants(probe=1e-9, position=0.0))
    probes = text.size * 128 / 8 * (16 / 15)  # words of eight letters until 128 mismatches
    measured["probe"] = _time(partial(plan.k_mismatch, text, 127), clock, share) / probes
    plan = HammingPlan(pattern[:8], method="bitparallel")
    measured["position"] = _time(partial(plan.distances, text), clock, share) / text.size
    return EngineConstants(**{name: 1e9 * value for name, value in measured.items()})


def _time(call: Callable[[], object], clock: Callable[[], float], share: float) -> float:
    call()
    best, start = np.inf, clock()
    while clock() - start < share:
        before = clock()
        call()
        best = min(best, clock() - before)
    return float(best)
