"""Golden family of training: vgg_loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ..training.perceptual import PerceptualLoss
from .case import Case, Check, family
from .rule import load_rule_weights


@family("vgg_loss")
@torch.no_grad()
def vgg_loss(case: Case) -> list[Check]:
    """Perceptual loss with rule weights, hashed under torchvision's layer numbers."""
    loss = PerceptualLoss()
    load_rule_weights(loss.features, case.seed, case.gain)
    x, y = case.inputs["x"], case.inputs["y"]
    return list(case.checks({"loss": loss(x, y), "l1": F.l1_loss(x, y)}))
