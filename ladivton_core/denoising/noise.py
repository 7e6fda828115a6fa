"""Where the three noises of a picture come from.

The reference draws them from one generator for the whole run, so a picture changes with its batch
(published §6). The default here is one CPU generator an item: the same seed gives the same noise in
any batch, and so the same picture up to rounding. Both draw in the order garment posterior, initial latents,
masked-image posterior (Q6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TryOnNoise:
    """Standard normal noises, each (B, 4, h, w).

    Attributes:
        garment: for the sample of the warped garment's posterior; None for a UNet without garment input.
        latents: what the sampler starts from.
        masked: for the sample of the masked person's posterior.
    """

    garment: Tensor | None
    latents: Tensor
    masked: Tensor

    def to(self, like: Tensor) -> TryOnNoise:
        """The same noises on the device and in the type of `like`."""
        garment = None if self.garment is None else self.garment.to(like)
        return TryOnNoise(garment, self.latents.to(like), self.masked.to(like))


def shared_noise(
    generator: torch.Generator, shape: Sequence[int], *, dtype: torch.dtype = torch.float32, with_garment: bool = True
) -> TryOnNoise:
    """The reference's draws: whole batches (B, 4, h, w) from one generator, on its device.

    Without a garment the first draw does not happen, as in the reference.
    """

    def draw() -> Tensor:
        return torch.randn(tuple(shape), generator=generator, device=generator.device, dtype=dtype)

    garment = draw() if with_garment else None
    return TryOnNoise(garment, draw(), draw())


def item_noise(
    seeds: Sequence[int], shape: Sequence[int], *, dtype: torch.dtype = torch.float32, with_garment: bool = True
) -> TryOnNoise:
    """One CPU generator an item; item i is what `shared_noise` gives a batch of one with seed i.

    Args:
        seeds: one a picture.
        shape: (4, h, w) of one item.
    """
    if not seeds:
        raise ValueError("item_noise needs at least one seed.")
    items = [
        shared_noise(torch.Generator("cpu").manual_seed(int(seed)), (1, *shape), dtype=dtype, with_garment=with_garment)
        for seed in seeds
    ]
    garment = torch.cat([item.garment for item in items]) if with_garment else None
    return TryOnNoise(garment, torch.cat([item.latents for item in items]), torch.cat([item.masked for item in items]))
