"""Tokens a second of whole decoders at 131,072 tokens: HiP beside dense attention on a GPU.

Two shapes with random weights, so that only speed is measured: SmolLM2-135M's and an 8B model's.
The first three layers stay dense, as in the paper. Prefill takes all tokens at once; decoding is
one step at full length, captured in CUDA graphs, the mask made anew every eighth step. Both arms
share everything but the attention, which for dense is the faster of cuDNN's and flash.

Run with `python benchmarks/hip_models.py [smol|large] [LENGTH]`.
"""

import sys

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from cuda_race import race_on_gpu
from decoder import LARGE, SMOL, Decoder
from hip_cuda import DECODE, FEW, graph_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from tractable.attention.hip import block_sparse_attention, hip_attention, hip_mask

DENSE_LAYERS = 3
REFRESH = 8
SHAPES = {"smol": SMOL, "large": LARGE}


def attend_densely(query, key, value):
    """All keys; one query's heads of a group are queries of one head, so keys are read once."""
    if query.shape[2] == 1:
        packed = query.view(query.shape[0], key.shape[1], -1, query.shape[3])
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            return F.scaled_dot_product_attention(packed, key, value).view(query.shape)
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION], set_priority=True):
        return F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)


def prefill(model, length, budget):
    tokens = torch.randint(model.shape.vocabulary, (1, length), device="cuda")
    options = {**FEW, "budget": budget, "dense_queries": "auto", "enable_gqa": True}

    def dense(layer, query, key, value):
        return attend_densely(query, key, value)

    def hip(layer, query, key, value):
        if layer < DENSE_LAYERS:
            return attend_densely(query, key, value)
        return hip_attention(query, key, value, **options)

    def read(attend):
        return model.logits(model(tokens, attend)[:, -1]).argmax(-1)

    theirs, ours = race_on_gpu(lambda: read(dense), lambda: read(hip), rounds=2)
    print(
        f"prefill {length} tokens, budget {budget}: dense {length / theirs * 1e3:,.0f} tokens/s, "
        f"HiP {length / ours * 1e3:,.0f} tokens/s, {theirs / ours:.2f}x",
        flush=True,
    )


def decode(model, length, options):
    shape = model.shape
    size = (shape.layers, 1, shape.key_heads, length, shape.head_width)
    held = [torch.randn(size, device="cuda", dtype=torch.bfloat16) for _ in "kv"]
    token = torch.zeros(1, 1, dtype=torch.int64, device="cuda")
    options = {**options, "dense_queries": 0, "enable_gqa": True}
    masks = {}

    def remember(layer, *new):
        for cache, one in zip(held, new, strict=True):
            cache[layer, :, :, -1:] = one
        return [cache[layer] for cache in held]

    def dense(layer, query, key, value):
        return attend_densely(query, *remember(layer, key, value))

    def reuse(layer, query, key, value):
        key, value = remember(layer, key, value)
        if layer < DENSE_LAYERS:
            return attend_densely(query, key, value)
        return block_sparse_attention(query, key, value, masks[layer])

    def refresh(layer, query, key, value):
        if layer >= DENSE_LAYERS:
            masks[layer] = hip_mask(query, remember(layer, key, value)[0], **options)
        return reuse(layer, query, key, value)

    def step(attend):
        return graph_of(lambda: model.logits(model(token, attend, length - 1)[:, -1]).argmax(-1))

    fresh = step(refresh)
    taken = [t / 10 for t in race_on_gpu(step(dense), fresh, step(reuse), rounds=5)]
    ours = (taken[1] + (REFRESH - 1) * taken[2]) / REFRESH
    print(
        f"decode at {length} tokens, {options}: dense {1e3 / taken[0]:.1f} tokens/s, HiP "
        f"{1e3 / ours:.1f} tokens/s ({taken[1]:.2f} ms with a new mask, {taken[2]:.2f} without), "
        f"{taken[0] / ours:.2f}x",
        flush=True,
    )


def main():
    names = [word for word in sys.argv[1:] if word in SHAPES] or list(SHAPES)
    length = next((int(word) for word in sys.argv[1:] if word.isdigit()), 2**17)
    torch.set_default_dtype(torch.bfloat16)
    for name in names:
        with torch.no_grad(), torch.device("cuda"):
            model = Decoder(SHAPES[name]).requires_grad_(False)
            print(f"{name}: {sum(w.numel() for w in model.parameters()) / 1e6:,.0f}M parameters")
            decode(model, length, DECODE[length][2])
            prefill(model, length, 2048)
        del model
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
