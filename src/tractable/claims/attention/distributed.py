"""Claim: attention spread over ranks is exact and each rank holds and does its share alone."""

from typing import Any, NamedTuple

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

HEADS = 4
WIDTH = 64
RANKS = 4
EPOCHS = 6
CAUSAL = {"is_causal": True, "chunk_size": 32}

claim = Claim(
    Paper(
        "A Unified View of Long-Sequence Models towards Modeling Million-Scale Dependencies",
        authors="Hongyu Hè, Marko Kabic",
        year=2023,
        link="https://arxiv.org/abs/2302.06218",
        tier="scaled down",
    ),
    says="attention spread over ranks gives the values of attention on one device, while what the "
    "fullest rank holds grows linearly with the length instead of quadratically, the work of the "
    "busiest rank falls with their number, and a grid of ranks sends less the more of them there "
    "are; and mixers of very different kinds gain from more context",
    scope="ranks are threads that talk through gloo, everything is counted and nothing is timed: "
    "the paper's factor of almost 40 on four GPUs over attention with all scores in memory is not "
    "repeated, and whether it is one of seconds or of lengths could not be told from the text at "
    "hand. Memory: four ranks, 4 heads of width 64, float32, 128 to 2,048 positions, tiles of "
    "128 x 128, bytes of tensors beyond the inputs, forward only; the fused arm on one process "
    "says how much is due to spreading alone. Traffic: forward and backward, 4 to 25 ranks, 600 "
    "positions; the grid is our reading of the paper, the ring a rival of the same year. Balance: "
    "causal, a zigzag layout that is not the paper's. Context: one block of width 32 on 8 x 8 "
    "digits cut into 16 patches, six epochs: one task, far below a million dependencies",
    solves=(
        "sequence does not fit on one GPU",
        "attention out of memory on long sequences",
        "context parallel or sequence parallel attention",
        "ring attention, Ulysses or all-gather: which one",
        "compare token mixers in one model",
    ),
    agreement="attention on one process, values and gradients, to 1e-12 in float64, with 2 and 4 "
    "processes; torch's scaled_dot_product_attention and MultiheadAttention to 1e-12; bytes sent "
    "equal closed forms exactly",
)


class Found(NamedTuple):
    """What an arm gives: attention's output, and a number of the rank that has most of it."""

    out: Any
    most: float


def _spread(ranks: int, tensors: Any, count: Any, **options: Any) -> Found:
    """Attend on ranks; `count` reads a number off each rank's call."""
    import torch

    from tractable.attention.distributed import (
        distributed_attention,
        run_ranks,
        shard_sequence,
        unshard_sequence,
    )

    layout = options.get("layout", "contiguous")
    length = tensors[0].shape[2]

    def work(group: Any) -> tuple[Any, float]:
        parts = [shard_sequence(x, 2, group, layout).contiguous() for x in tensors]
        out, number = count(
            lambda: distributed_attention(
                *parts, group=group, length=length, check=False, **options
            )
        )
        return unshard_sequence(out, 2, group, layout, length=length), number

    with torch.no_grad():
        found = run_ranks(ranks, work)
    return Found(found[0][0], max(number for _, number in found))


def _meter(call: Any) -> tuple[Any, float]:
    """Run a call and read the bytes of its tensors."""
    from tractable.attention.distributed import meter_tensors

    with meter_tensors() as meter:
        out = call()
    return out, float(meter.peak)


def _count_flops(call: Any) -> tuple[Any, float]:
    """Run a call and read its flops."""
    from tractable import count

    with count() as cost:
        out = call()
    return out, float(cost["flops"])


def _draw(rng: Any, length: int, dtype: Any, heads: int = HEADS) -> tuple[Any, Any, Any]:
    """Query, key and value of a whole sequence."""
    import torch

    made = torch.from_numpy(rng.standard_normal((3, 1, heads, length, WIDTH))).to(dtype)
    return made[0], made[1], made[2]


def error(output: Any, expected: Any, *inputs: Any) -> float:
    """Largest difference from the baseline's output; at least a rounding error."""
    return max(1e-16, float((output.out - expected.out).abs().max()))


# Memory: bytes of the fullest rank against all scores on one device.

memory = Experiment(
    claim,
    "memory",
    sweep=Sweep("tokens", 128, 2048, points=9),
    needs=("torch",),
    criteria=(
        # Linear over quadratic is a slope of -1.
        Growth("bytes of the fullest rank", of="ring", over="vanilla", at_most=-0.7),
        # A quarter of the sequence; what travels is held twice.
        Level(
            "bytes of the fullest rank",
            of="ring",
            over="fused",
            at_most=0.75,
            within=(1024, 2048),
        ),
        Level(
            "bytes of the fullest rank",
            of="ring",
            over="vanilla",
            at_most=0.125,
            within=(2048, 2048),
        ),
    ),
    guards=(Level("error", of="ring", at_most=1e-5),),
    rounds=2,
    short_rounds=2,
)
memory.metric(error)


@memory.inputs
def whole_sequence(tokens: int, rng: Any, device: str) -> tuple[Any, ...]:
    import torch

    return _draw(rng, tokens, torch.float32)


@memory.metric
def bytes_of_the_fullest_rank(output: Any, expected: Any, *inputs: Any) -> float:
    """Tensors alive at once beyond the inputs."""
    return float(output.most)


@memory.method
def ring(query: Any, key: Any, value: Any) -> Found:
    """Keys and values travel past four ranks."""
    return _spread(RANKS, (query, key, value), _meter, chunk_size=128)


@memory.baseline
def vanilla(query: Any, key: Any, value: Any) -> Found:
    """All scores in memory on one process, the paper's own rival."""
    from tractable.attention.distributed import reference

    return Found(*_meter(lambda: reference(query, key, value)))


@memory.peer()
def fused(query: Any, key: Any, value: Any) -> Found:
    """One process, tile by tile."""
    return _spread(1, (query, key, value), _meter, chunk_size=128)


@memory.peer()
def gathered(query: Any, key: Any, value: Any) -> Found:
    """Every rank holds all keys and values."""
    return _spread(RANKS, (query, key, value), _meter, chunk_size=128, algorithm="allgather")


@memory.knockout
def unmerged(query: Any, key: Any, value: Any) -> Found:
    """No sums to merge: each rank keeps its queries' scores with all keys."""
    from tractable.attention.distributed import reference, run_ranks, shard_sequence

    def work(group: Any) -> tuple[Any, float]:
        mine = shard_sequence(query, 2, group)
        return _meter(lambda: reference(mine, key, value))

    import torch

    found = run_ranks(RANKS, work)
    return Found(torch.cat([out for out, _ in found], 2), max(most for _, most in found))


# Traffic: bytes sent in a forward and a backward pass.

traffic = Experiment(
    claim,
    "traffic",
    sweep=Sweep("ranks", 4, 25, points=5),
    needs=("torch",),
    criteria=(
        # A grid sends like 1 / sqrt P beside a ring: -1/2 in the limit.
        Growth("bytes sent", of="grid", over="round_the_ring", at_most=-0.2),
        Level("bytes sent", of="grid", over="round_the_ring", at_most=0.7),
        Level("bytes sent", of="grid", over="predicted", at_most=1.0),
        Level("bytes sent", of="grid", over="predicted", at_least=1.0),
    ),
    guards=(Level("difference", of="grid", at_most=1e-11),),
    rounds=2,
    short_rounds=2,
)


@traffic.inputs
def one_head(ranks: int, rng: Any, device: str) -> tuple[Any, ...]:
    """One head of 600 positions in float64, and the gradient of the output."""
    import torch

    query, key, value = _draw(rng, 600, torch.float64, heads=1)
    return query, key, value, torch.from_numpy(rng.standard_normal(query.shape)), ranks


def _train(tensors: Any, ranks: int, **options: Any) -> Any:
    """Output and gradients, forward and backward on ranks; only the schedule sends anything."""
    import torch

    from tractable.attention.distributed import distributed_attention, run_ranks, shard_sequence

    length = tensors[0].shape[2]

    def work(group: Any) -> Any:
        *parts, grad = (shard_sequence(x, 2, group).clone() for x in tensors)
        parts = [x.requires_grad_() for x in parts]
        out = distributed_attention(*parts, group=group, length=length, check=False, **options)
        return torch.stack((out.detach(), *torch.autograd.grad(out, parts, grad)))

    return torch.cat(run_ranks(ranks, work), 3)


@traffic.metric
def difference(output: Any, expected: Any, *inputs: Any) -> float:
    """Of output and gradients from one process's own, largest; at least a rounding error."""
    import torch

    from tractable.attention.distributed import reference

    if output is None:
        return 1e-16
    query, key, value, grad, _ = inputs
    parts = [x.clone().requires_grad_() for x in (query, key, value)]
    out = reference(*parts)
    plain = torch.stack((out.detach(), *torch.autograd.grad(out, parts, grad)))
    return max(1e-16, float((output - plain).abs().max()))


@traffic.method
def grid(query: Any, key: Any, value: Any, grad: Any, ranks: int) -> Any:
    """Queries gathered along rows and keys along columns of the best grid."""
    return _train((query, key, value, grad), ranks, algorithm="mesh2d")


@traffic.baseline
def round_the_ring(query: Any, key: Any, value: Any, grad: Any, ranks: int) -> Any:
    """Keys and values pass every rank."""
    return _train((query, key, value, grad), ranks, algorithm="ring")


@traffic.peer()
def predicted(query: Any, key: Any, value: Any, grad: Any, ranks: int) -> None:
    """The closed form of the grid, before anything runs."""
    from tractable._core import note
    from tractable.attention.distributed import communication_volume

    volume = communication_volume("mesh2d", ranks, query.shape[2], WIDTH, 1, dtype=query.dtype)
    note("bytes sent", ranks * (volume.forward + volume.backward))


@traffic.knockout
def one_column(query: Any, key: Any, value: Any, grad: Any, ranks: int) -> Any:
    """The grid with one column: all keys gathered on every rank."""
    return _train((query, key, value, grad), ranks, algorithm="allgather")


# Balance: work of the busiest rank, causal.

balance = Experiment(
    claim,
    "balance",
    sweep=Sweep("ranks", 2, 20, points=5),
    needs=("torch",),
    criteria=(
        # A share each is a slope of -1.
        Growth("work of the busiest rank", of="zigzag", over="alone", at_most=-0.7),
        # P / (2P - 1) beside contiguous shards: 0.67 falling to 0.51.
        Level("work of the busiest rank", of="zigzag", over="contiguous", at_most=0.8),
    ),
    guards=(Level("error", of="zigzag", at_most=1e-11),),
    rounds=2,
    short_rounds=2,
)
balance.metric(error)


@balance.inputs
def causal_sequence(ranks: int, rng: Any, device: str) -> tuple[Any, ...]:
    """960 positions, in tiles of at most 32."""
    import torch

    return *_draw(rng, 960, torch.float64, heads=1), ranks


@balance.metric
def work_of_the_busiest_rank(output: Any, expected: Any, *inputs: Any) -> float:
    """Floating-point operations, whole tiles counted."""
    return float(output.most)


@balance.method
def zigzag(query: Any, key: Any, value: Any, ranks: int) -> Found:
    """Each rank holds an early and a late chunk."""
    tensors = (query, key, value)
    return _spread(ranks, tensors, _count_flops, layout="zigzag", **CAUSAL)


@balance.baseline
def alone(query: Any, key: Any, value: Any, ranks: int) -> Found:
    """One process."""
    return _spread(1, (query, key, value), _count_flops, **CAUSAL)


@balance.knockout
def contiguous(query: Any, key: Any, value: Any, ranks: int) -> Found:
    """Each rank holds one run, of which the last attends to everything."""
    return _spread(ranks, (query, key, value), _count_flops, **CAUSAL)


# Context: what more tokens are worth, to mixers of three kinds.

context = Experiment(
    claim,
    "context",
    sweep=Sweep("mixer", instances=("softmax", "fnet", "long_conv")),
    needs=("torch", "sklearn"),
    # Five points of accuracy in eighty-five.
    criteria=(Level("accuracy", of="whole", over="start", at_least=1.06),),
    rounds=5,
    short_rounds=3,
)


@context.inputs
def digits(mixer: str, rng: Any, device: str) -> tuple[Any, ...]:
    """16 patches of 2 x 2 pixels in reading order, labels, and a random order to split by."""
    import torch
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    patches = torch.from_numpy(pixels).float().view(-1, 4, 2, 4, 2).transpose(2, 3)
    order = torch.from_numpy(rng.permutation(len(labels)))
    tokens = patches.reshape(-1, 16, 4)[order] / 16
    return tokens, torch.from_numpy(labels)[order], mixer, int(rng.integers(2**31))


@context.metric
def accuracy(output: float, expected: float, *inputs: Any) -> float:
    """Share of the digits kept back that were named rightly."""
    return output


def _learn(tokens: Any, labels: Any, mixer: str, seed: int) -> float:
    """Train one block on 1,300 digits and name the rest."""
    import torch

    from tractable._core import note
    from tractable.attention.distributed import MixerBlock, make_mixer

    length, width, taught = tokens.shape[1], 32, 1300
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        member = make_mixer(mixer, width, heads=4, max_len=16)
        layers = torch.nn.ModuleDict(
            {
                "embed": torch.nn.Linear(4, width),
                "place": torch.nn.Embedding(16, width),
                "block": MixerBlock(member, 2),
                "head": torch.nn.Linear(width, 10),
            }
        )
    generator = torch.Generator().manual_seed(seed)

    def score(batch: Any) -> Any:
        placed = layers["embed"](batch) + 0.1 * layers["place"](torch.arange(length))
        return layers["head"](layers["block"](placed).mean(1))

    optimizer = torch.optim.Adam(layers.parameters(), lr=3e-3)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(taught, generator=generator), 64):
            loss = torch.nn.functional.cross_entropy(score(tokens[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    note("samples", EPOCHS * taught)
    with torch.no_grad():
        named = score(tokens[taught:]).argmax(1)
    return float((named == labels[taught:]).double().mean())


@context.method
def whole(tokens: Any, labels: Any, mixer: str, seed: int) -> float:
    """All sixteen patches."""
    return _learn(tokens, labels, mixer, seed)


@context.baseline
def start(tokens: Any, labels: Any, mixer: str, seed: int) -> float:
    """The first four patches, the top quarter."""
    return _learn(tokens[:, :4], labels, mixer, seed)


@context.peer()
def half(tokens: Any, labels: Any, mixer: str, seed: int) -> float:
    """The first eight."""
    return _learn(tokens[:, :8], labels, mixer, seed)


@context.knockout
def repeated(tokens: Any, labels: Any, mixer: str, seed: int) -> float:
    """As many tokens and nothing new in them: the first four, four times."""
    return _learn(tokens[:, :4].repeat(1, 4, 1), labels, mixer, seed)
