"""Which noise an item of a batch gets: seed + i, wherever it comes from.

The draws are the core's (`ladivton_core/denoising/noise.py`). `sampling.py` and `custom_sampling.py` hold the nodes.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.denoising.noise import item_noise

LARGEST_SEED = 2**64 - 1


def item_seeds(seed: int, items: int, index: list[int] | None = None) -> list[int]:
    """Seed of every item of a batch: item i is what a run of its own with `seed + i` would give.

    Args:
        seed: of item 0.
        items: batch size.
        index: original positions, when a batch was cut up before (`batch_index` of a LATENT).

    Raises:
        ValueError: `index` does not name one position an item.
    """
    if index is not None and len(index) != items:
        raise ValueError(
            f"'latent' was cut down to the items {list(index)} of its batch, 'positive' and 'negative' hold {items}. "
            "Take the same items out of person, mask, pose_map and warped_garment before 'Try-On Conditioning'."
        )
    positions = range(items) if index is None else index
    return [(seed + position) % (LARGEST_SEED + 1) for position in positions]


class ItemNoise:
    """ComfyUI's NOISE with the paper's draws: the second one of each item's own generator (Q6).

    Args:
        seed: of item 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_noise(self, latent: dict) -> Tensor:
        """First noise (B, 4, h, w) of a LATENT, float32 on the CPU; `batch_index` picks the draws of a cut batch."""
        samples = latent["samples"]
        seeds = item_seeds(self.seed, samples.shape[0], latent.get("batch_index"))
        return item_noise(seeds, tuple(samples.shape[1:])).latents
