"""Offsets of a group, and how a bin's values at them tell the index of its one coefficient.

A code lives on the w directions that hashing leaves open: the index is a message of w bits, an
offset is a mask of w bits, and a bin with one coefficient a holds a (-1)^<mask, message>.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tractable._common.compiled import load_compiled
from tractable.algorithms.sparse_wht._gf2 import ONE, Words, parity, random_words, signs

Method = Literal["auto", "noiseless", "nso", "so"]

MEMORY = 6
"""Bits that the convolutional code remembers."""

TAPS = (0o133, 0o171)
"""Its two generators; the free distance of this pair is 10."""

ROWS = 1 << 10
"""Bins that the NumPy form of the Viterbi search takes at a time."""


class Code(NamedTuple):
    """Masks without repeats, and the decoder of values at them: (bins, masks) to messages."""

    masks: Words
    decode: Callable[[NDArray[Any]], Words]


def make_code(
    method: Literal["noiseless", "nso", "so"], width: int, extra: int, rng: np.random.Generator
) -> Code:
    """Draw a code for messages of `width` bits.

    Args:
        method: as in `sparse_wht`.
        width: at least 1.
        extra: how many random masks: those that "nso" repeats its unit vectors at, or those
            that the others check with.
        rng: draws them.
    """
    if method == "nso":
        starts = _distinct(width, np.zeros(0, np.uint64), max(extra, 1), rng)
        units = np.append(np.uint64(0), ONE << np.arange(width, dtype=np.uint64))
        wanted = (starts[:, None] ^ units).ravel()
        decode = _decode_votes
    elif method == "so":
        wanted, decode = code_masks(width), _decode_word
    else:
        wanted = np.append(np.uint64(0), ONE << np.arange(width, dtype=np.uint64))
        decode = _decode_signs
    masks, places = np.unique(wanted, return_inverse=True)
    if method != "nso":
        masks = np.append(masks, _distinct(width, masks, extra, rng))

    def decode_values(values: NDArray[Any]) -> Words:
        return decode(values, places, width, masks)

    return Code(masks, decode_values)


def _distinct(width: int, taken: Words, count: int, rng: np.random.Generator) -> Words:
    """Draw masks that are not taken, as many as there are."""
    if width <= 12:
        free = np.setdiff1d(np.arange(1 << width, dtype=np.uint64), taken)
    else:
        free = np.setdiff1d(random_words(width, 2 * count + 16, rng), taken)
    chosen: Words = rng.permutation(free)[:count]
    return chosen


def _decode_signs(values: NDArray[Any], places: NDArray[Any], width: int, masks: Words) -> Words:
    """Noiseless: bit q is set where the sign at unit vector q differs from that at zero."""
    found = values[:, places]
    return _pack(np.real(found[:, 1:] * np.conj(found[:, :1])) < 0)


def _decode_votes(values: NDArray[Any], places: NDArray[Any], width: int, masks: Words) -> Words:
    """NSO: every random mask votes on bit q, with the weight of its own two values."""
    found = values[:, places].reshape(len(values), places.size // (width + 1), width + 1)
    votes = (found[:, :, 1:] * np.conj(found[:, :, :1])).real.sum(axis=1)
    return _pack(votes < 0)


def _decode_word(values: NDArray[Any], places: NDArray[Any], width: int, masks: Words) -> Words:
    """SO: Viterbi's search for either sign of the coefficient; the better fit is kept."""
    if values.dtype.kind == "c":  # one coefficient has one phase: turn it to the real axis
        phase = np.angle((values**2).sum(axis=1)) / 2
        values = values * np.exp(-1j * phase)[:, None]
    real = np.ascontiguousarray(values.real)
    soft = real[:, places].reshape(len(real), places.size // 2, 2)
    rows = np.concatenate([soft, -soft])
    compiled = load_compiled(__package__)
    if compiled is not None:
        messages: Words = compiled.viterbi(rows, _outputs(), MEMORY)
    else:
        parts = [viterbi(rows[i : i + ROWS]) for i in range(0, len(rows), ROWS)]
        messages = np.concatenate([np.zeros(0, np.uint64), *parts])
    plus, minus = messages[: len(real)], messages[len(real) :]
    fits = [np.abs((real * signs(masks, each)).sum(axis=1)) for each in (plus, minus)]
    better: Words = np.where(fits[0] >= fits[1], plus, minus)
    return better


def _pack(bits: NDArray[np.bool_]) -> Words:
    places = np.arange(bits.shape[1], dtype=np.uint64)
    packed: Words = np.bitwise_or.reduce(bits.astype(np.uint64) << places, axis=1)
    return packed


def code_masks(width: int) -> Words:
    """Return the masks of the terminated code, two a step: each output bit is linear in it."""
    found = []
    for step in range(width + MEMORY):
        for taps in TAPS:
            # The highest tap reads the newest bit, which is bit `step` of the message.
            reads = [step - back for back in range(MEMORY + 1) if taps >> (MEMORY - back) & 1]
            found.append(sum(1 << bit for bit in reads if 0 <= bit < width))
    return np.array(found, np.uint64)


def _outputs() -> NDArray[np.int64]:
    """Return which pair of output bits a new bit gives, after each state."""
    words = np.arange(2 << MEMORY, dtype=np.uint64)
    high, low = (parity(words & np.uint64(taps)).astype(np.int64) for taps in TAPS)
    return (2 * high + low).reshape(2, -1)


def viterbi(soft: NDArray[np.float64]) -> Words:
    """Return the message whose code word correlates best with each row; the loops' twin.

    Args:
        soft: (rows, steps, 2), positive where a code bit is likely 0.
    """
    rows, steps, _ = soft.shape
    states, width = 1 << MEMORY, steps - MEMORY
    outputs = _outputs()
    low = (np.arange(states) << 1) & (states - 1)
    bits = np.arange(states) >> (MEMORY - 1)
    pairs = [outputs[bits, low], outputs[bits, low | 1]]
    best = np.full((rows, states), -np.inf)
    best[:, 0] = 0.0
    chosen = np.empty((steps, rows, states), np.bool_)
    for t in range(steps):
        a, b = soft[:, t, 0], soft[:, t, 1]
        gain = np.stack([a + b, a - b, b - a, -a - b], axis=1)
        x, y = best[:, low] + gain[:, pairs[0]], best[:, low | 1] + gain[:, pairs[1]]
        chosen[t] = y > x
        best = np.maximum(x, y)
        if t >= width:
            best[:, states // 2 :] = -np.inf
    state, found = np.zeros(rows, np.int64), np.zeros(rows, np.uint64)
    for t in range(steps - 1, -1, -1):
        if t < width:
            found |= (state >> (MEMORY - 1)).astype(np.uint64) << np.uint64(t)
        state = ((state << 1) & (states - 1)) | chosen[t, np.arange(rows), state]
    return found
