"""The stages of the embedded default in order, what each takes of a budget, and what became of earlier ones."""

from __future__ import annotations

from collections.abc import Mapping

from ladivton_core.training.stage import TrainingStage, WorkStage

from .finish import Finish
from .latents import Latents
from .tryon import TryOn
from .vae import Vae
from .vision import Vision
from .warping import Refinement, Tps
from .words import Words
from .world import World

STAGES: Mapping[str, type[TrainingStage] | type[WorkStage]] = {
    "world": World,
    "vae": Vae,
    "tps": Tps,
    "vision": Vision,
    "words": Words,
    "refinement": Refinement,
    "extract": Latents,
    "tryon": TryOn,
    "finish": Finish,
}
BESIDE = ("tps", "vision", "words")
"""Stages that may run in a second process beside the others: they are small, and nothing waits for them at first."""
SHARES = {
    "world": 0.15,
    "vae": 0.17,
    "tps": 0.2,
    "vision": 0.09,
    "words": 0.06,
    "refinement": 0.165,
    "extract": 0.04,
    "tryon": 0.3,
    "finish": 0.21,
}
"""Of a budget's time, where world and `BESIDE` run beside the rest, which comes to nine tenths."""
SUPERSEDED = {
    "refinement_finish": "refinement, which sees whole pictures from its first step",
    "extract_small": "tryon: its words are taught by `words` and by the UNet on full-size latents",
    "inversion": "words and tryon: the words learn first what a garment looks like, then with the UNet",
    "emasc": "vae, which trains EMASC with the autoencoder, and finish",
    "tryon_finish": "tryon, which goes on to what the UNet samples itself",
    "sample": "finish, which samples while it trains",
    "decoder": "finish, which trains decoder, EMASC and UNet together on decoded pictures",
}
"""Stages the embedded default once had, and what does their work."""
