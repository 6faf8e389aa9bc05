"""Monarch Mixer: layers whose cost grows more slowly than the square of length and width.

A Monarch matrix is a product of block-diagonal matrices and fixed permutations; the Fourier
transform is one. Over the sequence, two of them and a product between make a convolution as long
as the sequence, which stands in for attention; over the channels, they stand in for the dense
layers of the MLP.

Paper: Daniel Y. Fu, Simran Arora, Jessica Grogan, Isys Johnson, Sabri Eyuboglu, Armin W. Thomas,
Benjamin Spector, Michael Poli, Atri Rudra and Christopher Ré, "Monarch Mixer: A Simple
Sub-Quadratic GEMM-Based Architecture", 2023. https://arxiv.org/abs/2310.12109
Symbols: N size of a matrix, p order (number of factors), b size of a block, B batch, C or D
channels, L tokens, u input, k taps of a long filter, T1 to T3 the changes of basis of the causal
form.
Departures: on real rows the transform has half the paper's length, on a circle whose seam turns
by a right angle instead of zeros as long as the sequence. Factors of `MonarchLinear` are drawn
directly, not projected from a dense draw. Block-diagonal layers shuffle their outputs by default,
so that groups of channels meet; the official M2-BERT does not, and `M2Config` follows it there.
Padding is masked out of every convolution. The causal form shares its changes of basis between
channels, has triangular blocks, and stands beside M2GPT, which uses causal gated convolutions.
Pretrained quality (GLUE, ImageNet, The Pile) is not reproduced.
"""

from tractable.nn.monarch._causal import CausalMonarch
from tractable.nn.monarch._convolution import long_conv
from tractable.nn.monarch._factors import monarch_matmul, project_to_monarch
from tractable.nn.monarch._fft import monarch_dft_factors, monarch_fft
from tractable.nn.monarch._filter import FilterOptions, ImplicitFilter, parameter_groups
from tractable.nn.monarch._linear import BlockDiagonalLinear, MonarchLinear
from tractable.nn.monarch._mixer import (
    MonarchMixerBlock,
    MonarchMixerChannel,
    MonarchMixerSequence,
)
from tractable.nn.monarch._models import (
    M2GPT,
    SMALL,
    M2Bert,
    M2Config,
    M2ViT,
    load_m2_bert_state_dict,
)
from tractable.nn.monarch._reference import reference, reference_matrix

__all__ = [
    "M2GPT",
    "SMALL",
    "BlockDiagonalLinear",
    "CausalMonarch",
    "FilterOptions",
    "ImplicitFilter",
    "M2Bert",
    "M2Config",
    "M2ViT",
    "MonarchLinear",
    "MonarchMixerBlock",
    "MonarchMixerChannel",
    "MonarchMixerSequence",
    "load_m2_bert_state_dict",
    "long_conv",
    "monarch_dft_factors",
    "monarch_fft",
    "monarch_matmul",
    "parameter_groups",
    "project_to_monarch",
    "reference",
    "reference_matrix",
]
