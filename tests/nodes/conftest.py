"""The pack's nodes in this process, the embedded models once, and a small person from the drawn world."""

from __future__ import annotations

import importlib
from types import SimpleNamespace

import pytest
import torch

SIZE = (128, 96)
"""(height, width): the smallest picture the refinement U-Net halves four times; keeps every test quick."""


@pytest.fixture(scope="session")
def nodes(pack) -> dict:
    """Node classes by id."""
    from hosting import in_process

    return in_process.node_classes(pack)


@pytest.fixture(scope="session")
def module(pack, nodes):
    """`module("nodes.tensors")`: a module of the pack under the name ComfyUI gave it."""
    return lambda name: importlib.import_module(f"{pack.__name__}.{name}")


@pytest.fixture(scope="session")
def run(nodes):
    """`run("PoseMap", keypoints=...)`: the node's outputs, as ComfyUI runs it."""

    def execute(node: str, **inputs) -> tuple:
        with torch.inference_mode():
            return nodes[f"LadiVTON_{node}"].execute(**inputs).result

    return execute


@pytest.fixture(scope="session")
def models(run) -> SimpleNamespace:
    """The embedded models on ComfyUI's wires."""
    names = ("model", "clip", "vae", "clip_vision", "warper", "adapter", "emasc")
    return SimpleNamespace(**dict(zip(names, run("LoadEmbedded"), strict=True)))


@pytest.fixture(scope="session")
def pipeline():
    """The embedded models in the core's engine, on the CPU."""
    from ladivton_core.pipeline import TryOnPipeline

    return TryOnPipeline.from_embedded()


@pytest.fixture(scope="session")
def across(comfyui):
    """`across(1e-4)`: the bound for the graph against the core on the CPU, where 1e-4 holds if both are there.

    On a GPU, where ComfyUI runs its models, convolutions are computed in TF32: ten bits of every factor. The embedded
    pictures then differ by 1.5e-3 at most, a warped one by 1.1e-3 (measured on an H200).
    """
    import comfy.model_management as memory

    same = memory.is_device_cpu(memory.get_torch_device())
    return lambda bound: bound if same else max(bound, 3e-3)


@pytest.fixture(scope="session")
def scene(module):
    """Two people, two garments: IMAGEs, POSE_KEYPOINT and parse map, as wires carry them."""
    from drawn_world.world.scene import DrawnWorld

    world = DrawnWorld(seed=9)
    drawn = world.scene([0, 2], [4, 6])  # all upper-body (see `scene.CYCLE`)
    small = torch.nn.functional.interpolate
    person, garments = (small(x, SIZE, mode="area") for x in (drawn.person, world.scene([4, 6], [8, 10]).garment))
    parse = small(drawn.parse[:, None].float(), SIZE, mode="nearest-exact")[:, 0].long()
    joints = drawn.keypoints * (SIZE[0] / drawn.person.shape[-2])
    keypoints = []
    for points in joints.tolist():
        flat = [value for x, y in points for value in (x, y, float(max(x, y) > 0))]
        document = {"people": [{"pose_keypoints_2d": flat}], "canvas_height": SIZE[0], "canvas_width": SIZE[1]}
        keypoints.append(document)
    labels = module("ladivton_core.preprocessing.labels").LIP20
    return SimpleNamespace(
        person=person.movedim(1, -1).contiguous(),
        garment=garments.movedim(1, -1).contiguous(),
        keypoints=keypoints,
        joints=joints,
        parse=parse,
        parse_map=module("nodes.host.types").ParseMap(parse, labels),
    )


@pytest.fixture(scope="session")
def prepared(run, models, scene) -> SimpleNamespace:
    """Everything up to the sampler, for the batch of two."""
    pose_map, _ = run("PoseMap", keypoints=scene.keypoints, person=scene.person)
    agnostic, mask = run("AgnosticPerson", person=scene.person, keypoints=scene.keypoints, parse_map=scene.parse_map)
    warped, coarse, *_ = run(
        "GarmentWarper", warper=models.warper, garment=scene.garment, agnostic=agnostic, pose_map=pose_map
    )
    words, pseudo_words = run(
        "TextualInversionEncoder", clip=models.clip, clip_vision=models.clip_vision, adapter=models.adapter,
        garment=scene.garment,
    )  # fmt: skip
    with torch.inference_mode():
        empty = models.clip.encode_from_tokens_scheduled(models.clip.tokenize(""))
    return SimpleNamespace(
        pose_map=pose_map, agnostic=agnostic, mask=mask, warped=warped, coarse=coarse, positive=words, negative=empty,
        pseudo_words=pseudo_words,
    )  # fmt: skip


@pytest.fixture(scope="session")
def condition(run, models, scene, prepared):
    """`condition(item=0, posterior_seed=...)`: Try-On Conditioning of both items, or of one alone."""

    def execute(item: int | None = None, **options) -> tuple:
        keep = slice(None) if item is None else slice(item, item + 1)
        return run(
            "TryOnConditioning",
            **{
                "positive": [[tensor[keep], entry] for tensor, entry in prepared.positive],
                "negative": prepared.negative,
                "vae": models.vae,
                "person": scene.person[keep],
                "mask": prepared.mask[keep],
                "pose_map": prepared.pose_map[keep],
                "warped_garment": prepared.warped[keep],
            }
            | options,
        )

    return execute
