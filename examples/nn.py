"""When does a layer of long convolutions pay in place of attention, and what do fewer weights cost?

Two layers mix sequences of growing length; two networks learn digits, dense or Monarch inside.
"""

import time

import torch
from sklearn.datasets import load_digits

from tractable.nn.monarch import MonarchLinear, MonarchMixerSequence

torch.manual_seed(0)
attention = torch.nn.MultiheadAttention(128, 2, batch_first=True).eval()
print("Milliseconds for one sequence, width 128:")
for length in (512, 2048, 8192):
    x, took = torch.randn(1, length, 128), []
    mixer = MonarchMixerSequence(128, length, residual_conv=False).eval()
    for layer, arguments in ((mixer, [x]), (attention, [x, x, x, None, False])):
        with torch.no_grad():
            layer(*arguments)
            started = time.perf_counter()
            layer(*arguments)
        took.append(1000 * (time.perf_counter() - started))
    print(f"  {length:5,} tokens: convolutions {took[0]:7.1f}, attention {took[1]:7.1f}")

x, y = (torch.from_numpy(part) for part in load_digits(return_X_y=True))
x = x.float() / 16
print("\nDigits named rightly after 100 steps, 256 numbers inside:")
for layer in (torch.nn.Linear, MonarchLinear):
    model = torch.nn.Sequential(layer(64, 256), torch.nn.GELU(), layer(256, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[:1200]), y[:1200]).backward()
        optimizer.step()
    right = (model(x[1200:]).argmax(1) == y[1200:]).float().mean()
    weights = sum(p.numel() for p in model.parameters())
    print(f"  {layer.__name__:14} {right:.1%} with {weights:6,} weights")
