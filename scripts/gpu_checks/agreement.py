"""The embedded models on the GPU against the CPU, and an item of a batch against a run of its own."""

from __future__ import annotations

from .page import Page, Setting

BOUNDS = {"float32": (5e-3, 1e-3), "float16": (0.4, 0.02), "bfloat16": (0.4, 0.02)}
"""Largest and mean difference of the pictures in [0, 1] from the CPU's in float32. An H200 had 1.5e-3 and, in half
precision, 0.2 in single pixels, 0.0075 in the mean."""
ALONE = {"float32": 5e-3, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference of an item from a run of its own: convolutions of another batch take other kernels."""


def run(setting: Setting, page: Page) -> None:
    """A row a number format; pictures that differ by more than the bounds are problems."""
    import torch

    from ladivton_core.pipeline import TryOnPipeline

    people = inputs(4, small=setting.rehearse)
    expected = TryOnPipeline.from_embedded()(**people, seeds=[1, 2, 3, 4]).images
    page.head("embedded models", "largest", "mean", "item 0 of 4 from a run of its own")
    for kind in ("float32",) if setting.rehearse else BOUNDS:
        pipeline = TryOnPipeline.from_embedded(setting.device, getattr(torch, kind))
        found = pipeline(**people, seeds=[1, 2, 3, 4]).images.cpu()
        alone = pipeline(**{name: tensor[:1] for name, tensor in people.items()}, seeds=1).images.cpu()
        difference, single = (found - expected).abs(), float((found[:1] - alone).abs().max())
        page.row((kind, float(difference.max()), float(difference.mean()), single))
        most, mean = BOUNDS[kind]
        page.expect(
            bool(found.isfinite().all()) and float(difference.max()) <= most and float(difference.mean()) <= mean,
            f"In {kind} the pictures differ from the CPU's by more than {most:g} or, in the mean, {mean:g}.",
        )
        page.expect(single <= ALONE[kind], f"In {kind} an item depends on its batch by more than {ALONE[kind]:g}.")


def inputs(count: int, small: bool) -> dict:
    """Drawn people with masks and poses, and other people's garments, on the CPU."""
    import torch
    import torch.nn.functional as F

    from drawn_world.world.scene import DrawnWorld
    from ladivton_core.preprocessing.pose.pose_map import pose_map

    size = (128, 96) if small else (512, 384)
    world, rows = DrawnWorld(seed=9), list(range(0, 2 * count, 2))
    people, others = world.scene(rows, [row + 40 for row in rows]), world.scene([row + 20 for row in rows], rows)
    person, garment = (F.interpolate(x, size, mode="area") * 2 - 1 for x in (people.person, others.garment))
    joints = people.keypoints * (size[0] / people.person.shape[-2])
    mask = torch.zeros(count, 1, *size)
    mask[..., size[0] // 4 : size[0] // 4 * 3, size[1] // 4 : size[1] // 4 * 3] = 1
    poses = pose_map(joints.double(), size).float()
    return {"person": person, "garment": garment, "mask": mask, "pose_map": poses}
