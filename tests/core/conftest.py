"""What several test files of the library work on."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session")
def scene() -> dict[str, torch.Tensor]:
    """Two people and two garments of noise at 64 x 48, as `TryOnPipeline` takes them; not to be changed in place."""
    height, width = 64, 48
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(2, 1, height, width)
    mask[..., 16:48, 8:40] = 1
    return {
        "person": torch.rand(2, 3, height, width, generator=generator) * 2 - 1,
        "garment": torch.rand(2, 3, height, width, generator=generator) * 2 - 1,
        "mask": mask,
        "pose_map": torch.rand(2, 18, height, width, generator=generator),
    }
