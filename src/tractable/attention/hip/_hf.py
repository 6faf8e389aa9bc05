"""HiP attention as an attention implementation of Hugging Face transformers."""

from collections.abc import Collection
from typing import Any
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Int
from torch import Tensor

from tractable._core import DataError, MissingPackageError, RangeError, ShapeError
from tractable.attention.hip import _sparse
from tractable.attention.hip._decode import HipDecodeState
from tractable.attention.hip._passes import attend, make_mask
from tractable.attention.hip._settings import Backend, HipSettings, check_attention

__all__ = ["register"]


def register(
    name: str = "hip",
    *,
    dense_layers: Collection[int] = (0, 1, 2),
    refresh_every: int = 8,
    backend: Backend = "auto",
    **options: int | str,
) -> None:
    """Make HiP attention known to transformers (5 or newer) under a name.

    Load a model with `attn_implementation=name`, or call `model.set_attn_implementation(name)`.
    Causal models with or without padding on the left are served, prefill, chunked prefill and
    decoding, with caches that grow and with static ones; packed sequences, padding elsewhere,
    sliding windows, logit caps and attention dropout in training are refused. A static cache's
    length is read back from the device once for all layers. Registering a name again replaces it
    for all models.

    Args:
        name: what the model is told.
        dense_layers: layers that attend to everything; the first ones are not local.
        refresh_every: decoding steps that a mask serves.
        backend: as in `hip_attention`.
        options: what shapes a mask in `hip_attention`: `budget`, `window` and so on.

    Raises:
        MissingPackageError: without transformers.
        RangeError: for options out of their range.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingPackageError(
            "transformers is not installed; pip install 'tractable[hf]'"
        ) from error
    forward = _Forward(frozenset(dense_layers), refresh_every, backend, options)
    mappings: Any = transformers  # its register is not typed
    mappings.AttentionInterface.register(name, forward)
    mappings.AttentionMaskInterface.register(name, forward.find_first_keys)


class _Forward:
    """The attention function of one registration; holds the decode state of each module."""

    def __init__(
        self,
        dense_layers: frozenset[int],
        refresh_every: int,
        backend: Backend,
        options: dict[str, int | str],
    ) -> None:
        """Check the options before a model runs."""
        self.dense_layers = dense_layers
        self.settings = HipSettings(**options)  # type: ignore[arg-type]  # checked there
        self.backend = backend
        self.refresh_every = refresh_every
        self.options = options
        self._make_state()
        self._states: WeakKeyDictionary[torch.nn.Module, HipDecodeState] = WeakKeyDictionary()

    def __call__(  # noqa: PLR0917 - transformers calls it so
        self,
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        **others: Any,
    ) -> tuple[Tensor, None]:
        """Attend as transformers asks for it: (B, H, L, d) in, (B, L, H, e) and None out."""
        first_key, used = _check_call(module, attention_mask, dropout, others)
        key, value = key[:, :, :used], value[:, :, :used]
        scale = check_attention(query, key, value, scale=scaling, enable_gqa=True, is_causal=True)
        if module.layer_idx in self.dense_layers:
            out = _sparse.attend_dense(
                query, key, value, first_key=first_key, is_causal=True, scale=scale
            )
        elif query.shape[2] == 1:
            out = self._decode(module, query, key, value, scale, first_key)
        else:
            mask = make_mask(self.settings, query, key, first_key=first_key, backend=self.backend)
            out, _ = attend(query, key, value, mask, scale=scale, backend=self.backend)
        return out.transpose(1, 2).contiguous(), None

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch does not type it
    def find_first_keys(  # noqa: PLR0917 - transformers calls it so
        self,
        batch_size: int,
        q_length: int,
        kv_length: int,
        q_offset: int | Tensor = 0,
        kv_offset: int = 0,
        mask_function: Any = None,
        attention_mask: Tensor | None = None,
        device: torch.device | str = "cpu",
        **others: Any,
    ) -> Int[Tensor, "B 1 1 used"] | None:
        """Turn a padding mask into the position of each row's first real key.

        Transformers calls it once a pass through a model, so it also tells where a text begins:
        several tokens at once end the masks of all decoding steps before.

        Returns:
            None where all keys are in use and real. Else the positions, repeated once for each key
            in use, so that the shape tells their number without asking the device. It has four axes
            because transformers hands such a mask on as it is.
        """
        from transformers.masking_utils import causal_mask_function

        if q_length > 1:
            self._states.clear()
        if mask_function not in (None, causal_mask_function):
            raise DataError(
                "the model asks for a mask that is not plainly causal (packed sequences, sliding "
                "windows or blocks), which HiP attention does not do"
            )
        used = int(q_offset) + q_length - kv_offset
        first_key = torch.zeros(batch_size, dtype=torch.int64, device=device)
        if attention_mask is not None:
            real = attention_mask[:, :used].bool()
            if bool((real[:, :-1] & ~real[:, 1:]).any()) or not bool(real[:, -1].all()):
                raise DataError(
                    "attention_mask has padding inside or on the right; wanted it on the left only "
                    "(tokenizer.padding_side = 'left')"
                )
            first_key = real.int().argmax(1)
        if used == kv_length and not bool(first_key.any()):
            return None
        return first_key[:, None, None, None].expand(-1, 1, 1, used)

    @torch.compiler.disable  # type: ignore[untyped-decorator]  # torch does not type it
    def _decode(  # noqa: PLR0917 - compiled code calls it so
        self,
        module: torch.nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        first_key: Tensor | None,
    ) -> Tensor:
        """One step with the module's own masks, outside of compiled graphs: it looks at keys."""
        state = self._states.get(module)
        if state is None:
            state = self._states[module] = self._make_state()
        return state.step(0, query, key, value, scale=scale, first_key=first_key)

    def _make_state(self) -> HipDecodeState:
        return HipDecodeState(self.refresh_every, backend=self.backend, **self.options)


def _check_call(
    module: torch.nn.Module, mask: Tensor | None, dropout: float, others: dict[str, Any]
) -> tuple[Int[Tensor, "B"] | None, int | None]:
    """Refuse what the method does not do.

    Returns:
        The first key of each row, None without padding, and how many keys are in use, None for
        all of them.
    """
    if dropout > 0.0 and module.training:
        raise RangeError(
            f"attention dropout is {dropout} in training; HiP attention has none: set the "
            "model's attention_dropout to 0 or call model.eval()"
        )
    for name in ("sliding_window", "softcap", "s_aux", "position_bias"):
        if others.get(name) is not None:
            raise RangeError(f"the model asks for {name}, which HiP attention does not do")
    if not getattr(module, "is_causal", True) or others.get("is_causal") is False:
        raise RangeError("the model asks for attention without causality; wanted a causal model")
    if mask is None:
        return None, None
    if mask.shape[1:3] != (1, 1) or mask.dtype != torch.int64:
        raise ShapeError(
            f"attention_mask has shape {tuple(mask.shape)}; wanted none, or (B, tokens) with "
            "padding on the left"
        )
    return mask[:, 0, 0, 0], mask.shape[3]
