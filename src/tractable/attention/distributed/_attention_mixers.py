"""Members of the template whose matrix compares or weighs tokens: attention and its kin."""

import math

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from torch import Tensor, nn

from tractable._core.checks import check_integer
from tractable.attention.distributed._template import MixerShape, TokenMixer, register_mixer

CHUNK = 128
"""Tokens of a chunk of running sums."""
STEPS = 6
"""Newton-Schulz steps of a pseudoinverse."""
FLOOR = 1e-6
"""Added to random features, so that no row sums to zero."""


class HeadMixer(TokenMixer):
    """Values are a projection, cut into heads; the read-out joins and projects them."""

    def __init__(self, shape: MixerShape) -> None:
        """Make the two projections."""
        super().__init__(shape)
        self.value = nn.Linear(shape.dim, shape.dim)
        self.out = nn.Linear(shape.dim, shape.dim)

    @property
    def width(self) -> int:
        """Of a head."""
        return self.shape.dim // self.shape.heads

    def split(self, x: Tensor) -> Tensor:
        """Turn (B, L, D) into (B, H, L, d)."""
        return torch.unflatten(x, -1, (self.shape.heads, -1)).transpose(1, 2)

    def values(self, x: Tensor) -> Tensor:
        """V = X W."""
        return self.split(self.value(x))

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Join the heads."""
        joined: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined


def later(length: int, device: torch.device) -> Tensor:
    """(L, L), True where the column comes later than the row."""
    return torch.ones(length, length, dtype=torch.bool, device=device).triu(1)


class SoftmaxMixer(HeadMixer):
    """Attention: A = softmax(Q K^T / sqrt d)."""

    def __init__(self, shape: MixerShape) -> None:
        """Add queries and keys."""
        super().__init__(shape)
        self.query = nn.Linear(shape.dim, shape.dim)
        self.key = nn.Linear(shape.dim, shape.dim)

    def queries_and_keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Q / sqrt d and K."""
        return self.split(self.query(x)) / math.sqrt(self.width), self.split(self.key(x))

    def scores(self, x: Tensor) -> Tensor:
        """Q K^T / sqrt d, -inf where a token may not read."""
        query, key = self.queries_and_keys(x)
        scores = query @ key.mT
        if self.shape.causal:
            scores = scores.masked_fill(later(x.shape[1], x.device), -torch.inf)
        return scores

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Torch's fused attention."""
        query, key = self.queries_and_keys(x)
        return F.scaled_dot_product_attention(
            query, key, values, is_causal=self.shape.causal, scale=1.0
        )

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """Rows that sum to one."""
        return self.scores(x).softmax(-1)

    def flops(self, length: int) -> int:
        """Scores and their product with values."""
        return 4 * self.shape.dim * length**2


class LocalMixer(SoftmaxMixer):
    """Attention to the tokens at most `window` away."""

    def __init__(self, shape: MixerShape, window: int = 16) -> None:
        """Add the window."""
        super().__init__(shape)
        self.window = check_integer("window", window, low=0)

    def near(self, tensor: Tensor) -> Tensor:
        """(B, H, L, x) to (B, H, L, x, steps): each token's neighbours, zeros beyond the ends."""
        after = 0 if self.shape.causal else self.window
        padded = F.pad(tensor, (0, 0, self.window, after))
        return padded.unfold(2, self.window + 1 + after, 1)

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """A band of scores."""
        query, key = self.queries_and_keys(x)
        scores = torch.einsum("bhld,bhldw->bhlw", query, self.near(key))
        real = self.near(torch.ones_like(key[..., :1]))[..., 0, :] > 0
        weights = scores.masked_fill(~real, -torch.inf).softmax(-1)
        return torch.einsum("bhlw,bhlew->bhle", weights, self.near(values))

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """The band, masked."""
        place = torch.arange(x.shape[1], device=x.device)
        far = (place - place[:, None]).abs() > self.window
        return self.scores(x).masked_fill(far, -torch.inf).softmax(-1)

    def flops(self, length: int) -> int:
        """A window of scores a token."""
        steps = self.window * (1 if self.shape.causal else 2) + 1
        return 4 * self.shape.dim * length * steps


class LinearMixer(SoftmaxMixer):
    """Kernel attention: A = D^-1 phi(Q) phi(K)^T with phi = elu + 1, multiplied from the right."""

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """phi(Q) and phi(K)."""
        query, key = self.split(self.query(x)), self.split(self.key(x))
        return F.elu(query) + 1, F.elu(key) + 1

    def rank(self) -> int:
        """Features of a head."""
        return self.width

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """phi(Q) (phi(K)^T V), in chunks of prefix sums where it is causal."""
        query, key = self.features(x)
        # A column of ones makes the row sums.
        filled = torch.cat((values, torch.ones_like(values[..., :1])), -1)
        if self.shape.causal:
            out = self.mix_causally(query, key, filled)
        else:
            out = query @ (key.mT @ filled)
        return out[..., :-1] / out[..., -1:]

    @staticmethod
    def mix_causally(query: Tensor, key: Tensor, filled: Tensor) -> Tensor:
        """Each chunk reads the sums of all before it, and itself through a triangle."""
        outs = []
        state = torch.zeros_like(key[:, :, :1].mT @ filled[:, :, :1])
        for q, k, v in zip(*(torch.split(t, CHUNK, 2) for t in (query, key, filled)), strict=True):
            outs.append(q @ state + (q @ k.mT).tril() @ v)
            state = state + k.mT @ v
        return torch.cat(outs, 2)

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """Rows that sum to one, of rank at most that of the features."""
        query, key = self.features(x)
        weights = query @ key.mT
        if self.shape.causal:
            weights = weights.tril()
        return weights / weights.sum(-1, keepdim=True)

    def flops(self, length: int) -> int:
        """Two thin products."""
        return 4 * self.shape.heads * length * self.rank() * (self.width + 1)


class PerformerMixer(LinearMixer):
    """Kernel attention whose positive random features stand for exp(q k / sqrt d)."""

    directions: Tensor

    def __init__(self, shape: MixerShape, features: int = 256, seed: int = 0) -> None:
        """Draw directions: blocks of d orthogonal ones with the lengths of Gaussian vectors."""
        super().__init__(shape)
        self.count = check_integer("features", features, low=1)
        generator = torch.Generator().manual_seed(seed)
        blocks = [
            torch.linalg.qr(torch.randn(self.width, self.width, generator=generator))[0]
            for _ in range(-(-self.count // self.width))
        ]
        lengths = torch.randn(self.count, self.width, generator=generator).norm(dim=1)
        self.register_buffer("directions", torch.cat(blocks)[: self.count] * lengths[:, None])

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """exp(W x - |x|^2 / 2) of both, up to factors that cancel."""
        query, key = self.levels(self.query(x)), self.levels(self.key(x))
        query = query - query.amax(-1, keepdim=True)
        # The largest of all keys would tell earlier tokens about later ones.
        if not self.shape.causal:
            key = key - key.amax((-2, -1), keepdim=True)
        return query.exp() + FLOOR, key.exp() + FLOOR

    def levels(self, projected: Tensor) -> Tensor:
        """W x - |x|^2 / 2 for x over the fourth root of d."""
        part = self.split(projected) * math.pow(self.width, -0.25)
        return part @ self.directions.mT - part.square().sum(-1, keepdim=True) / 2

    def rank(self) -> int:
        """Random directions."""
        return self.count


class LinformerMixer(SoftmaxMixer):
    """Attention to `rank` learned mixtures of tokens: softmax(Q (E K)^T / sqrt d) (F V)."""

    can_be_causal = False

    def __init__(self, shape: MixerShape, rank: int = 256) -> None:
        """Add E and F."""
        super().__init__(shape)
        self.rank = check_integer("rank", rank, low=1)
        for name in ("shrink_key", "shrink_value"):
            weight = torch.randn(self.rank, shape.max_len) / math.sqrt(shape.max_len)
            self.register_parameter(name, nn.Parameter(weight))
        self.shrink_key: nn.Parameter
        self.shrink_value: nn.Parameter

    def values(self, x: Tensor) -> Tensor:
        """F V."""
        return self.shrink_value[:, : x.shape[1]] @ super().values(x)

    def scores(self, x: Tensor) -> Tensor:
        """Q (E K)^T / sqrt d."""
        query, key = self.queries_and_keys(x)
        return query @ (self.shrink_key[:, : x.shape[1]] @ key).mT

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Attention to the mixtures."""
        return self.scores(x).softmax(-1) @ values

    def flops(self, length: int) -> int:
        """Mixtures of keys, scores and their product."""
        return 6 * self.shape.dim * length * self.rank


class NystromMixer(SoftmaxMixer):
    """Attention through landmarks: softmax(Q K'^T) pinv(softmax(Q' K'^T)) softmax(Q' K^T)."""

    can_be_causal = False

    def __init__(self, shape: MixerShape, landmarks: int = 64) -> None:
        """Add how many landmarks, the means of as many runs of tokens, there are."""
        super().__init__(shape)
        self.landmarks = check_integer("landmarks", landmarks, low=1)

    def factors(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three factors."""
        query, key = self.queries_and_keys(x)
        count = min(self.landmarks, x.shape[1])
        few_queries, few_keys = (
            F.adaptive_avg_pool1d(t.flatten(0, 1).mT, count).mT.reshape(*t.shape[:2], count, -1)
            for t in (query, key)
        )
        core = (few_queries @ few_keys.mT).softmax(-1)
        return (query @ few_keys.mT).softmax(-1), invert(core), (few_queries @ key.mT).softmax(-1)

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Three thin products from the right."""
        left, core, right = self.factors(x)
        return left @ (core @ (right @ values))

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """Their product."""
        left, core, right = self.factors(x)
        return left @ core @ right

    def flops(self, length: int) -> int:
        """Scores with landmarks on both sides, their products, and the inverse's four a step."""
        count = min(self.landmarks, length)
        inverse = self.shape.heads * STEPS * 4 * 2 * count**3
        return 8 * self.shape.dim * length * count + inverse


def invert(matrix: Tensor) -> Tensor:
    """The pseudoinverse by Newton-Schulz steps of third order."""
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    rows, columns = matrix.abs().sum(-1).amax(-1), matrix.abs().sum(-2).amax(-1)
    found = matrix.mT / (rows * columns)[..., None, None]
    for _ in range(STEPS):
        product = matrix @ found
        inner = 15 * eye - product @ (7 * eye - product)
        found = found @ (13 * eye - product @ inner) / 4
    return found


class SynthesizerMixer(HeadMixer):
    """Attention with learned scores that no token has a say in: A = softmax(R)."""

    def __init__(self, shape: MixerShape) -> None:
        """Add R."""
        super().__init__(shape)
        self.scores = nn.Parameter(torch.randn(shape.heads, shape.max_len, shape.max_len))

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """The product itself."""
        return self.mixing_matrix(x) @ values

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """The same for every sequence."""
        length = x.shape[1]
        scores = self.scores[None, :, :length, :length]
        if self.shape.causal:
            scores = scores.masked_fill(later(length, x.device), -torch.inf)
        return scores.softmax(-1)

    def flops(self, length: int) -> int:
        """One product."""
        return 2 * self.shape.dim * length**2


class AftSimpleMixer(TokenMixer):
    """Attention-free: every channel weighs tokens by softmax of its own keys, gated by queries."""

    def __init__(self, shape: MixerShape) -> None:
        """Make the projections."""
        super().__init__(shape)
        self.query, self.key, self.value, self.out = (
            nn.Linear(shape.dim, shape.dim) for _ in range(4)
        )

    def values(self, x: Tensor) -> Tensor:
        """(B, D, L, 1): every channel is a head."""
        values: Tensor = self.value(x)
        return values.mT[..., None]

    def mix(self, x: Tensor, values: Tensor) -> Tensor:
        """Weighted sums; running ones, chunk by chunk, where it is causal."""
        key: Tensor = self.key(x).mT[..., None]
        if self.shape.causal:
            return self.mix_causally(key, values)
        return (key.softmax(2) * values).sum(2, keepdim=True).expand_as(values)

    @staticmethod
    def mix_causally(key: Tensor, values: Tensor) -> Tensor:
        """Carry the mean of all earlier tokens and the logarithm of its weight."""
        outs = []
        mean = torch.zeros_like(values[:, :, :1])
        mass = torch.full_like(key[:, :, :1], -torch.inf)
        for k, v in zip(torch.split(key, CHUNK, 2), torch.split(values, CHUNK, 2), strict=True):
            level = torch.logaddexp(mass, k.logcumsumexp(2))
            weights = (k.mT - level).masked_fill(later(k.shape[2], k.device), -torch.inf).exp()
            outs.append(weights @ v + (mass - level).exp() * mean)
            mean, mass = outs[-1][:, :, -1:], level[:, :, -1:]
        return torch.cat(outs, 2)

    def mixing_matrix(self, x: Tensor) -> Tensor:
        """Equal rows, or growing ones."""
        key: Tensor = self.key(x).mT[:, :, None].expand(-1, -1, x.shape[1], -1)
        if self.shape.causal:
            key = key.masked_fill(later(x.shape[1], x.device), -torch.inf)
        return key.softmax(-1)

    def read_out(self, x: Tensor, mixed: Tensor) -> Tensor:
        """Gate by sigmoid(Q)."""
        gated: Tensor = self.out(torch.sigmoid(self.query(x)) * mixed[..., 0].mT)
        return gated

    def flops(self, length: int) -> int:
        """Two sums a channel, or a triangle a chunk."""
        return (2 * CHUNK if self.shape.causal else 4) * self.shape.dim * length


for _name, _member in {
    "softmax": SoftmaxMixer,
    "local": LocalMixer,
    "linear": LinearMixer,
    "performer": PerformerMixer,
    "linformer": LinformerMixer,
    "nystrom": NystromMixer,
    "synthesizer": SynthesizerMixer,
    "aft_simple": AftSimpleMixer,
}.items():
    register_mixer(_name, _member)
