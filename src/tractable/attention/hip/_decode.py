"""Decoding token by token with a mask that is made anew every few steps."""

from collections.abc import Hashable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tractable._core.checks import check_integer
from tractable.attention.hip._mask import HipMask
from tractable.attention.hip._passes import attend, attend_if_dense, make_mask
from tractable.attention.hip._settings import Backend, HipSettings, check_attention

__all__ = ["HipDecodeState"]


@dataclass
class _Held:
    """What one layer keeps between steps."""

    mask: HipMask
    age: int
    length: int
    trace: Tensor
    first_key: Tensor | None


class HipDecodeState:
    """The masks of all layers between decode steps.

    A layer's mask is made anew every `refresh_every` steps, and at once when the keys are not
    those of the last step with one more: another length, batch or head count, or another first,
    middle or last key. In between, local keys grow by the new ones. Three keys tell most changed
    prompts, not all: call `reset` before another prompt, as the plug-in for transformers does.

    Args:
        refresh_every: steps that a mask serves; 1 makes one each step.
        backend: as in `hip_attention`.
        options: what shapes a mask in `hip_attention`: `budget`, `window` and so on.

    Example:
        >>> import torch
        >>> state = HipDecodeState(budget=64, refresh_every=4, dense_queries=0)
        >>> cache = torch.randn(1, 2, 1000, 32)
        >>> state.step(0, cache[:, :, -1:], cache, cache).shape
        torch.Size([1, 2, 1, 32])
    """

    def __init__(
        self, refresh_every: int = 8, *, backend: Backend = "auto", **options: int | str
    ) -> None:
        """Start without masks.

        Raises:
            RangeError: for options out of their range.
        """
        self.refresh_every = check_integer("refresh_every", refresh_every, low=1)
        self.settings = HipSettings(**options)  # type: ignore[arg-type]  # checked there
        self.backend = backend
        self._held: dict[Hashable, _Held] = {}

    def step(
        self,
        layer: Hashable,
        query: Float[Tensor, "B H 1 D"],
        key: Float[Tensor, "B G T D"],
        value: Float[Tensor, "B G T E"],
        *,
        scale: float | None = None,
        first_key: Int[Tensor, "B"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B H 1 E"]:
        """Attend with the newest token; `key` and `value` are the whole cache, it included.

        Notes `key reads` as `hip_attention` does: those of the tree only at a refresh.

        Args:
            layer: which layer's mask to use.
            query: the newest token's, one position.
            key, value: all positions so far; fewer heads than the query's are shared.
            scale: factor of the products, at least zero; d ** -0.5 by default.
            first_key: position of each row's first real key, for padding on the left.
            generator: draws the seed of `random` representatives.

        Returns:
            (B, H, 1, e).

        Raises:
            ShapeError: if the tensors do not fit together.
        """
        scale = check_attention(query, key, value, scale=scale, enable_gqa=True, is_causal=True)
        whole = attend_if_dense(
            self.settings, query, key, value, first_key=first_key, is_causal=True, scale=scale
        )
        if whole is not None:
            self._held.pop(layer, None)
            return whole
        held = self._held.get(layer)
        if (
            held is not None
            and held.age < self.refresh_every
            and _same(held.first_key, first_key)
            and _continues(held, query, key)
        ):
            mask, age = replace(held.mask, key_length=key.shape[2]), held.age
        else:
            mask = make_mask(
                self.settings,
                query,
                key,
                first_key=first_key,
                generator=generator,
                backend=self.backend,
            )
            age = 0
        total = key.shape[2]
        self._held[layer] = _Held(mask, age + 1, total, _trace(key, total), first_key)
        out, _ = attend(query, key, value, mask, scale=scale, backend=self.backend)
        return out

    def reset(self) -> None:
        """Forget all masks."""
        self._held.clear()


def _trace(key: Tensor, length: int) -> Tensor:
    """The first, middle and last of the first `length` keys, which tell a prompt from another."""
    return key[:, :, [0, length // 2, length - 1]].detach().clone()


def _continues(held: _Held, query: Tensor, key: Tensor) -> bool:
    """Whether the keys are those of the last step with one more."""
    return (
        held.length + 1 == key.shape[2]
        and held.mask.indices.shape[:2] == query.shape[:2]
        and held.trace.shape[1] == key.shape[1]
        and held.trace.device == key.device
        and torch.equal(held.trace, _trace(key, held.length))
    )


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one is other or torch.equal(one, other)
