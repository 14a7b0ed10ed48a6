"""The backbone's network: a small residual network for grey pictures (PyTorch, build time only)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTHS = (24, 32, 64, 128)


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, [n, a, h, w] -> [n, b, h/stride, w/stride]."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.skip: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            pool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            self.skip = nn.Sequential(pool, nn.Conv2d(before, after, 1, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        return functional.relu(self.body(x) + self.skip(x))


class Backbone(nn.Module):
    """f32[n, 1, h, w], normalised -> (features f32[n, 496], map f32[n, 192, h/8, w/8]); h and w multiples of 16.

    The features are the means of every stage's channels, then their standard deviations, stage by stage. The map holds
    the third stage (64 channels) and, enlarged twice, the fourth (128).
    """

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = WIDTHS
        self.stem = nn.Sequential(nn.Conv2d(1, a, 5, 2, 2, bias=False), nn.BatchNorm2d(a), nn.ReLU())
        self.early = nn.Sequential(Residual(a, b, 2), Residual(b, b, 1))
        self.middle = nn.Sequential(Residual(b, c, 2), Residual(c, c, 1))
        self.late = nn.Sequential(Residual(c, d, 2), Residual(d, d, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and map."""
        stem = self.stem(x)
        early = self.early(stem)
        middle = self.middle(early)
        late = self.late(middle)
        features = torch.cat([_pooled(stage) for stage in (stem, early, middle, late)], 1)
        enlarged = functional.interpolate(late, scale_factor=2.0, mode="bilinear", align_corners=False)
        return features, torch.cat([middle, enlarged], 1)


def _pooled(stage: Tensor) -> Tensor:
    """Mean and standard deviation over the picture, [n, c, h, w] -> [n, 2c]."""
    mean = stage.mean((2, 3), keepdim=True)
    variance = ((stage - mean) ** 2).mean((2, 3))
    return torch.cat([mean.flatten(1), torch.sqrt(variance + 1e-5)], 1)


class Pretext(nn.Module):
    """The backbone under its training heads: texture class, defect kind, and the defect's place on the map."""

    def __init__(self, textures: int, defects: int) -> None:
        super().__init__()
        self.backbone = Backbone()
        size = 2 * sum(WIDTHS)
        self.norm = nn.BatchNorm1d(size)
        self.drop = nn.Dropout(0.2)
        self.texture = nn.Linear(size, textures)
        self.defect = nn.Linear(size, defects)
        self.place = nn.Conv2d(WIDTHS[2] + WIDTHS[3], defects - 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """f32[n, 1, h, w] -> logits [n, textures], [n, defects], [n, defects - 1, h/8, w/8]."""
        features, grid = self.backbone(x)
        features = self.drop(self.norm(features.float()))
        return self.texture(features), self.defect(features), self.place(grid)
