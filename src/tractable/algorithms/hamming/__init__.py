"""Hamming distances between a pattern and every place of a text.

`hamming_distances` counts exactly, with an engine chosen letter by letter; `k_mismatch` counts
up to a bound; `mismatches` finds close occurrences in a text that need not fit into memory;
`approx_hamming_distances` answers within a factor; `sumset_counts` is the sumset problem
underneath.

Paper: T. M. Chan, C. Jin, V. Vassilevska Williams and Y. Xu, "Faster Algorithms for
    Text-to-Pattern Hamming Distances", FOCS 2023. https://arxiv.org/abs/2310.13174
Symbols: n text length, m pattern length, k bound, M(i) matches at shift i, f and g how often a
    letter stands in the pattern and in the text, p the modulus that positions are hashed with.
Operations: what `tractable.count()` reports as "operations" is the number of increments of a
    counter, plus word operations (64-bit shifts, additions and comparisons; comparing eight
    packed letters is one), plus 5 N log2 N for a complex Fourier transform of N points, half of
    it for a real one. The "bytes" engine counts one operation a comparison.
Departures:
    - The exact engines are Abrahamson's split into rare and frequent letters with a third,
      word-parallel way for those in between; each letter goes to the cheapest. Transforms pack
      several overlapping text blocks into the mantissa of one real signal.
    - The paper's step is the engine "hashed". It was reconstructed from the paper's summary, not
      from its proofs: positions are hashed modulo p, the quotients choose bit fields of a 53-bit
      mantissa (the paper packs Theta(log n)-bit words over small fields), and a checksum modulo a
      smaller number finds classes whose fields overflowed, which are hashed again with wider
      fields. The number of fields is thus bounded by the mantissa and does not grow with log m.
    - `k_mismatch` drops shifts only after k + 1 mismatches were seen, finds the period from gaps
      between surviving shifts, and multiplies differenced strings pair by pair; it falls back
      to plain counting where that is cheaper, so the paper's n + nk/sqrt(m) is not guaranteed.
    - `approx_hamming_distances` is Kopelowitz and Porat's bucket method (eps^-1). The paper's
      eps^-0.93 goes through equality products and 3SUM counting and is not implemented.
"""

from collections.abc import Iterator
from typing import Literal, overload

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import fft

from tractable._core import RangeError, note
from tractable._core.checks import as_array, check_integer, check_number
from tractable._core.random import as_generator
from tractable.algorithms.hamming import _approximate, _hashed, _stream
from tractable.algorithms.hamming._engines import transform_cost
from tractable.algorithms.hamming._letters import Text, check_lengths, read_letters
from tractable.algorithms.hamming._plan import EngineConstants, HammingPlan, Method, calibrate

__all__ = [
    "EngineConstants",
    "HammingPlan",
    "approx_hamming_distances",
    "calibrate",
    "hamming_distances",
    "k_mismatch",
    "mismatches",
    "reference",
    "sumset_counts",
]


def hamming_distances(
    text: Text,
    pattern: Text,
    *,
    method: Method = "auto",
    constants: EngineConstants | None = None,
    max_memory: int = 2**30,
) -> Int[np.ndarray, "shifts"]:
    """Count the mismatches of a pattern at every place of a text.

    Args:
        text: n letters: str, bytes, a memory map, or a one-axis array of whole numbers.
        pattern: m letters, at most n.
        method: "auto" takes the cheapest of all but "hashed"; "mixed" chooses between increments,
            words and transforms letter by letter; "sparse" counts pairs of equal letters one by
            one; "bitparallel" adds bitsets, 64 shifts a word; "fft" multiplies spectra; "bytes"
            compares slices; "hashed" is the paper's own step beside increments.
        constants: what each engine's step costs; None takes the ones in the source.
        max_memory: bytes that bitsets and spectra may take, at least 2**20.

    Returns:
        The n - m + 1 distances, int32.

    Raises:
        DTypeError: for letters that are neither characters, bytes nor whole numbers.
        ShapeError: for an empty text or pattern, or more than one axis.
        RangeError: for a pattern longer than the text, or an unknown method.

    Example:
        >>> hamming_distances("abracadabra", "abra").tolist()
        [0, 4, 3, 3, 3, 3, 4, 0]
    """
    plan = HammingPlan(pattern, method=method, constants=constants, max_memory=max_memory)
    return plan.distances(text)


def k_mismatch(
    text: Text, pattern: Text, k: int, *, constants: EngineConstants | None = None
) -> Int[np.ndarray, "shifts"]:
    """Count mismatches exactly where there are at most k.

    Args:
        text, pattern, constants: as in `hamming_distances`.
        k: the bound, at least 0.

    Returns:
        The n - m + 1 distances, int32; k + 1 stands for every distance above k.

    Raises:
        DTypeError, ShapeError, RangeError: as `hamming_distances`, and for a negative k.

    Example:
        >>> k_mismatch("abracadabra", "abra", 2).tolist()
        [0, 3, 3, 3, 3, 3, 3, 0]
    """
    return HammingPlan(pattern, constants=constants).k_mismatch(text, k)


@overload
def mismatches(
    text: Text | Iterator[Text],
    pattern: Text,
    max: int,
    alphabet: Literal["dna"] | None = ...,
    both_strands: Literal[False] = ...,
    *,
    chunk: int = ...,
    constants: EngineConstants | None = ...,
) -> Iterator[tuple[int, int]]: ...


@overload
def mismatches(
    text: Text | Iterator[Text],
    pattern: Text,
    max: int,
    alphabet: Literal["dna"] | None = ...,
    *,
    both_strands: Literal[True],
    chunk: int = ...,
    constants: EngineConstants | None = ...,
) -> Iterator[tuple[int, int, str]]: ...


def mismatches(
    text: Text | Iterator[Text],
    pattern: Text,
    max: int,
    alphabet: Literal["dna"] | None = None,
    both_strands: bool = False,
    *,
    chunk: int = 2**20,
    constants: EngineConstants | None = None,
) -> Iterator[tuple[int, int]] | Iterator[tuple[int, int, str]]:
    """Yield where a pattern occurs with few mismatches, reading the text piece by piece.

    The profile is never held: memory is a few pieces of `chunk` letters, whatever the text.

    Args:
        text: as in `hamming_distances`, memory maps included, or an iterator over such pieces
            (lines are not stripped).
        pattern: m letters.
        max: the largest distance that is yielded, at least 0.
        alphabet: "dna" ignores case, lets `N` and everything that is no base match nothing, and
            refuses patterns with other letters than A, C, G, T and N. None compares letters.
        both_strands: with "dna", search the pattern's reverse complement as well.
        chunk: letters read at a time; at least the pattern's length is taken.
        constants: as in `hamming_distances`.

    Yields:
        (position, distance) in the order of positions; with both strands (position, distance,
        strand), where the strand is "+" or "-" and the position is on the text as given.

    Raises:
        DataError: for a DNA pattern with other letters.
        RangeError: for a negative max, an unknown alphabet, or both strands without "dna".
        ShapeError: for a pattern that is empty or longer than the text (once that is known).

    Example:
        >>> list(mismatches(b"acgtNACGA", b"ACGT", 1, alphabet="dna"))
        [(0, 0), (5, 1)]
        >>> list(mismatches(b"AACCGG", b"TT", 0, alphabet="dna", both_strands=True))
        [(0, 0, '-')]
    """
    bound = check_integer("max", max, low=0)
    size = read_letters("pattern", pattern).size
    pieces = check_integer("chunk", chunk, low=1)
    _stream.check_dna(pattern, alphabet, both_strands)
    pieces = pieces if pieces > 2 * size else 2 * size
    found = _stream.search_pieces(
        text,
        pattern,
        bound=bound,
        alphabet=alphabet,
        both_strands=both_strands,
        chunk=pieces,
        constants=constants,
    )
    return found if both_strands else ((at, distance) for at, distance, _ in found)


def approx_hamming_distances(
    text: Text,
    pattern: Text,
    epsilon: float = 0.1,
    *,
    delta: float = 1e-3,
    method: Literal["auto", "buckets", "signs"] = "auto",
    constants: EngineConstants | None = None,
    rng: int | np.random.Generator | None = None,
) -> Float[np.ndarray, "shifts"]:
    """Estimate all distances within a factor of 1 - epsilon to 1 + epsilon.

    Args:
        text, pattern, constants: as in `hamming_distances`.
        epsilon: the relative error, strictly between 0 and 1.
        delta: the chance that any of the distances is further off, strictly between 0 and 1.
        method: "buckets" maps letters to 2 / epsilon buckets and keeps the largest distance over
            log2(n / delta) maps, which is never too large; "signs" is Karloff's average over
            8 ln(2 n / delta) / epsilon^2 maps to signs; "auto" counts exactly where that is
            cheaper than "buckets", which it usually is.
        rng: a seed, a generator, or None for fresh entropy.

    Returns:
        The n - m + 1 estimates, float64.

    Raises:
        DTypeError, ShapeError, RangeError: as `hamming_distances`, and for an epsilon or delta
            out of range.

    Example:
        >>> approx_hamming_distances("abracadabra", "abra", 0.5, rng=0).tolist()
        [0.0, 4.0, 3.0, 3.0, 3.0, 3.0, 4.0, 0.0]
    """
    error = check_number("epsilon", epsilon, low=0.0, high=1.0, open_ends=True)
    chance = check_number("delta", delta, low=0.0, high=1.0, open_ends=True)
    if method not in ("auto", "buckets", "signs"):
        raise RangeError(f"method is {method!r}; wanted auto, buckets or signs")
    generator = as_generator(rng)
    plan = HammingPlan(pattern, constants=constants)
    codes, ours = plan._read(text), plan._pattern
    if method == "signs":
        return _approximate.estimate_by_signs(
            codes, ours, epsilon=error, delta=chance, rng=generator
        )
    maps = _approximate.repetitions(codes.size - ours.size + 1, chance)
    few = _approximate.buckets_needed(error)
    # One map costs at least what the letters' share of the exact count does.
    share = maps * min(1.0, few / ours.letters) if ours.letters else 0.0
    if method == "auto" and share >= 1.0:
        return plan._distances(codes).astype(np.float64)
    return _approximate.estimate_by_buckets(
        codes, ours, epsilon=error, delta=chance, rng=generator, constants=constants
    )


def sumset_counts(
    a: ArrayLike,
    b: ArrayLike,
    universe: int,
    *,
    method: Literal["auto", "pairs", "fft", "hashed"] = "auto",
    rng: int | np.random.Generator | None = None,
) -> Int[np.ndarray, "sums"]:
    """Count how many pairs have each sum.

    Args:
        a, b: whole numbers from 0 to universe - 1; repeated ones count repeatedly.
        universe: one more than the largest number allowed.
        method: "pairs" adds pair by pair, "fft" convolves, "hashed" is the paper's step, "auto"
            takes whichever has the fewest operations.
        rng: draws the moduli of "hashed"; the counts do not depend on it.

    Returns:
        Counts of the sums 0 to 2 * universe - 2, int64.

    Raises:
        DTypeError: for numbers that are not whole.
        RangeError: for numbers outside the universe, or an unknown method.
        ShapeError: for more than one axis.

    Example:
        >>> sumset_counts([0, 1], [0, 2], 3).tolist()
        [1, 1, 1, 1, 0]
    """
    reach = check_integer("universe", universe, low=1)
    first, second = _read_set("a", a, reach), _read_set("b", b, reach)
    if method not in ("auto", "pairs", "fft", "hashed"):
        raise RangeError(f"method is {method!r}; wanted auto, pairs, fft or hashed")
    size = 2 * reach - 1
    if not first.size or not second.size:
        return np.zeros(size, np.int64)
    length = int(fft.next_fast_len(size, real=True))
    costs = {"pairs": float(first.size * second.size), "fft": 3 * transform_cost(length)}
    costs["hashed"] = _hashed.Packing(first.size, second.size, reach, reach).cost()
    chosen = min(costs, key=costs.__getitem__) if method == "auto" else method
    if chosen == "hashed":
        generator = as_generator(rng)
        counts = _hashed.count_sums(
            first, second, reach=reach, other_reach=reach, wanted=(0, size), rng=generator
        )
        return counts.astype(np.int64)
    note("operations", costs[chosen])
    if chosen == "fft":
        spectra = [fft.rfft(np.bincount(part, minlength=length)) for part in (first, second)]
        product = fft.irfft(spectra[0] * spectra[1], length)[:size]
        return np.asarray(np.rint(product), dtype=np.int64)
    counts = np.zeros(size, np.int64)
    rows = -(-(1 << 20) // second.size)
    for start in range(0, first.size, rows):
        block = (first[start : start + rows, None] + second).ravel()
        counts += np.bincount(block, minlength=size)
    return counts


def reference(text: Text, pattern: Text) -> Int[np.ndarray, "shifts"]:
    """Compare every window of the text with the pattern, letter by letter.

    Args:
        text, pattern: as in `hamming_distances`.

    Returns:
        The n - m + 1 distances, int32.

    Raises:
        DTypeError, ShapeError, RangeError: as `hamming_distances`.
    """
    letters, ours = read_letters("text", text), read_letters("pattern", pattern)
    check_lengths(letters, ours)
    shifts = letters.size - ours.size + 1
    windows = (letters[i : i + ours.size].tolist() for i in range(shifts))
    wanted = ours.tolist()
    return np.array(
        [sum(x != y for x, y in zip(w, wanted, strict=True)) for w in windows], np.int32
    )


def _read_set(name: str, values: ArrayLike, reach: int) -> Int[np.ndarray, "count"]:
    raw = np.asarray(values)
    if raw.size == 0:
        return np.zeros(0, np.int64)
    array = as_array(name, raw, ndim=1, kinds="iu")
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= reach:
        raise RangeError(
            f"{name} spans {low} to {high}; wanted numbers from 0 to {reach - 1}; "
            "shift them or enlarge universe"
        )
    return array.astype(np.int64)
