"""HiP attention against dense attention on a CUDA device, at budgets that keep the quality.

One batch row, 32 query heads on 8 key heads of width 128, bfloat16, causal. Keys are an AR(1)
process that stays alike for 16 tokens, queries one for 64. Prints, a row a setting:
- the attention mass that the mask keeps over what the best blocks of 2 keys keep for 32 queries
  at the length's nominal budget (sampled query blocks of the last half, sampled heads);
- milliseconds of the tree, of the sparse pass and of both, and the ratio to dense attention,
  measured in turn;
- the fraction of the floors: bytes over the measured copy rate, operations over the measured
  rate of a matrix product.

Run with `python benchmarks/hip_cuda.py [prefill|decode|flex] [LENGTH ...]`.
"""

import sys

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from cuda_race import ceilings_on_gpu, race_on_gpu
from torch.nn.attention import SDPBackend, sdpa_kernel

from tractable.attention.hip import block_sparse_attention, hip_attention, hip_mask
from tractable.claims.attention._hip_gpu import (
    FEW,
    HEADS,
    KEY_HEADS,
    SINK,
    WIDTH,
    WINDOW,
    best_mass,
    make_layer,
)

NOMINAL = {2**13: 512, 2**15: 512, 2**17: 2048, 2**18: 4096, 2**20: 16384}
"""Budget at which the best blocks set the measure, by length."""
MANY = {"block_q": 128, "stride_q": 4, "stride_k": 2}
PREFILL = {
    2**13: ({"dense_queries": "auto"}, {**FEW, "budget": 512}),
    2**15: (
        {"budget": 512},
        {**FEW, "budget": 512},
        {**FEW, "budget": 512, "dense_queries": "auto"},
        {**FEW, "budget": 640},
        {**MANY, "budget": 512},
        {**MANY, "budget": 768},
        {**MANY, "budget": 1024},
    ),
    2**17: (
        {**FEW, "budget": 2048},
        {**FEW, "budget": 2048, "dense_queries": "auto"},
        {**FEW, "budget": 3072},
        {**MANY, "budget": 2048},
        {**MANY, "budget": 2560},
        {**FEW, "budget": 8192},
        {**FEW, "budget": 16384},
    ),
    2**18: (
        {**MANY, "budget": 4096},
        {**MANY, "budget": 4608},
        {**MANY, "budget": 6144},
    ),
}
DECODE = {
    2**17: (
        {"budget": 2048},
        {"budget": 2048, "stride_k": 2},
        {"budget": 1024, "block_k": 1},
        {"budget": 896, "block_k": 1},
        {"budget": 8192},
        {"budget": 16384},
        {"budget": 32768},
    ),
    2**20: (
        {"budget": 5760, "block_k": 1},
        {"budget": 5888, "block_k": 1},
        {"budget": 6144, "block_k": 1},
        {"budget": 8192, "block_k": 1},
        {"budget": 16384, "stride_k": 2},
    ),
}


def make(length, queries):
    return make_layer(length, queries, torch.Generator("cuda").manual_seed(length))


def graph_of(call):
    """Capture a call, so that launches cost what they cost in a serving loop."""
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return lambda: [graph.replay() for _ in range(10)]


def prefill(length, rates, settings=None):
    layer = make(length, length)
    query, key, value = layer[:3]
    nominal = NOMINAL[length]

    def dense(backend):
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(
                query, key, value, is_causal=True, scale=1.0, enable_gqa=True
            )

    for setting in settings or PREFILL[length]:
        options = {"num_sink": SINK, "window": WINDOW, "enable_gqa": True, **setting}
        budget = options.setdefault("budget", 512)
        early = options.setdefault("dense_queries", 2 * budget)
        if early == "auto":
            early = length if length <= 16 * budget else 10 * budget

        def tree(options=options):
            return hip_mask(query, key, **options)

        def whole(options=options):
            return hip_attention(query, key, value, scale=1.0, **options)

        mask = tree()
        kept, best = best_mass(layer, mask, nominal)

        def sparse(mask=mask):
            return block_sparse_attention(query, key, value, mask, 1.0)

        ours, cudnn, trees, passes = race_on_gpu(
            whole,
            lambda: dense(SDPBackend.CUDNN_ATTENTION),
            tree,
            sparse,
            rounds=3 if length > 2**17 else 5,
            repeats=10 if length <= 2**15 else 1,
        )
        share = f"{kept:.3f}/{best:.3f}={kept / best:.3f}"
        flops = (
            4
            * WIDTH
            * HEADS
            * ((length - early) * (budget + WINDOW + SINK + mask.block_q / 2) + early * early / 2)
        )
        words = " ".join(f"{k}={v}" for k, v in options.items() if k not in FIXED)
        print(
            f"prefill {length:7} {words:58} mass {share:17} tree {trees:8.3f} pass "
            f"{passes:8.3f} both {ours:8.3f} cuDNN {cudnn:8.3f} ms  {cudnn / ours:5.2f}x  "
            f"pass at {flops / rates[1] / passes * 1e3:.0%} of the flop floor",
            flush=True,
        )
        del mask, sparse


FIXED = ("num_sink", "window", "enable_gqa")


def decode(length, rates, settings=None):
    layer = make(length, 1)
    query, key, value = layer[:3]
    nominal = NOMINAL[length]
    packed = query.view(1, KEY_HEADS, HEADS // KEY_HEADS, WIDTH)

    def attend_dense(backend):
        # The heads of a group as queries of one head: each key is read once.
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(packed, key, value, scale=1.0)

    rivals = {}
    for backend in (SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION):
        call = graph_of(lambda backend=backend: attend_dense(backend))
        rivals[backend.name] = race_on_gpu(call, rounds=7)[0] / 10
    name = min(rivals, key=rivals.get)
    dense = graph_of(lambda: attend_dense(getattr(SDPBackend, name)))
    floor = 4 * length * KEY_HEADS * WIDTH / rates[0] * 1e3
    print(f"decode {length}: dense {rivals}, bytes floor {floor:.4f} ms", flush=True)
    for setting in settings or DECODE[length]:
        options = {
            "num_sink": SINK,
            "window": WINDOW,
            "enable_gqa": True,
            "dense_queries": 0,
            **setting,
        }
        mask = hip_mask(query, key, **options)
        kept, best = best_mass(layer, mask, nominal)
        tree = graph_of(lambda options=options: hip_mask(query, key, **options))
        sparse = graph_of(lambda mask=mask: block_sparse_attention(query, key, value, mask, 1.0))
        theirs, trees, passes = (t / 10 for t in race_on_gpu(dense, tree, sparse, rounds=11))
        ours = passes + trees / 8
        bytes_moved = 4 * HEADS * (options["budget"] + WINDOW + SINK) * WIDTH
        words = " ".join(f"{k}={v}" for k, v in options.items() if k not in FIXED)
        print(
            f"decode {length:8} {words:48} mass {kept:.3f}/{best:.3f}={kept / best:.3f} refresh "
            f"{trees:.4f} pass {passes:.4f} amortised {ours:.4f} dense {theirs:.4f} ms "
            f"{theirs / ours:5.2f}x  pass at {bytes_moved / rates[0] / passes * 1e3:.0%} of the "
            "bytes floor",
            flush=True,
        )


def flex(length=2**15):
    """flex_attention executing our mask, beside our pass and cuDNN."""
    from torch.nn.attention.flex_attention import flex_attention

    query, key, value = make(length, length)[:3]
    options = {**PREFILL[length][2], "num_sink": SINK, "window": WINDOW, "dense_queries": 1024}
    mask = hip_mask(query, key, enable_gqa=True, **options)
    block_mask = mask.to_flex_block_mask()
    compiled = torch.compile(flex_attention, dynamic=False)

    def other():
        return compiled(query, key, value, block_mask=block_mask, scale=1.0, enable_gqa=True)

    ours, theirs = race_on_gpu(
        lambda: block_sparse_attention(query, key, value, mask, 1.0), other, rounds=3
    )
    gap = (other().float() - block_sparse_attention(query, key, value, mask, 1.0).float()).norm()
    print(
        f"flex {length}: pass {ours:.3f} ms, flex_attention {theirs:.3f} ms under the same mask, "
        f"{theirs / ours:.2f}x; relative difference {float(gap / other().float().norm()):.1e}"
    )


def main():
    what, lengths = sys.argv[1:2] or ["all"], [int(word) for word in sys.argv[2:]]
    torch.backends.cuda.matmul.allow_tf32 = True
    rates = ceilings_on_gpu(torch.bfloat16)
    print(
        f"{torch.cuda.get_device_name()}: copy {rates[0] / 1e12:.2f} TB/s, product "
        f"{rates[1] / 1e12:.0f} TFLOP/s"
    )
    with torch.no_grad():
        for length in lengths or PREFILL:
            if what[0] in ("all", "prefill"):
                prefill(length, rates)
        for length in lengths or DECODE:
            if what[0] in ("all", "decode"):
                decode(length, rates)
        if what[0] in ("all", "flex"):
            flex()


if __name__ == "__main__":
    main()
