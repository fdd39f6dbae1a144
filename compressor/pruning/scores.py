"""What a weight is worth: its magnitude, LAMP's share of what is left of its layer, or either per what it costs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from compressor.pruning.costs import coded_bits


def magnitude_scores(weight: Tensor) -> Tensor:
    """|w|, compared over the whole network."""
    return weight.detach().abs()


def lamp_scores(weight: Tensor) -> Tensor:
    """w^2 / sum of v^2 over the layer's v with |v| >= |w| (Lee et al. 2021, equation 3): float32, any shape.

    The largest weight of every layer scores 1, so that no layer is emptied.
    """
    squares = weight.detach().flatten().double().square()
    ordered, order = squares.sort(stable=True)
    left = ordered.flip(0).cumsum(0).flip(0)
    scores = torch.empty_like(squares)
    scores[order] = ordered / left.clamp_min(torch.finfo(torch.float64).tiny)
    return scores.float().reshape(weight.shape)


@dataclass(frozen=True, slots=True)
class Score:
    """The importance of a weight over the price of keeping one of its layer.

    Attributes:
        importance: of every weight of a layer, of its shape.
        price: of one weight that is kept, by its layer's density (0..1) and output pixels.
        wants_pixels: whether the price depends on the output pixels.
    """

    importance: Callable[[Tensor], Tensor]
    price: Callable[[float, int], float] = lambda density, pixels: 1.0
    wants_pixels: bool = False

    def of(self, weight: Tensor, density: float, pixels: int = 1) -> Tensor:
        """The score of every weight of a layer, compared over the whole network."""
        return self.importance(weight) / self.price(density, pixels)


SCORES: dict[str, Score] = {
    "magnitude": Score(magnitude_scores),
    "lamp": Score(lamp_scores),
    "bytes": Score(magnitude_scores, lambda density, pixels: coded_bits(density)),
    "macs": Score(magnitude_scores, lambda density, pixels: float(pixels), wants_pixels=True),
}


def masks_by_score(scores: Mapping[str, Tensor], sparsity: float, floors: Mapping[str, float]) -> dict[str, Tensor]:
    """Keep the best (1 - sparsity) of all weights, but at least the share `floors[name]` of each tensor, and one.

    Args:
        scores: parameter name -> score of every weight, higher is better.
    """
    guarded = {name: _guard(score, floors[name]) for name, score in scores.items()}
    flat = torch.cat([score.flatten() for score in guarded.values()])
    kept = max(round((1 - sparsity) * len(flat)), int(flat.isinf().sum()))
    mask = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    mask[flat.topk(kept, sorted=False).indices] = True  # by count, not by a border: equal scores may lie on it
    parts = mask.split([score.numel() for score in scores.values()])
    return {name: part.reshape(score.shape) for (name, score), part in zip(scores.items(), parts, strict=True)}


def _guard(score: Tensor, floor: float) -> Tensor:
    """Infinite scores for the best `floor` of a tensor's weights."""
    count = max(1, round(floor * score.numel()))
    best = score.flatten().topk(count, sorted=False).indices
    guarded = score.flatten().clone()
    guarded[best] = torch.inf
    return guarded.reshape(score.shape)
