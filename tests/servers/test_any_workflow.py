"""One command for any workflow: an editor's, another pack's and a plain one, on a real server without our models.

Models that cannot be here are stood in for where they begin and end: what is around them is what is tried.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from hosting.graph import the
from hosting.places import SAMPLES
from hosting.server import ComfyServer
from hosting.shipped import queue_file
from PIL import Image

ANOTHER_PACK = """
import torch


class TryOnOfAnotherPack:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"person": ("IMAGE",), "garment": ("IMAGE",), "mask": ("MASK",), "seed": ("INT", {})}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "wear", "another pack"

    def wear(self, person, garment, mask, seed):
        colour = garment[garment.amin(-1) < 0.9].mean(0)
        made = torch.where(mask[..., None] > 0.5, colour, person)
        return (made.repeat_interleave(2, 1).repeat_interleave(2, 2),)


class Editor:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image1": ("IMAGE",), "image2": ("IMAGE",)}}

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "edit", "another pack"

    def edit(self, image1, image2):
        colour = image2[image2.amin(-1) < 0.9].mean(0)
        made, (rows, columns) = image1 * 0.96 + 0.01, image1.shape[1:3]
        made[:, rows * 3 // 10 : rows * 7 // 10, columns // 4 : columns * 3 // 4] = colour
        made = torch.roll(made, (3, -4), (1, 2)).movedim(-1, 1)
        made = torch.nn.functional.interpolate(made, (rows + 16, columns + 8), mode="bicubic")
        return (made.movedim(1, -1).clamp(0, 1),)


NODE_CLASS_MAPPINGS = {"TryOnOfAnotherPack": TryOnOfAnotherPack, "EditorStandIn": Editor}
"""


@pytest.fixture(scope="module")
def server(comfy_host, pose_graphs):
    class Crowded(ComfyServer):
        def _start(self) -> None:
            folder = self.base / "custom_nodes" / "another_pack"
            folder.mkdir(parents=True)
            (folder / "__init__.py").write_text(ANOTHER_PACK, encoding="utf-8")
            super()._start()

    with Crowded(comfy_host) as started:
        shutil.copytree(pose_graphs, started.base / "models" / "ladi_vton" / "pose", dirs_exist_ok=True)
        yield started


@pytest.fixture
def shop(tmp_path):
    """One person in a wider photo, and a garment with a second picture."""
    photo = Image.new("RGB", (560, 600), (150, 160, 170))
    photo.paste(Image.open(SAMPLES / "person.png").convert("RGB"), (90, 60))
    photo.save(tmp_path / "ann.png")
    (tmp_path / "persons.csv").write_text("id,photo\nann,ann.png\n")
    (tmp_path / "garments.csv").write_text(f"id,picture,category\nshirt,{SAMPLES}/garment.png,upper_body\n")
    return tmp_path


def editors() -> dict:
    """The template, with a stand-in in the place of the editor's model."""
    graph = json.loads(queue_file("any_qwen_edit").read_text("utf-8"))
    edited = next(node["inputs"] for node in graph.values() if node["class_type"] == "TextEncodeQwenImageEditPlus")
    images = {name: edited[name] for name in ("image1", "image2")}
    graph[the(graph, "VAEDecode")] = {"class_type": "EditorStandIn", "inputs": images}
    return graph


def another_packs() -> dict:
    """The template, with a node of another pack in the place that it keeps."""
    graph = json.loads(queue_file("any_another_pack").read_text("utf-8"))
    node = graph[the(graph, "ImageCompositeMasked")]
    wires = {"person": "destination", "garment": "source", "mask": "mask"}
    inputs = {name: node["inputs"][old] for name, old in wires.items()} | {"seed": 0}
    node |= {"class_type": "TryOnOfAnotherPack", "inputs": inputs}
    return graph


def plain() -> dict:
    """ComfyUI's own nodes alone; three pictures in."""

    def load(slot: str) -> dict:
        return {"class_type": "LoadImage", "inputs": {"image": "x.png"}, "_meta": {"title": f"slot:{slot}"}}

    def blend(first: str, second: str) -> dict:
        how = {"blend_factor": 0.5, "blend_mode": "normal"}
        return {"class_type": "ImageBlend", "inputs": {"image1": [first, 0], "image2": [second, 0], **how}}

    save = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    return {"1": load("person"), "2": load("garment"), "3": load("reference"), "4": blend("1", "2"),
            "5": blend("4", "3"), "6": save}  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("graph", [editors, another_packs, plain])
def test_one_command_dresses_a_catalogue_through_any_workflow(server, shop, repository, graph):
    (shop / "workflow.json").write_text(json.dumps(graph()))
    if graph is plain:
        (shop / "garments.csv").write_text(
            f"id,picture,category,reference\nshirt,{SAMPLES}/garment.png,upper_body,{SAMPLES}/dresses_garment.png\n"
        )
    command = [sys.executable, "-m", "ladivton_core.batch", "--persons", str(shop / "persons.csv"), "--garments",
               str(shop / "garments.csv"), "--out", str(shop / "out"), "--engine", "comfyui", "--hosts", server.url,
               "--workflow", str(shop / "workflow.json")]  # fmt: skip
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 made, 0 there already, 0 errors" in done.stderr
    assert ("no place for the category" in done.stderr) == (graph is plain)
    made = np.asarray(Image.open(shop / "out/upper_body/ann/shirt.png").convert("RGB")).astype(int)
    photo = np.asarray(Image.open(shop / "ann.png")).astype(int)
    assert made.shape == photo.shape
    changed = np.abs(made - photo).max(-1) > 0
    if graph is plain:
        assert changed.mean() > 0.5
        return
    assert 0.02 < changed.mean() < 0.5 and not changed[:50].any()  # head and surroundings are the photo's, bit for bit
    shirt = np.asarray(Image.open(SAMPLES / "garment.png").convert("RGB")).astype(float)
    colour = shirt[shirt.min(-1) < 0.9 * 255].mean(0)
    assert np.abs(np.median(made[changed], 0) - colour).max() < 25
