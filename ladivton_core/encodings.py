"""What people and garments are once encoded, and what a try-on gives back: the values that `pipeline.py` hands around.

Paper section 3. Each is a batch; an encoding of one serves any number (`expanded`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from .denoising.conditioning import masked_at_half
from .preprocessing.prepare import FramedPerson


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
    """What a person contributes, whatever they wear; both engines hand it around.

    Attributes:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in {0, 1}; 1 is repainted.
        pose_map: (B, 18, H, W) in [0, 1].
        moments: posterior of the masked image (B, 8, h, w).
        skips: masked EMASC outputs, each (B, C_i, h_i, w_i); None without EMASC, and in the graph, where the decoder
            makes them.
        taps: what EMASC makes them of, f1...f5 of the encoder on the masked image, each (B, C_i, h_i, w_i); f2 is f1
            (Q12). In the graph only.
        latents: of the whole picture, (B, 4, h, w), not scaled, for a sampler that starts from it. In the graph only.
    """

    person: Tensor
    mask: Tensor
    pose_map: Tensor
    moments: Tensor
    skips: tuple[Tensor, ...] | None = None
    taps: tuple[Tensor, ...] | None = None
    latents: Tensor | None = None

    @property
    def agnostic(self) -> Tensor:
        """Masked person (B, 3, H, W)."""
        return masked_at_half(self.person, self.mask)


@dataclass(frozen=True)
class TryOnResult:
    """A batch of try-ons.

    Attributes:
        images: (B, 3, H, W) float32 in [0, 1].
        latents: (B, 4, h, w), scaled.
        warped: the warped garment (B, 3, H, W) in [-1, 1], refined unless the person was a `FramedPerson`.
        coarse: before refinement; None when the caller gave the warped garment.
        mask: what of the picture is new (B, 1, H, W) in {0, 1}: what was repainted, and of a `FramedPerson` what of it
            goes into the photo.
        grid: the spline, see `WarpResult`, for `finishing.detail`; None when the caller gave the warped garment.
    """

    images: Tensor
    latents: Tensor
    warped: Tensor | None
    coarse: Tensor | None
    mask: Tensor
    grid: Tensor | None = None


Encoding = TypeVar("Encoding", GarmentEncoding, PersonEncoding, FramedPerson)


def expanded(encoding: Encoding, batch: int) -> Encoding:
    """The encoding with every tensor of batch 1 repeated (as a view) to `batch`."""

    def repeated(value):
        if isinstance(value, tuple):
            return tuple(map(repeated, value))
        return value.expand(batch, *value.shape[1:]) if isinstance(value, Tensor) and value.shape[0] == 1 else value

    return dataclasses.replace(
        encoding, **{f.name: repeated(getattr(encoding, f.name)) for f in dataclasses.fields(encoding)}
    )


def count(batch: Tensor | GarmentEncoding | PersonEncoding | FramedPerson) -> int:
    """How many items pictures or an encoding hold."""
    if isinstance(batch, Tensor):
        return batch.shape[0]
    return (batch.garment if isinstance(batch, GarmentEncoding) else batch.person).shape[0]


def batch_of(persons: int, garments: int, seeds: int | None) -> int:
    """The longest of the three counts; the others are repeated when they are 1. None: there are no seeds to count.

    Raises:
        ValueError: a count is neither 1 nor that.
    """
    lengths = {"persons": persons, "garments": garments} | ({} if seeds is None else {"seeds": seeds})
    batch = max(lengths.values())
    if any(length not in (1, batch) for length in lengths.values()):
        counts = ", ".join(f"{length} {name}" for name, length in lengths.items())
        raise ValueError(f"batches do not fit: {counts}; each must be 1 or {batch}.")
    return batch


def item(batch: Any, index: int) -> Any:
    """Item `index` as a batch of one: of a tensor, a tuple of them, or a dataclass of either; one serves any number.

    Whatever else, such as an option of the whole batch, comes back as it is.
    """
    if isinstance(batch, Tensor):
        return batch if batch.shape[0] == 1 else batch[index : index + 1]
    if isinstance(batch, tuple):
        return tuple(item(each, index) for each in batch)
    if dataclasses.is_dataclass(batch):
        fields = {f.name: getattr(batch, f.name) for f in dataclasses.fields(batch)}
        return dataclasses.replace(batch, **{name: item(value, index) for name, value in fields.items()})
    return batch


def joined(results: Sequence[Any]) -> Any:
    """Results of several calls, or encodings, as one: their tensors behind each other."""
    columns = {f.name: [getattr(result, f.name) for result in results] for f in dataclasses.fields(results[0])}
    together = {name: None if values[0] is None else torch.cat(values) for name, values in columns.items()}
    return type(results[0])(**together)
