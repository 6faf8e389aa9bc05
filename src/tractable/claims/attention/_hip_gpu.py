"""The GPU half of the claim about HiP attention: prefill and decoding beside dense attention."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

HEADS, KEY_HEADS, WIDTH = 32, 8, 128
SINK, WINDOW = 16, 128
SPAN = 128
"""Queries of one sampled span."""
FEW = {"block_q": 64, "stride_q": 4, "stride_k": 2}
LAYERS = 4
"""Layers that decoding passes through, so that no layer's keys stay in the second-level cache."""
REFRESH = 8
"""Decoding steps that a mask serves."""


def process(length: int, tau: float, heads: int, generator: Any) -> Any:
    """AR(1) vectors (1, heads, length, WIDTH) in bfloat16, alike for tau tokens."""
    import torch

    rho, warm = math.exp(-1.0 / tau), 1024
    out = torch.empty(1, heads, length, WIDTH, device="cuda", dtype=torch.bfloat16)
    for head in range(heads):
        noise = torch.randn(length + warm, WIDTH, device="cuda", generator=generator)
        noise *= math.sqrt(1.0 - rho * rho)
        reach = 1
        while reach < warm:
            # Twice as many terms of the sum over past noise each time.
            shifted = torch.nn.functional.pad(noise[:-reach], (0, 0, reach, 0))
            noise += rho**reach * shifted
            reach *= 2
        out[0, head] = noise[warm:]
    return out


class Layer(NamedTuple):
    """Queries, keys and values of one layer, and queries that have nothing to do with them."""

    query: Any
    key: Any
    value: Any
    noise: Any


def make_layer(length: int, queries: int, generator: Any) -> Layer:
    """Queries stay alike for 64 tokens and keys for 16; the last ones of 64 where few are asked."""
    import torch

    sharp = 4.0 / math.sqrt(WIDTH)
    query, noise = (
        process(max(queries, 64), 64, HEADS, generator)[:, :, -queries:].contiguous() * sharp
        for _ in range(2)
    )
    key = process(length, 16, KEY_HEADS, generator)
    return Layer(query, key, torch.roll(key, 1, 3), noise)


def best_mass(layer: Layer, mask: Any, nominal: int) -> tuple[float, float]:
    """Attention mass that a mask keeps, and that the best blocks of two keys for 32 queries keep.

    Means over sampled heads and, of many queries, over sampled spans of the last half.
    """
    import torch

    query, key = layer.query, layer.key
    queries, total = query.shape[2], key.shape[2]
    kept, best = [], []
    places = [total // 2 + (i + 1) * total // 24 // SPAN * SPAN - SPAN for i in range(12)]
    for head in (0, 9, 18, 27):
        for begin in places if queries > 1 else (0,):
            rows = torch.arange(begin, min(begin + SPAN, queries), device="cuda")
            scores = query[0, head, rows].float() @ key[0, head // 4].float().T
            later = torch.arange(total, device="cuda") > (rows + total - queries)[:, None]
            share = scores.masked_fill_(later, -torch.inf).softmax(-1)
            step = mask.block_q
            for block in range(begin // step, -(-(begin + len(rows)) // step)):
                part = share[max(block * step - begin, 0) : (block + 1) * step - begin]
                kept.append((part @ _reads(mask, head, block).float()).mean())
            for first in range(0, len(rows), 32):
                part = share[first : first + 32]
                start = int(rows[first]) + total - queries + 1 - WINDOW
                mass = part[:, SINK : start - (start - SINK) % 2].mean(0).view(-1, 2).sum(1)
                found = mass.topk(nominal // 2).values.sum()
                best.append(found + part[:, :SINK].sum(1).mean() + part[:, start:].sum(1).mean())
    return float(torch.stack(kept).mean()), float(torch.stack(best).mean())


def _reads(mask: Any, head: int, block: int) -> Any:
    """The keys that one query block reads, as booleans."""
    import torch

    reads = torch.zeros(mask.key_length, dtype=torch.bool, device="cuda")
    ids = mask.indices[0, head, block].long()
    keys = mask.num_sink + ids[ids >= 0][:, None] * mask.block_k
    keys = keys + torch.arange(mask.block_k, device="cuda")
    reads[keys.clamp(max=mask.key_length - 1).flatten()] = True
    reads[int(mask.local_start[0, block]) :] = True
    reads[: mask.num_sink] = True
    return reads


@dataclass
class Work:
    """Layers to attend in, and the CUDA graphs of what was done once."""

    layers: list[Layer]
    graphs: dict[str, Any] = field(default_factory=dict)

    def replay(self, name: str, call: Callable[[], Any]) -> Any:
        """Capture a call the first time, so that later ones cost no launches; its output."""
        import torch

        if name not in self.graphs:
            call()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                out = call()
            self.graphs[name] = (graph, out)
        graph, out = self.graphs[name]
        graph.replay()
        return out


Masks = Callable[[], list[Any]]
"""Gives an arm's masks again, one a layer; none for dense attention."""


def _prefill_options(layer: Layer) -> dict[str, Any]:
    budget = max(640, layer.key.shape[2] // 64)
    shape: dict[str, Any] = {"budget": budget, "dense_queries": 2 * budget, **FEW}
    if layer.key.shape[2] <= 16 * budget:
        shape["dense_queries"] = "auto"
    return {**shape, "num_sink": SINK, "window": WINDOW, "enable_gqa": True}


def hip_prefill(work: Work) -> Masks:
    """HiP with a budget of T/64, 640 at the least, in blocks of 64 queries."""
    from tractable.attention.hip import hip_attention, hip_mask

    (layer,) = work.layers
    options = _prefill_options(layer)
    hip_attention(*layer[:3], scale=1.0, **options)
    return lambda: [hip_mask(layer.query, layer.key, **options)]


def blind_prefill(work: Work) -> Masks:
    """The tree asked by unrelated queries: as many keys, at the same cost."""
    from tractable.attention.hip import block_sparse_attention, hip_mask

    (layer,) = work.layers
    options = _prefill_options(layer)
    mask = hip_mask(layer.noise, layer.key, **options)
    block_sparse_attention(*layer[:3], mask, 1.0)
    return lambda: [mask]


def cudnn_prefill(work: Work) -> Masks:
    """All keys, by cuDNN."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    (layer,) = work.layers
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        torch.nn.functional.scaled_dot_product_attention(
            *layer[:3], is_causal=True, scale=1.0, enable_gqa=True
        )
    return list


def _step(work: Work, asked: Callable[[Layer], Any]) -> list[Any]:
    """REFRESH steps in all layers under masks made once."""
    from tractable.attention.hip import block_sparse_attention, hip_mask

    budget = work.layers[0].key.shape[2] // 128
    options: dict[str, Any] = {"budget": budget, "block_k": 1, "dense_queries": 0}
    options |= {"num_sink": SINK, "window": WINDOW, "enable_gqa": True}
    masks = [hip_mask(asked(layer), layer.key, **options) for layer in work.layers]
    for _ in range(REFRESH):
        for layer, mask in zip(work.layers, masks, strict=True):
            block_sparse_attention(*layer[:3], mask, 1.0)
    return masks


def hip_decode(work: Work) -> Masks:
    """Eight steps under one mask a layer, with a budget of T/128 single keys."""
    masks = work.replay("hip", lambda: _step(work, lambda layer: layer.query))
    return lambda: masks


def blind_decode(work: Work) -> Masks:
    """The same with the tree asked by unrelated queries."""
    masks = work.replay("blind", lambda: _step(work, lambda layer: layer.noise))
    return lambda: masks


def flash_decode(work: Work) -> Masks:
    """All keys, eight steps; heads of a group are queries of one head, so keys are read once."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    def attend() -> None:
        for _ in range(REFRESH):
            for layer in work.layers:
                packed = layer.query.view(1, KEY_HEADS, HEADS // KEY_HEADS, WIDTH)
                with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
                    torch.nn.functional.scaled_dot_product_attention(
                        packed, layer.key, layer.value, scale=1.0
                    )

    work.replay("flash", attend)
    return list


def share_of_best(output: Masks, expected: Masks, work: Work) -> float:
    """Mass kept over that of the best blocks of T/64 keys, 512 at the least, in the first layer."""
    masks = output()
    if not masks:
        return 1.0
    layer = work.layers[0]
    kept, best = best_mass(layer, masks[0], max(512, layer.key.shape[2] // 64))
    return kept / best


def make_prefill(tokens: int, rng: Any) -> Work:
    """One layer, all of whose queries are asked."""
    return Work([make_layer(tokens, tokens, _generator(rng))])


def make_decoding(tokens: int, rng: Any) -> Work:
    """Layers with one query each, and the graphs of all arms, captured where nobody counts."""
    generator = _generator(rng)
    work = Work([make_layer(tokens, 1, generator) for _ in range(LAYERS)])
    for arm in (hip_decode, blind_decode, flash_decode):
        arm(work)
    return work


def _generator(rng: Any) -> Any:
    import torch

    return torch.Generator("cuda").manual_seed(int(rng.integers(2**31)))
