"""Claim: tokens and channels mixed by Monarch matrices, at less than the square of either."""

from typing import Any

from tractable.claims import Claim, Experiment, Growth, Level, Paper, Sweep

WIDTH = 128
CHANNELS, BATCH = 8, 2
"""Of the convolutions."""

claim = Claim(
    Paper(
        "Monarch Mixer: A Simple Sub-Quadratic GEMM-Based Architecture",
        authors="Daniel Y. Fu, Simran Arora, Jessica Grogan, Isys Johnson, Sabri Eyuboglu, "
        "Armin W. Thomas, Benjamin Spector, Michael Poli, Atri Rudra, Christopher Ré",
        year=2023,
        link="https://arxiv.org/abs/2310.12109",
        tier="scaled down",
    ),
    says="layers whose matrices over the sequence and over the channels are Monarch matrices cost "
    "less than the square of either, overtake attention at a few thousand tokens, and keep the "
    "quality of a Transformer with a quarter to a third fewer weights",
    scope="CPU, float32. Flops of order-2 transforms and layers are counted on 64 to 4,096 tokens "
    "or channels. Seconds: a gated convolution layer of width 128 against attention with two "
    "heads, and the Monarch convolution against a direct one; torch's FFT, which has no products "
    "of matrices, beats it on a CPU and is shown beside. Weights are those of the BERT-base "
    "configurations. Quality: handwritten digits as 16 patches, two layers of width 64, against a "
    "Transformer of the same width and depth; patches that meet in their mean alone come near it, "
    "so these pictures hardly ask for mixing, and the knock-out shows it; the paper's GLUE, "
    "ImageNet and Pile figures and its GPU throughput are not reproduced here. Recall of single "
    "tokens far back, where gated convolutions are known to be weaker than attention, is not part "
    "of the verdict",
    solves=(
        "attention is quadratic in sequence length",
        "MLP is quadratic in model dimension",
        "long convolution on sequences",
        "linear layer with fewer weights",
        "long-context encoder without attention",
        "FFT as matrix products",
    ),
    agreement="the definition by two loops to 1e-10; torch.fft to 1e-12; matrices multiplied out "
    "to 1e-12",
)


# Convolution: flops of products with Monarch matrices, against the square.


def _convolve(u: Any, k: Any, backend: str, **options: Any) -> Any:
    from tractable.nn.monarch import long_conv

    return long_conv(u, k, backend=backend, **options)  # type: ignore[arg-type]


def _draw_rows(tokens: int, rng: Any) -> tuple[Any, ...]:
    import torch

    rows = rng.standard_normal((BATCH, CHANNELS, tokens))
    taps = rng.standard_normal((CHANNELS, tokens))
    return torch.from_numpy(rows).float(), torch.from_numpy(taps).float()


def relative_error(output: Any, expected: Any, *inputs: Any) -> float:
    """Distance from the direct sums in 64 bits, over their size."""
    truth = _convolve(inputs[0].double(), inputs[1].double(), "fft")
    return float((output - truth).norm() / truth.norm())


def monarch(u: Any, k: Any) -> Any:
    """Transforms of order 2: products with DFT matrices of about the square root."""
    return _convolve(u, k, "monarch")


def direct(u: Any, k: Any) -> Any:
    """The sum over all earlier tokens, torch's convolution."""
    return _convolve(u, k, "direct")


def fft(u: Any, k: Any) -> Any:
    """Torch's real FFT on twice the length."""
    return _convolve(u, k, "fft")


def one_factor(u: Any, k: Any) -> Any:
    """Order 1: the transform as one dense matrix."""
    return _convolve(u, k, "monarch", order=1)


right = Level("relative error", of="monarch", at_most=1e-5)

convolution = Experiment(
    claim,
    "convolution",
    sweep=Sweep("tokens", 64, 4096, points=7),
    needs=("torch",),
    # 1.5 over 2 is a slope of -0.5.
    criteria=(Growth("flops", of="monarch", over="direct", at_most=-0.2),),
    guards=(right,),
    rounds=2,
    short_rounds=2,
)

crossover = Experiment(
    claim,
    "crossover",
    sweep=Sweep("tokens", 64, 16_384, points=9),
    needs=("torch",),
    criteria=(Level("seconds", of="monarch", over="direct", at_most=0.5, within=(16_000, 16_384)),),
    guards=(right,),
)

for experiment in (convolution, crossover):
    experiment.method(monarch)
    experiment.baseline(direct)
    experiment.peer()(fft)
    experiment.metric(relative_error)
convolution.knockout(one_factor)


@convolution.inputs
@crossover.inputs
def rows_and_taps(tokens: int, rng: Any, device: str) -> tuple[Any, ...]:
    return _draw_rows(tokens, rng)


# Channels: a layer of order 2 against a dense one.

channels = Experiment(
    claim,
    "channels",
    sweep=Sweep("width", 64, 4096, points=7),
    needs=("torch",),
    criteria=(Growth("flops", of="monarch_layer", over="dense_layer", at_most=-0.2),),
    rounds=2,
    short_rounds=2,
)


@channels.inputs
def vectors(width: int, rng: Any, device: str) -> tuple[Any, ...]:
    import torch

    return torch.from_numpy(rng.standard_normal((16, width))).float(), width


def _apply(x: Any, width: int, order: int) -> Any:
    from tractable.nn.monarch import MonarchLinear

    return MonarchLinear(width, width, order=order)(x)


@channels.method
def monarch_layer(x: Any, width: int) -> Any:
    """Two block-diagonal factors with blocks of the square root."""
    return _apply(x, width, 2)


@channels.baseline
def dense_layer(x: Any, width: int) -> Any:
    """An ordinary linear layer."""
    import torch

    from tractable._core import note

    note("flops", 2 * len(x) * width * width)
    return torch.nn.Linear(width, width)(x)


@channels.knockout
def one_block(x: Any, width: int) -> Any:
    """Order 1: a single factor, which is one dense block."""
    return _apply(x, width, 1)


# Mixer: a layer over the sequence against attention, on the clock.

mixer = Experiment(
    claim,
    "mixer",
    sweep=Sweep("tokens", 512, 8192, points=9),
    needs=("torch",),
    # n log n over n^2 is a slope of about -0.9 here.
    criteria=(
        Growth("seconds", of="gated_convolution", over="attention", at_most=-0.5),
        Level(
            "seconds", of="gated_convolution", over="attention", at_most=0.5, within=(8000, 8192)
        ),
    ),
    limit=120.0,
)


@mixer.inputs
def one_sequence(tokens: int, rng: Any, device: str) -> tuple[Any, ...]:
    """One sequence, and the layers of all arms."""
    import torch

    from tractable.nn.monarch import MonarchMixerSequence

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        layer = MonarchMixerSequence(WIDTH, tokens, residual_conv=False).eval()
        heads = torch.nn.MultiheadAttention(WIDTH, 2, batch_first=True).eval()
        matrix = torch.randn(tokens, tokens) / tokens**0.5
    return torch.from_numpy(rng.standard_normal((1, tokens, WIDTH))).float(), layer, heads, matrix


@mixer.method
def gated_convolution(x: Any, layer: Any, heads: Any, matrix: Any) -> Any:
    """The paper's layer over the sequence, filters made anew at each call."""
    import torch

    with torch.no_grad():
        return layer(x)


@mixer.baseline
def attention(x: Any, layer: Any, heads: Any, matrix: Any) -> Any:
    """Torch's fused attention with its projections, two heads."""
    import torch

    with torch.no_grad():
        return heads(x, x, x, need_weights=False)[0]


@mixer.knockout
def dense_matrix(x: Any, layer: Any, heads: Any, matrix: Any) -> Any:
    """The same gates around one dense matrix over the sequence."""
    import torch

    with torch.no_grad():
        first, second, value = layer.short(layer.project(x).mT)[..., : x.shape[1]].chunk(3, 1)
        return layer.combine((value * first @ matrix * second).mT)


# Weights: an encoder's, at the size of BERT-base.

weights_experiment = Experiment(
    claim,
    "weights",
    sweep=Sweep("configuration", instances=("base",)),
    needs=("torch",),
    criteria=(Level("weights", of="m2_bert", over="bert", at_most=0.75),),
    rounds=3,
    short_rounds=2,
)


@weights_experiment.inputs
def nothing(configuration: str, rng: Any, device: str) -> tuple[Any, ...]:
    return (configuration,)


def weights(output: Any, expected: Any, *inputs: Any) -> float:
    """Trainable numbers of the model."""
    return float(sum(parameter.numel() for parameter in output.parameters()))


weights_experiment.metric(weights)


def _m2_bert(blocks: int) -> Any:
    import torch

    from tractable.nn.monarch import M2Bert, M2Config

    with torch.device("meta"):
        return M2Bert(M2Config(nblocks=blocks))


@weights_experiment.method
def m2_bert(configuration: str) -> Any:
    """Twelve layers of width 768, blocks in four."""
    return _m2_bert(4)


@weights_experiment.baseline
def bert(configuration: str) -> Any:
    """BERT-base: twelve layers, MLPs of 3,072, the same vocabulary, 512 positions."""
    import torch

    with torch.device("meta"):
        layer = torch.nn.TransformerEncoderLayer(768, 12, 3072)
        tables = [torch.nn.Embedding(n, 768) for n in (30_522, 512, 2)]
        head = [torch.nn.Linear(768, 768), torch.nn.LayerNorm(768), torch.nn.LayerNorm(768)]
        stack = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        return torch.nn.ModuleList([*tables, *head, stack])


@weights_experiment.knockout
def dense_channels(configuration: str) -> Any:
    """The same model with one block, a dense layer over the channels."""
    return _m2_bert(1)


# Digits: what is learned.

digits = Experiment(
    claim,
    "digits",
    sweep=Sweep("epochs", 5, 20, points=2),
    needs=("torch", "sklearn"),
    criteria=(
        Level("accuracy", of="m2_vit", over="vit", at_least=0.99, within=(20, 20)),
        Level("weights", of="m2_vit", over="vit", at_most=0.7),
    ),
    rounds=5,
    short_rounds=2,
    limit=300.0,
)


@digits.inputs
def pictures(epochs: int, rng: Any, device: str) -> tuple[Any, ...]:
    """Three quarters of the digits to learn from, a quarter to be judged on."""
    import torch
    from sklearn.datasets import load_digits

    found = load_digits()
    images = torch.from_numpy(found.images[:, None]).float() / 16
    labels = torch.from_numpy(found.target)
    order = torch.from_numpy(rng.permutation(len(labels)))
    return images[order], labels[order], epochs, int(rng.integers(2**31))


LEARNED = 1347


@digits.metric
def accuracy(output: Any, expected: Any, *inputs: Any) -> float:
    """Share of unseen digits named rightly."""
    import torch

    images, labels = inputs[:2]
    with torch.no_grad():
        named = output(images[LEARNED:]).argmax(1)
    return float((named == labels[LEARNED:]).double().mean())


digits.metric(weights)


def _train(make: Any, images: Any, labels: Any, epochs: int, seed: int) -> Any:
    import torch

    from tractable._core import note

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    steps = LEARNED // 64
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=epochs * steps)
    for _ in range(epochs):
        for batch in torch.randperm(LEARNED, generator=generator)[: 64 * steps].view(steps, 64):
            loss = torch.nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    note("samples", 64 * steps * epochs)
    return model.eval()


@digits.method
def m2_vit(images: Any, labels: Any, epochs: int, seed: int) -> Any:
    """Two Monarch Mixer layers of width 64 on 16 patches."""
    from tractable.nn.monarch import M2ViT

    return _train(M2ViT, images, labels, epochs, seed)


@digits.baseline
def vit(images: Any, labels: Any, epochs: int, seed: int) -> Any:
    """Two Transformer layers of width 64, four heads, MLPs of 256."""
    return _train(_make_vit, images, labels, epochs, seed)


@digits.knockout
def no_mixing(images: Any, labels: Any, epochs: int, seed: int) -> Any:
    """Monarch layers over the channels alone: patches meet in the mean only."""
    import torch

    from tractable.nn.monarch import M2ViT

    def make() -> Any:
        model = M2ViT()
        for layer in model.stack.layers:
            layer.tokens = Alone()
        return model

    class Alone(torch.nn.Module):
        def forward(self, x: Any, mask: Any = None) -> Any:
            return torch.zeros_like(x)

    return _train(make, images, labels, epochs, seed)


def _make_vit() -> Any:
    import torch
    from torch import nn

    class Vit(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layer = nn.TransformerEncoderLayer(
                *(64, 4, 256, 0.0), activation="gelu", batch_first=True, norm_first=True
            )
            self.embed = nn.Conv2d(1, 64, 2, 2)
            self.positions = nn.Parameter(0.02 * torch.randn(16, 64))
            self.stack = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.norm = nn.LayerNorm(64)
            self.head = nn.Linear(64, 10)

        def forward(self, images: Any) -> Any:
            found = self.embed(images).flatten(2).mT + self.positions
            return self.head(self.norm(self.stack(found)).mean(1))

    return Vit()


# Causality: does a later token reach an earlier one?

causality = Experiment(
    claim,
    "causality",
    sweep=Sweep(
        "layer", instances=("gated convolution", "triangular", "two part", "language model")
    ),
    needs=("torch",),
    criteria=(
        Level("leak", of="causal", at_most=1e-6),
        Level("leak", of="both_directions", at_least=1e-3),
    ),
    rounds=6,
    short_rounds=4,
)


@causality.inputs
def layer_and_rows(layer: str, rng: Any, device: str) -> tuple[Any, ...]:
    """A sequence of 64 tokens of width 8, and a seed."""
    import torch

    rows = torch.from_numpy(rng.standard_normal((1, 64, 8))).float()
    return layer, rows, int(rng.integers(2**31))


def leak(output: Any, expected: Any, *inputs: Any) -> float:
    """The largest derivative of an output by a later input, over that by any input."""
    import torch

    reach = output.abs()
    later = torch.ones(reach.shape).triu(1)
    return float((reach * later).max() / reach.max())


causality.metric(leak)


def _make_layer(layer: str, seed: int) -> Any:
    import torch

    from tractable.nn import monarch as nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: Any
        if layer == "language model":
            config = nn.SMALL._replace(d_model=8, max_len=64)
            made = nn.M2GPT(config).stack
        elif layer == "gated convolution":
            made = nn.MonarchMixerSequence(8, 64, causal=True)
        else:
            mode: Any = layer.replace(" ", "_")
            made = nn.CausalMonarch(8, 64, mode=mode)
            for parameter in made.parameters():
                # Away from the identity, with which it starts.
                parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def _differentiate(made: Any, rows: Any) -> Any:
    """Sizes (64, 64) of the derivatives of outputs (rows) by inputs (columns)."""
    import torch

    found = torch.autograd.functional.jacobian(made, rows)
    return found.abs().amax((0, 2, 3, 5))


@causality.method
def causal(layer: str, rows: Any, seed: int) -> Any:
    """The causal form."""
    return _differentiate(_make_layer(layer, seed), rows)


@causality.baseline
def both_directions(layer: str, rows: Any, seed: int) -> Any:
    """The encoder's layer, which reads both ways: the measure must see it."""
    import torch

    from tractable.nn.monarch import MonarchMixerSequence

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _differentiate(MonarchMixerSequence(8, 64), rows)


@causality.knockout
def on_a_circle(layer: str, rows: Any, seed: int) -> Any:
    """The causal form with evaluation at only as many roots of unity as tokens: it wraps."""
    from unittest import mock

    import torch

    def wrapped(u: Any, k: Any, *, skip: Any = None, **options: Any) -> Any:
        found = torch.fft.irfft(torch.fft.rfft(u) * torch.fft.rfft(k), u.shape[2])
        return found if skip is None else found + skip[:, None] * u

    made = _make_layer(layer, seed)
    places = ("_mixer", "_causal")
    with (
        mock.patch(f"tractable.nn.monarch.{places[0]}.long_conv", wrapped),
        mock.patch(f"tractable.nn.monarch.{places[1]}.long_conv", wrapped),
    ):
        return _differentiate(made, rows)
