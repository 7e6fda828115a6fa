"""What people and garments are once encoded, and what a try-on gives back: the values that `pipeline.py` hands around.

Paper section 3. Each is a batch; an encoding of one serves any number (`expanded`).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from .denoising.conditioning import masked_image


@dataclass(frozen=True)
class GarmentEncoding:
    """What a garment contributes, whoever wears it.

    Attributes:
        garment: (B, 3, H, W) in [-1, 1], for the warper.
        pseudo_words: (B, N, C).
        prompt: text embeddings with the pseudo-words in place (B, 77, C).
    """

    garment: Tensor
    pseudo_words: Tensor
    prompt: Tensor


@dataclass(frozen=True)
class PersonEncoding:
    """What a person contributes, whatever they wear.

    Attributes:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in {0, 1}.
        pose_map: (B, 18, H, W).
        moments: posterior of the masked image (B, 8, h, w).
        skips: masked EMASC outputs, or None without EMASC.
    """

    person: Tensor
    mask: Tensor
    pose_map: Tensor
    moments: Tensor
    skips: tuple[Tensor, ...] | None

    @property
    def agnostic(self) -> Tensor:
        """Masked person (B, 3, H, W)."""
        return masked_image(self.person, self.mask)


@dataclass(frozen=True)
class TryOnResult:
    """A batch of try-ons.

    Attributes:
        images: (B, 3, H, W) float32 in [0, 1].
        latents: (B, 4, h, w), scaled.
        warped: refined warped garment (B, 3, H, W) in [-1, 1].
        coarse: before refinement; None when the caller gave the warped garment.
    """

    images: Tensor
    latents: Tensor
    warped: Tensor | None
    coarse: Tensor | None


Encoding = TypeVar("Encoding", GarmentEncoding, PersonEncoding)


def expanded(encoding: Encoding, batch: int) -> Encoding:
    """The encoding with every tensor of batch 1 repeated (as a view) to `batch`."""

    def repeated(value):
        if isinstance(value, tuple):
            return tuple(map(repeated, value))
        return value.expand(batch, *value.shape[1:]) if isinstance(value, Tensor) and value.shape[0] == 1 else value

    return dataclasses.replace(
        encoding, **{f.name: repeated(getattr(encoding, f.name)) for f in dataclasses.fields(encoding)}
    )
