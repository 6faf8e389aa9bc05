"""Needle recall of HiP attention on a small rotary decoder, up to 131,072 tokens.

The text is records, one about each name, of 64 to 192 tokens: the name, words, the name again
here and there, and four facts, an attribute and its value. A question gives a name and an
attribute and wants the value. There are as many records as fit, so the needles are many and all
alike. Needles are of two kinds: `in a record`, where only the record tells whose fact it is, and
`alone`, where the name stands before the fact and nothing else has to remember it. The decoder
learns on texts that end in hundreds of questions, with dense attention, from short texts to long
ones; HiP takes no part in the training.

The exam: read the text with HiP, then each of its questions on its own, as a chunk of four
tokens (`prefill`) and token by token (`decode`). Dense attention sits the same exam.

Run in pieces, weights in a file:
`python benchmarks/hip_needles.py train FILE [LENGTH:STEPS:SHORTEST ...]`, then
`python benchmarks/hip_needles.py exam FILE [LENGTH ...]`.
"""

import sys
import time
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812 (the field's own name)
from decoder import SMALL, Decoder
from torch import Tensor

from tractable.attention.hip import hip_attention

HALVES, ATTRIBUTES, VALUES, WORDS = 64, 8, 256, 512
"""Tokens of each kind; a name is one of the first halves and one of the second ones."""
NAMES = HALVES * HALVES
ATTRIBUTE = 2 * HALVES
VALUE = ATTRIBUTE + ATTRIBUTES
WORD = VALUE + VALUES
ASK, STOP = WORD + WORDS, WORD + WORDS + 1
FACTS = 4
SHORTEST = 64
ALONE = 0.25
"""Share of a learnt text's facts that repeat the name."""
LISTENED = 256
"""Tokens of a text whose next ones are learnt too."""
QUESTION = 6
"""Ask, both halves of a name, attribute, value, stop."""


class Facts(NamedTuple):
    """What the records of some texts say: names (B, R), attributes and values (B, R, F)."""

    names: Tensor
    attributes: Tensor
    values: Tensor
    whole: Tensor
    """Records of each text that are not cut off at its end."""


def split(name):
    """The two tokens of a name."""
    return name // HALVES, HALVES + name % HALVES


def write(batch, length, generator, shortest=SHORTEST, alone=0.0):
    """Texts (batch, length) of records of `shortest` to thrice as many tokens, and their facts.

    A share `alone` of the facts has the name again in front of it.
    """
    device = generator.device

    def draw(high, *shape):
        return torch.randint(high, shape, generator=generator, device=device)

    def shuffle(*shape):
        return torch.rand(shape, generator=generator, device=device).argsort(-1)

    facts = max(1, min(FACTS, shortest // 16))
    records = min(length // shortest + 1, NAMES)
    sizes = shortest + draw(2 * shortest + 1, batch, records)
    ends = sizes.cumsum(1)
    starts = ends - sizes
    names = shuffle(batch, NAMES)[:, :records]
    place = torch.arange(length, device=device).expand(batch, length).contiguous()
    record = torch.searchsorted(ends, place, right=True)
    text = WORD + draw(WORDS, batch, length)
    named = (place == starts.gather(1, record)) | (draw(16, batch, length) == 0)
    named &= place + 1 < ends.gather(1, record)
    after = F.pad(named[:, :-1], (1, 0))
    first, second = split(names.gather(1, record))
    text = torch.where(named, first, text)
    text = torch.where(after, second, text)
    # A fact has four tokens of a stretch of eight; stretches are drawn without repetition.
    cells = shortest // 8
    spots = shuffle(batch, records, cells)[..., :facts] * (sizes // cells)[..., None]
    spots = starts[..., None] + spots + 2 + draw(3, batch, records, facts)
    attributes = shuffle(batch, records, ATTRIBUTES)[..., :facts]
    values = draw(VALUES, batch, records, facts)
    inside = (ends <= length)[..., None].expand_as(spots)
    row = torch.arange(batch, device=device)[:, None, None].expand_as(spots)
    whole = inside & (torch.rand(spots.shape, generator=generator, device=device) < alone)
    for token, said in enumerate(split(names[..., None].expand_as(spots))):
        text[row[whole], spots[whole] + token] = said[whole]
    for token, said in ((2, ATTRIBUTE + attributes), (3, VALUE + values)):
        text[row[inside], spots[inside] + token] = said[inside]
    return text, Facts(names, attributes, values, (ends <= length).sum(1))


def ask(facts, count, generator):
    """Questions (batch, count, QUESTION), no two about one fact, and which of them are real."""
    batch, records, each = facts.values.shape
    device = facts.names.device
    order = torch.rand(batch, records * each, generator=generator, device=device)
    real = torch.arange(records * each, device=device) // each < facts.whole[:, None]
    order = torch.where(real, order, 2.0).argsort(1)[:, :count]
    real = real.gather(1, order)
    name = facts.names.gather(1, order // each)
    attribute = facts.attributes.flatten(1).gather(1, order)
    value = facts.values.flatten(1).gather(1, order)
    ends = torch.full_like(name, ASK), torch.full_like(name, STOP)
    parts = (ends[0], *split(name), ATTRIBUTE + attribute, VALUE + value, ends[1])
    return torch.stack(parts, 2), real


def dense(layer, query, key, value):
    square = query.shape[2] == key.shape[2]
    if not square and query.shape[2] > 1:
        size = (query.shape[2], key.shape[2])
        allowed = torch.ones(size, dtype=torch.bool, device=query.device).tril(size[1] - size[0])
        return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    return F.scaled_dot_product_attention(query, key, value, is_causal=square)


def train(file, plan):
    torch.manual_seed(0)
    model = Decoder(SMALL).cuda()
    for name, weight in model.named_parameters():
        if "embed" in name:
            torch.nn.init.normal_(weight)
        elif weight.ndim == 2:
            added = (2 * SMALL.layers) ** -0.5 if "merge" in name or "fall" in name else 1.0
            torch.nn.init.normal_(weight, std=added * weight.shape[1] ** -0.5)
    step = 0
    try:
        held = torch.load(file)
        model.load_state_dict(held["model"])
        step = held["step"]
    except FileNotFoundError:
        pass
    matrices = [w for n, w in model.named_parameters() if w.ndim == 2 and "embed" not in n]
    others = [w for n, w in model.named_parameters() if w.ndim == 1 or "embed" in n]
    optimisers = (
        torch.optim.Muon(matrices, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    )
    generator = torch.Generator("cuda").manual_seed(step + 1)
    for length, steps, shortest in plan:
        batch = max(1, TOKENS // length)
        each = max(1, min(FACTS, shortest // 16))
        count = min(512, length * each // (2 * shortest + QUESTION * each))
        begun = time.perf_counter()
        right = torch.zeros((), device="cuda")
        peak = 3e-3 if length <= 2**12 else 1e-3
        for now in range(steps):
            rate = peak * min(1.0, (now + 1) / 50) * (1 - 0.9 * now / steps)
            for optimiser in optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = rate
            text, facts = write(batch, length - QUESTION * count, generator, shortest, ALONE)
            questions, real = ask(facts, count, generator)
            tokens = torch.cat((text, questions.flatten(1)), 1)
            with torch.autocast("cuda", torch.bfloat16):
                hidden = model(tokens[:, :-1], dense)
                answers = hidden[:, text.shape[1] :][:, 3::QUESTION]
                logits = model.logits(answers)[real][:, VALUE : VALUE + VALUES]
                # The text's own next tokens: the name comes again, so every token learns it.
                some = torch.randint(text.shape[1] - 1, (LISTENED,), device="cuda")
                said = model.logits(hidden[:, some])
            wanted = questions[..., 4][real] - VALUE
            loss = F.cross_entropy(logits.float(), wanted)
            spoken = F.cross_entropy(said.float().flatten(0, 1), text[:, some + 1].flatten())
            loss = loss + spoken
            model.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimiser in optimisers:
                optimiser.step()
            right = 0.95 * right + 0.05 * (logits.argmax(-1) == wanted).float().mean()
            if now % max(1, steps // 8) == 0 or now == steps - 1:
                taken = time.perf_counter() - begun
                print(
                    f"{length:7} {shortest:3} {now:5} losses {(loss - spoken).item():.3f} "
                    f"{spoken.item():.3f} right {right.item():.3f} {taken:.0f} s",
                    flush=True,
                )
        step += steps
        state = {name: weight.half() for name, weight in model.state_dict().items()}
        torch.save({"model": state, "step": step}, file)


class Reader:
    """A text that was read once, and questions to it that leave no trace."""

    def __init__(self, model, text, attend, attend_later):
        """Read the text."""
        self.model, self.attend_later = model, attend_later
        self.held = []

        def keep(layer, query, key, value):
            self.held.append((key, value))
            return attend(layer, query, key, value)

        model(text, keep)
        self.length = text.shape[1]

    def answer(self, question, one_by_one):
        """The value that the model gives after ask, name and attribute."""
        added = list(self.held)

        def attend(layer, query, key, value):
            added[layer] = tuple(
                torch.cat((old, new), 2)
                for old, new in zip(added[layer], (key, value), strict=True)
            )
            return self.attend_later(layer, query, *added[layer])

        pieces = question[:, :4].split(1 if one_by_one else 4, 1)
        place = self.length
        for piece in pieces:
            hidden = self.model(piece, attend, place)
            place += piece.shape[1]
        logits = self.model.logits(hidden[0, -1])[VALUE : VALUE + VALUES]
        return VALUE + int(logits.argmax())


def load(file):
    model = Decoder(SMALL).cuda().half()
    model.load_state_dict(torch.load(file)["model"])
    return model.eval()


def sit(model, length, alone, dense_layers, options, *, texts=2, count=64):
    """Share of right answers: read by HiP, asked in chunks and token by token."""

    def attend(layer, query, key, value):
        if options is None or layer in dense_layers:
            return dense(layer, query, key, value)
        return hip_attention(query, key, value, **options)

    right = [0, 0]
    for seed in range(texts):
        generator = torch.Generator("cuda").manual_seed(10_000 + seed)
        text, facts = write(1, length - 4, generator, alone=alone)
        questions, _ = ask(facts, count, generator)
        reader = Reader(model, text, attend, attend)
        for i in range(count):
            for how in (0, 1):
                right[how] += reader.answer(questions[:, i], bool(how)) == int(questions[0, i, 4])
    return [r / (texts * count) for r in right]


def exam(file, lengths):
    model = load(file)
    for length in lengths:
        for alone, kind in ((0.0, "in a record"), (1.0, "alone")):
            plain = sit(model, length, alone, (), None)
            print(f"{length:7} needles {kind:11} dense {plain[0]:.3f} {plain[1]:.3f}", flush=True)
            for layers in ((0,),):
                for share in (64, 32, 16, 8, 4, 2):
                    for shape in ({}, {"block_q": 64, "stride_q": 4, "stride_k": 2}):
                        budget = length // share
                        options = {"budget": budget, "dense_queries": 2 * budget, **shape}
                        got = sit(model, length, alone, layers, options)
                        lost = [g / max(p, 1e-9) for g, p in zip(got, plain, strict=True)]
                        print(
                            f"{length:7} needles {kind:11} dense layers {layers!s:6} {options} "
                            f"right {got[0]:.3f} {got[1]:.3f}, of dense {lost[0]:.3f} "
                            f"{lost[1]:.3f}",
                            flush=True,
                        )


PLAN = (
    (2**8, 2000, 8),
    (2**9, 1000, 32),
    (2**10, 1500, 64),
    (2**12, 400, 64),
    (2**14, 200, 64),
    (2**16, 100, 64),
    (2**17, 60, 64),
)
"""Tokens of a text, steps, and tokens of the shortest record."""
TOKENS = 2**15
"""Tokens of a step."""


def main():
    what, file, *rest = sys.argv[1:]
    if what == "train":
        train(file, [tuple(map(int, word.split(":"))) for word in rest] or PLAN)
    else:
        with torch.no_grad():
            exam(file, [int(word) for word in rest] or [2**13, 2**15, 2**17])


if __name__ == "__main__":
    main()
