"""What a budget costs in quality on a user's own model and text."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tractable._core import DataError, count
from tractable.attention.hip._hf import register

__all__ = ["QualityRow", "measure_perplexity", "quality_report"]

NAME = "tractable_hip_report"


@dataclass(frozen=True)
class QualityRow:
    """One line of a quality report.

    Args:
        budget: keys that the tree kept; None for the model's own attention.
        tokens: how many tokens were predicted.
        perplexity: exp of the mean loss a token.
        ratio: perplexity over that of the model's own attention.
        key_reads: what the sparse layers read, tree and attention; zero for the model's own.
    """

    budget: int | None
    tokens: int
    perplexity: float
    ratio: float
    key_reads: int

    def __str__(self) -> str:
        """Show the row as text."""
        what = "dense" if self.budget is None else f"budget {self.budget}"
        return (
            f"{what:>14}  perplexity {self.perplexity:9.4f}  ratio {self.ratio:7.4f}  "
            f"key reads {self.key_reads:,}"
        )


def quality_report(
    model: Any,
    tokenizer: Any,
    text: str,
    budgets: Sequence[int],
    *,
    chunk: int = 2048,
    **options: Any,
) -> list[QualityRow]:
    """Measure a model's perplexity on a text with its own attention and with each budget.

    Args:
        model: a causal language model of transformers; its attention is put back afterwards.
        tokenizer: the model's.
        text: long enough that budgets matter, and within the model's context.
        budgets: keys to keep, one row each.
        chunk: tokens a forward pass, which bounds the memory that logits take.
        options: other arguments of `register`: `dense_layers`, `window` and so on;
            `dense_queries` is 0 unless given, so that all of the text is measured.

    Returns:
        One row for the model's own attention and one a budget.

    Raises:
        DataError: for a text of fewer than two tokens.
    """
    tokens = tokenizer(text, return_tensors="pt").input_ids
    if tokens.shape[1] < 2:
        raise DataError(f"text has {tokens.shape[1]} tokens; wanted two or more")
    options.setdefault("dense_queries", 0)
    predicted = tokens.shape[1] - 1
    dense = measure_perplexity(model, tokens, chunk=chunk)
    rows = [QualityRow(None, predicted, dense, 1.0, 0)]
    for budget in budgets:
        register(NAME, budget=budget, **options)
        with _attention(model, NAME), count() as cost:
            perplexity = measure_perplexity(model, tokens, chunk=chunk)
        reads = int(cost["key reads"])
        rows.append(QualityRow(budget, predicted, perplexity, perplexity / dense, reads))
    return rows


def measure_perplexity(model: Any, tokens: Tensor, *, chunk: int = 2048) -> float:
    """Return exp of the mean loss of (1, T) tokens, chunk by chunk over the model's cache."""
    tokens = tokens.to(model.device)
    total, cache = 0.0, None
    with torch.no_grad():
        for begin in range(0, tokens.shape[1] - 1, chunk):
            targets = tokens[0, begin + 1 : begin + chunk + 1]
            inputs = tokens[:, begin : begin + targets.shape[0]]
            out = model(inputs, past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            loss = torch.nn.functional.cross_entropy(out.logits[0].float(), targets)
            total += float(loss) * targets.shape[0]
    return math.exp(total / (tokens.shape[1] - 1))


@contextmanager
def _attention(model: Any, name: str) -> Iterator[None]:
    """Give a model another attention for a while."""
    before = model.config._attn_implementation
    model.set_attn_implementation(name)
    try:
        yield
    finally:
        model.set_attn_implementation(before)
