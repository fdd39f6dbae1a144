"""Which sign a weight takes when a layer has only two or three values, and what each sign is worth."""

import torch
from torch import Tensor

TWN_THRESHOLD = 0.7  # of mean |w| (Li, Zhang and Liu 2016, equation 6)
TTQ_THRESHOLD = 0.05  # of max |w| (Zhu et al. 2017, section 4.1)


def binary_signs(weight: Tensor) -> Tensor:
    """-1 or 1 for every weight, int8 of its shape; 0 counts as positive (Courbariaux et al. 2015, equation 1)."""
    return torch.where(weight < 0, -1, 1).to(torch.int8)


def ternary_signs(weight: Tensor, threshold: float) -> Tensor:
    """-1, 0 or 1 for every weight, int8 of its shape; 0 where |w| <= threshold."""
    return ((weight > threshold).to(torch.int8) - (weight < -threshold).to(torch.int8)).to(torch.int8)


def twn_signs(weight: Tensor) -> Tensor:
    """The signs of a ternary weight network: 0 within 0.7 of the mean magnitude."""
    return ternary_signs(weight, TWN_THRESHOLD * float(weight.abs().double().mean()))


def ttq_signs(weight: Tensor) -> Tensor:
    """The signs of trained ternary quantization: 0 within a twentieth of the largest magnitude."""
    return ternary_signs(weight, TTQ_THRESHOLD * float(weight.abs().max()))


def sparse_signs(weight: Tensor, zeros: float) -> Tensor:
    """Signs of which a given share is 0: those of the smallest magnitudes (Zhu et al. 2017, section 4.1: a constant
    sparsity instead of a threshold). Magnitudes that tie with the largest of them are 0 too."""
    count = round(zeros * weight.numel())
    return ternary_signs(weight, float(weight.abs().flatten().kthvalue(count).values) if count else 0.0)


def one_scale(weight: Tensor, signs: Tensor) -> Tensor:
    """The mean magnitude of all weights that have a sign, for both signs alike: float64 [2].

    It minimises the squared error of scale * sign (Rastegari et al. 2016, equation 6; Li, Zhang and Liu 2016, equation
    5). 1 where no weight has a sign.
    """
    scale = _mean(weight[signs != 0])
    return torch.stack((scale, scale))


def two_scales(weight: Tensor, signs: Tensor) -> Tensor:
    """The mean magnitude of the negative and of the positive weights: float64 [2]."""
    return torch.stack((_mean(weight[signs < 0]), _mean(weight[signs > 0])))


def valued(signs: Tensor, scales: Tensor) -> Tensor:
    """The weights that signs and scales stand for: float32 of the signs' shape."""
    negative, positive = scales.to(torch.float32)
    return torch.where(signs < 0, -negative, positive) * (signs != 0)


def _mean(weights: Tensor) -> Tensor:
    return weights.abs().double().mean() if weights.numel() else torch.ones((), dtype=torch.float64)
