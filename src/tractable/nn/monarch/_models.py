"""Whole models: an encoder like M2-BERT, a language model and an image classifier."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tractable._core import RangeError, ShapeError
from tractable._core.checks import check_integer
from tractable.nn.monarch._convolution import Backend
from tractable.nn.monarch._filter import FilterOptions
from tractable.nn.monarch._mixer import MonarchMixerBlock

__all__ = ["M2GPT", "M2Bert", "M2Config", "M2ViT", "load_m2_bert_state_dict"]


class M2Config(NamedTuple):
    """Sizes and choices of a model; those of M2-BERT-base (80M) by default.

    Args:
        d_model: channels.
        num_layers: layers.
        max_len: longest sequence.
        expansion, nblocks, shuffle, residual_conv, post_norm, skip, dropout, filter_options,
        backend: as in `MonarchMixerBlock`.
    """

    d_model: int = 768
    num_layers: int = 12
    max_len: int = 128
    expansion: int = 4
    nblocks: int = 4
    shuffle: bool = False
    residual_conv: bool = True
    post_norm: bool = True
    skip: bool = False
    dropout: float = 0.1
    filter_options: FilterOptions = FilterOptions()
    backend: Backend = "auto"


BASE = M2Config()
"""M2-BERT-base, 80 million parameters."""
SMALL = M2Config(
    d_model=64,
    num_layers=2,
    shuffle=True,
    residual_conv=False,
    post_norm=False,
    skip=True,
    dropout=0.0,
    filter_options=FilterOptions(order=16),
)
"""Pre-norm blocks with skips, which train without care at small scale."""


class _Stack(nn.Module):
    """The layers of a model."""

    def __init__(self, config: M2Config, *, causal: bool) -> None:
        super().__init__()
        check_integer("num_layers", config.num_layers, low=1)
        self.layers = nn.ModuleList(
            MonarchMixerBlock(
                config.d_model,
                config.max_len,
                causal=causal,
                residual_conv=config.residual_conv,
                filter_options=config.filter_options,
                backend=config.backend,
                expansion=config.expansion,
                nblocks=config.nblocks,
                shuffle=config.shuffle,
                dropout=config.dropout,
                post_norm=config.post_norm,
                skip=config.skip,
            )
            for _ in range(config.num_layers)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for layer in self.layers:
            x = layer(x, mask)
        return x


class M2Bert(nn.Module):
    """A bidirectional encoder with a masked-language-model head.

    Padding is masked out of every convolution, so results do not depend on how far a batch is
    padded.

    Args:
        config: sizes and choices.
        vocab_size: tokens.
        positions: whether learned positions are added to the embeddings.

    Example:
        >>> model = M2Bert(SMALL, vocab_size=50)
        >>> model(torch.zeros(2, 9, dtype=torch.int64)).shape
        torch.Size([2, 9, 50])
    """

    def __init__(
        self, config: M2Config = BASE, vocab_size: int = 30_522, *, positions: bool = True
    ) -> None:
        """Make embeddings, layers and head; the head's matrix is the embedding's."""
        super().__init__()
        width = config.d_model
        self.config = config
        self.words = nn.Embedding(check_integer("vocab_size", vocab_size, low=1), width)
        self.kinds = nn.Embedding(2, width)
        self.positions = nn.Embedding(config.max_len, width) if positions else None
        for table in (self.words, self.kinds, self.positions):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(config.dropout)
        self.stack = _Stack(config, causal=False)
        self.head = nn.Linear(width, width)
        self.head_norm = nn.LayerNorm(width, eps=1e-12)
        self.head_bias = nn.Parameter(torch.zeros(vocab_size))

    def encode(
        self,
        tokens: Int[Tensor, "B L"],
        mask: Bool[Tensor, "B L"] | None = None,
        kinds: Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """Return the last layer's vectors.

        Args:
            tokens: (B, L), L up to max_len.
            mask: false at padding.
            kinds: 0 or 1, which sentence a token belongs to; 0 by default.

        Returns:
            (B, L, d_model).

        Raises:
            ShapeError, RangeError, DTypeError: for other shapes, lengths or a mask of numbers.
        """
        _check_tokens(tokens, self.config.max_len)
        found = self.words(tokens) + self.kinds(
            torch.zeros_like(tokens) if kinds is None else kinds
        )
        if self.positions is not None:
            found = found + self.positions.weight[: tokens.shape[1]]
        out: Tensor = self.stack(self.dropout(self.norm(found)), mask)
        return out

    def forward(
        self,
        tokens: Int[Tensor, "B L"],
        mask: Bool[Tensor, "B L"] | None = None,
        kinds: Int[Tensor, "B L"] | None = None,
    ) -> Float[Tensor, "B L V"]:
        """Return logits of the token at every position; arguments as in `encode`."""
        found = self.head_norm(F.gelu(self.head(self.encode(tokens, mask, kinds))))
        return F.linear(found, self.words.weight, self.head_bias)


class M2GPT(nn.Module):
    """A causal language model of gated long convolutions.

    Args:
        config: sizes and choices; small by default.
        vocab_size: tokens.

    Example:
        >>> M2GPT(vocab_size=50)(torch.zeros(2, 9, dtype=torch.int64)).shape
        torch.Size([2, 9, 50])
    """

    def __init__(self, config: M2Config = SMALL, vocab_size: int = 256) -> None:
        """Make the embedding, which is the head's matrix too, and the layers."""
        super().__init__()
        self.config = config
        self.words = nn.Embedding(check_integer("vocab_size", vocab_size, low=1), config.d_model)
        nn.init.normal_(self.words.weight, std=0.02)
        self.stack = _Stack(config, causal=True)
        self.norm = nn.LayerNorm(config.d_model)

    def forward(self, tokens: Int[Tensor, "B L"]) -> Float[Tensor, "B L V"]:
        """Return logits of the next token at every position.

        Raises:
            ShapeError, RangeError: for another shape, or sequences beyond max_len.
        """
        _check_tokens(tokens, self.config.max_len)
        return F.linear(self.norm(self.stack(self.words(tokens))), self.words.weight)


class M2ViT(nn.Module):
    """An image classifier on patches.

    Args:
        config: sizes and choices; small by default; its max_len is set to the patches.
        image: pixels of a side.
        patch: pixels of a patch's side.
        channels: of the image.
        classes: answers.

    Raises:
        RangeError: if patches do not tile the image.

    Example:
        >>> M2ViT(image=8, patch=2)(torch.zeros(3, 1, 8, 8)).shape
        torch.Size([3, 10])
    """

    def __init__(
        self,
        config: M2Config = SMALL,
        *,
        image: int = 8,
        patch: int = 2,
        channels: int = 1,
        classes: int = 10,
    ) -> None:
        """Make the patches' embedding, the layers and the head."""
        super().__init__()
        if check_integer("image", image, low=1) % check_integer("patch", patch, low=1):
            raise RangeError(f"patch is {patch} and image {image}; wanted patches that tile it")
        tokens = (image // patch) ** 2
        self.embed = nn.Conv2d(channels, config.d_model, patch, patch)
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, config.d_model))
        self.stack = _Stack(config._replace(max_len=tokens), causal=False)
        self.norm = nn.LayerNorm(config.d_model)
        self.head = nn.Linear(config.d_model, check_integer("classes", classes, low=1))

    def forward(self, images: Float[Tensor, "B C H W"]) -> Float[Tensor, "B K"]:
        """Return logits of the classes."""
        found = self.embed(images).flatten(2).mT
        if found.shape[1:] != self.positions.shape:
            raise ShapeError(
                f"images have {found.shape[1]} patches; wanted {self.positions.shape[0]}"
            )
        out: Tensor = self.head(self.norm(self.stack(found + self.positions)).mean(1))
        return out


def _check_tokens(tokens: Tensor, max_len: int) -> None:
    if tokens.ndim != 2 or tokens.shape[1] == 0:
        raise ShapeError(f"tokens has shape {tuple(tokens.shape)}; wanted (B, L), L at least 1")
    if tokens.shape[1] > max_len:
        raise RangeError(f"tokens has length {tokens.shape[1]}; wanted at most max_len {max_len}")


NAMES = (
    ("cls.predictions.transform.dense.", "head."),
    ("cls.predictions.transform.LayerNorm.", "head_norm."),
    ("bert.embeddings.word_embeddings.", "words."),
    ("bert.embeddings.token_type_embeddings.", "kinds."),
    ("bert.embeddings.position_embeddings.", "positions."),
    ("bert.embeddings.LayerNorm.", "norm."),
    ("bert.encoder.layer.", "stack.layers."),
    (".attention.in_linear.", ".tokens.project."),
    (".attention.out_linear.", ".tokens.combine."),
    (".attention.short_filter.", ".tokens.short."),
    (".attention.filter_fn2.", ".tokens.residual."),
    (".attention.filter_fn.", ".tokens.long."),
    (".mlp.gated_layers.", ".channels.widen."),
    (".mlp.wo.", ".channels.narrow."),
    (".mlp.layernorm.", ".second_norm."),
    (".modulation.deltas", ".deltas"),
    (".pos_emb.z", ".positions"),
    (".pos_emb.t", ".time"),
)
"""Parts of the official checkpoints' names and ours, renamed in this order."""


def load_m2_bert_state_dict(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the official M2-BERT checkpoints' weights to those of `M2Bert(M2Config(...))`.

    Args:
        state: the official state, from `torch.load`; a leading "model." is dropped.

    Returns:
        What `M2Bert.load_state_dict` takes.

    Example:
        >>> list(load_m2_bert_state_dict({"bert.embeddings.LayerNorm.weight": torch.ones(2)}))
        ['norm.weight']
    """
    found: dict[str, Tensor] = {}
    for full, tensor in state.items():
        name = full.removeprefix("model.")
        if name in ("cls.predictions.decoder.bias", "cls.predictions.bias"):
            found["head_bias"] = tensor
            continue
        if name.startswith("cls.predictions.decoder.") or "position_ids" in name:
            continue  # the embedding's own matrix; a row of whole numbers
        for theirs, ours in NAMES:
            name = name.replace(theirs, ours)
        found_one = _rename_filter(name, tensor)
        if found_one is not None:
            found[found_one[0]] = found_one[1]
    return found


def _rename_filter(name: str, tensor: Tensor) -> tuple[str, Tensor] | None:
    """Rename a filter's parts: layers stand at even places, the shared sine at odd ones."""
    parts = name.split(".")
    is_filter = "long" in parts or "residual" in parts
    if not is_filter:
        return name, tensor
    if parts[-1] == "bias" and parts[-2] in ("long", "residual"):
        parts[-1] = "skip"
    elif parts[-1] == "freq":
        place = next(i for i, part in enumerate(parts) if part.startswith("implicit_filter"))
        return ".".join([*parts[:place], "frequency"]), tensor.flatten()
    elif parts[-3].startswith("implicit_filter"):
        taps = "reverse_taps" if parts[-3].endswith("_rev") else "forward_taps"
        parts[-3:-1] = [taps, str(int(parts[-2]) // 2)]
    elif parts[-1] in ("positions", "time"):
        tensor = tensor[0]
    elif parts[-1] == "deltas":
        tensor = tensor.flatten()
    return ".".join(parts), tensor
