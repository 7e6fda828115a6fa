"""The synthetic world on disk: scenes rendered once, in chunks, and read back as memory maps.

Rendering a 512x384 scene costs about a third of a second on one core, more than a training step may.
`python -m ladivton_core.training.world_cache FOLDER --count N` fills a folder and resumes where it
stopped. Read `embedded.py` for the order in which the stages use it.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch

from ..datasets.synthetic import Scene, SyntheticWorld
from ..preprocessing.agnostic import agnostic_mask
from ..preprocessing.labels import LIP20

log = logging.getLogger(__name__)
CHUNK = 50
FIELDS = ("person", "garment", "worn", "parse", "mask", "keypoints")
"""Stored per scene; `mask` is the inpaint mask (1, H, W) of the published rules (SPEC 1.5), absent joints skipped."""


def render_chunk(folder: Path, world: SyntheticWorld, chunk: int, shift: int) -> None:
    """Render scenes `chunk * CHUNK ...`: person i wears garment i + `shift`. Pictures are stored as uint8."""
    indices = range(chunk * CHUNK, (chunk + 1) * CHUNK)
    parts: list[Scene] = [
        world.scene(list(block), [i + shift for i in block])
        for block in (indices[k : k + 5] for k in range(0, CHUNK, 5))
    ]
    parse = torch.cat([part.parse for part in parts])
    mask = agnostic_mask(
        parse, torch.cat([part.keypoints for part in parts]), "upper_body", LIP20, missing_joints="skip"
    )
    stored = {}
    for field in FIELDS:
        value = mask if field == "mask" else torch.cat([getattr(part, field) for part in parts])
        if field in ("person", "garment", "worn"):
            value = (value * 255).round()
        stored[field] = value if field == "keypoints" else value.to(torch.uint8)
    write_chunk(folder, chunk, stored)


def render(folder: Path, seed: int, count: int, shift: int = 0, worker: int = 0, workers: int = 1) -> None:
    """Fill `folder` with `count` scenes of world `seed`; chunks already there are kept.

    Args:
        shift: person i wears garment i + shift; 0 gives the paired order.
        worker, workers: this process renders every `workers`-th chunk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    world = SyntheticWorld(seed)
    for chunk in range(worker, -(-count // CHUNK), workers):
        if not (folder / f"{chunk:04d}_{FIELDS[-1]}.npy").exists():
            render_chunk(folder, world, chunk, shift)
            log.info("rendered chunk %d of %s", chunk, folder)


class Chunks:
    """Rows of a folder of `NNNN_field.npy` files, by index.

    Args:
        folder: where the chunks are.
        fields: what each complete chunk holds; the last one is written last.
    """

    def __init__(self, folder: Path, fields: tuple[str, ...]):
        folder = Path(folder)
        self.chunks = sorted(path.name[:4] for path in folder.glob(f"[0-9][0-9][0-9][0-9]_{fields[-1]}.npy"))
        if not self.chunks:
            raise FileNotFoundError(
                f"no complete chunk in {folder}: run the stage before this one (see training/embedded.py)"
            )
        self._maps = {
            field: [np.load(folder / f"{c}_{field}.npy", mmap_mode="r") for c in self.chunks] for field in fields
        }

    def __len__(self) -> int:
        return len(self.chunks) * CHUNK

    def raw(self, field: str, rows) -> torch.Tensor:
        """Stored values of any field, stacked (B, ...)."""
        return torch.from_numpy(np.stack([self._maps[field][i // CHUNK][i % CHUNK] for i in map(int, rows)]))


class WorldCache(Chunks):
    """Scenes of a folder written by `render`."""

    def __init__(self, folder: Path):
        super().__init__(folder, FIELDS)

    def pictures(self, field: str, rows) -> torch.Tensor:
        """Pictures `person`, `garment` or `worn` (B, 3, H, W), float32 in [-1, 1]."""
        return self.raw(field, rows).float() / 127.5 - 1

    def agnostic(self, rows) -> torch.Tensor:
        """People with the inpaint region set to grey (B, 3, H, W), float32 in [-1, 1]."""
        return self.pictures("person", rows) * (1 - self.raw("mask", rows).float())


def write_chunk(folder: Path, chunk: int, fields: dict[str, torch.Tensor]) -> None:
    """Write one chunk; it is complete when the last field has its name."""
    for field, value in fields.items():
        np.save(folder / f"{chunk:04d}_{field}.tmp.npy", value.numpy())
    for field in fields:
        (folder / f"{chunk:04d}_{field}.tmp.npy").replace(folder / f"{chunk:04d}_{field}.npy")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2400)
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    render(options.folder, options.seed, options.count, options.shift, options.worker, options.workers)
