"""Beside packs that do to the process what real ones do: the shipped workflow gives the picture that it gave before.

One stand-in does one thing after the other, and takes it back; another cannot be imported.
"""

from __future__ import annotations

import io
import json
import os

import numpy as np
import pytest
import torch
from hosting.graph import the, with_files, with_value
from PIL import Image
from safetensors.torch import load_file

BROKEN = "import a_package_that_nobody_has\n"
NEIGHBOUR = """
import functools, os
import comfy.samplers, folder_paths, torch
from PIL import Image, ImageFile

KEPT = {}


def attribute(holder, name, value):
    KEPT.setdefault("attributes", []).append((holder, name, getattr(holder, name)))
    setattr(holder, name, value)


def listed(before, *given, **more):
    return [*before(*given, **more), "mine.xyz"]


DEEDS = {
    "float64": lambda: torch.set_default_dtype(torch.float64),
    "float16": lambda: torch.set_default_dtype(torch.float16),
    "device": lambda: torch.set_default_device("cpu"),
    "threads": lambda: torch.set_num_threads(1 if torch.get_num_threads() > 1 else 2),
    "deterministic": lambda: torch.use_deterministic_algorithms(True),
    "no grad": lambda: torch.set_grad_enabled(False),
    "seeds": lambda: (torch.manual_seed(0), __import__("random").seed(0), __import__("numpy").random.seed(0)),
    "torch.load": lambda: attribute(torch, "load", functools.partial(torch.load, weights_only=False)),
    "Pillow": lambda: (attribute(Image, "MAX_IMAGE_PIXELS", None), attribute(ImageFile, "LOAD_TRUNCATED_IMAGES", True)),
    "samplers": lambda: (
        attribute(comfy.samplers.KSampler, "SAMPLERS", ["mine", *comfy.samplers.KSampler.SAMPLERS]),
        attribute(comfy.samplers.KSampler, "SCHEDULERS", ["mine"]),
        comfy.samplers.SAMPLER_NAMES.insert(0, "mine"),
        comfy.samplers.SCHEDULER_NAMES.insert(0, "mine"),
    ),
    "folders": lambda: (
        attribute(folder_paths, "folder_names_and_paths", {
            name: (list(paths) + [os.path.join(paths[0] if paths else "/", "not there")], set(endings) | {".mine"})
            for name, (paths, endings) in folder_paths.folder_names_and_paths.items()
        }),
        attribute(folder_paths, "get_filename_list", functools.partial(listed, folder_paths.get_filename_list)),
    ),
}


class Neighbour:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"deed": ("STRING", {})}}

    RETURN_TYPES, FUNCTION, CATEGORY, OUTPUT_NODE = (), "act", "neighbour", True

    @classmethod
    def IS_CHANGED(cls, **_):
        return float("nan")

    def act(self, deed):
        if deed == "nothing":
            for holder, name, value in reversed(KEPT.pop("attributes", [])):
                setattr(holder, name, value)
            torch.set_default_dtype(torch.float32)
            torch.set_default_device(None)
            torch.use_deterministic_algorithms(False)
            torch.set_grad_enabled(True)
            torch.set_num_threads(KEPT.pop("threads", torch.get_num_threads()))
            for names in (comfy.samplers.SAMPLER_NAMES, comfy.samplers.SCHEDULER_NAMES):
                names[:] = [name for name in names if name != "mine"]
        else:
            KEPT["threads"] = torch.get_num_threads()
            DEEDS[deed]()
        return {"ui": {"text": [deed]}}


NODE_CLASS_MAPPINGS = {"Neighbour": Neighbour}
"""
DEEDS = (
    "float64",
    "float16",
    "device",
    "threads",
    "deterministic",
    "no grad",
    "seeds",
    "torch.load",
    "Pillow",
    "samplers",
    "folders",
)


@pytest.fixture(scope="module")
def crowd(comfy_host):
    """A ComfyUI with both, which keeps no result of an earlier run."""
    from hosting.client import ComfyClient
    from hosting.server import ComfyServer

    class Crowded(ComfyServer):
        def _start(self) -> None:
            for name, code in (("a_broken_pack", BROKEN), ("a_neighbour", NEIGHBOUR)):
                folder = self.base / "custom_nodes" / name
                folder.mkdir(parents=True)
                (folder / "__init__.py").write_text(code, encoding="utf-8")
            super()._start()

    with Crowded(comfy_host, ("--cache-none",)) as server:
        yield server, ComfyClient(server.url)


@pytest.fixture(scope="module")
def dress(crowd, small_files, repository):
    """`dress()`: the shipped workflow at 96 x 128, as (H, W, 3) levels."""
    _, client = crowd
    workflow = json.loads((repository / "workflows/api/tryon_embedded.json").read_text("utf-8"))
    workflow = with_files(workflow, small_files, lambda file, name: client.upload(file, f"small_{name}"))
    for name, value in {"width": 96, "height": 128, "sigma": 2.5, "grow": 2, "steps": 2}.items():
        workflow = with_value(workflow, name, value)
    for key in [key for key, node in workflow.items() if node["class_type"] in ("PreviewImage", "SaveImage")]:
        del workflow[key]
    workflow["result"] = {
        "class_type": "PreviewImage",
        "inputs": {"images": [the(workflow, "LadiVTON_EMASCDecoder"), 0]},
    }

    def run() -> np.ndarray:
        (shown,) = client.run(workflow).or_raise().images("temp")
        return np.asarray(Image.open(io.BytesIO(client.view(shown))).convert("RGB")).astype(int)

    return run


@pytest.fixture(scope="module")
def alone(dress) -> np.ndarray:
    return dress()


@pytest.fixture
def beside(crowd):
    """`beside(deed)`: have the neighbour do it; taken back after the test."""
    _, client = crowd

    def act(deed: str) -> None:
        client.run({"1": {"class_type": "Neighbour", "inputs": {"deed": deed}}}).or_raise()

    yield act
    act("nothing")


@pytest.mark.long
def test_a_pack_that_cannot_be_imported_takes_nothing_of_ours_away(crowd):
    server, client = crowd
    (failed,) = server.failed_imports()
    assert "a_broken_pack" in failed
    assert {"Neighbour", "LadiVTON_EMASCDecoder"} <= set(client.object_info())


@pytest.mark.long
@pytest.mark.parametrize("deed", DEEDS)
def test_the_picture_is_the_same_whatever_a_neighbour_does_to_the_process(dress, alone, beside, deed):
    beside(deed)
    assert np.abs(dress() - alone).max() <= 1


class Evil:
    """What a pickle runs when it is read."""

    def __init__(self, folder) -> None:
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.mark.long
def test_a_patched_torch_load_unpickles_nothing_of_ours_and_takes_no_file_away(crowd, beside, repository, tmp_path):
    server, client = crowd
    folder = server.base / "models" / "ladi_vton"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(load_file(repository / "ladivton_core/embedded/emasc.safetensors"), folder / "mine.pth")
    torch.save({"a": Evil(tmp_path / "done")}, folder / "evil.pth")
    beside("torch.load")

    def load(name: str):
        loader = {"class_type": "LadiVTON_LoadEMASC", "inputs": {"emasc_name": name}}
        return client.run({"1": loader, "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}}})

    assert load("mine.pth").status == "success"
    evil = load("evil.pth")
    assert evil.status == "error" and "evil.pth" in evil.error["exception_message"]
    assert not (tmp_path / "done").exists()


@pytest.mark.long
def test_a_picture_cut_short_is_refused_whatever_pillow_was_told(crowd, beside, repository):
    server, client = crowd
    whole = (repository / "samples/garment.png").read_bytes()
    (server.base / "input" / "cut.png").write_bytes(whole[: len(whole) // 2])
    beside("Pillow")
    run = client.run({"1": {"class_type": "LadiVTON_LoadPicture", "inputs": {"image": "cut.png"}},
                      "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})  # fmt: skip
    assert run.status == "error" and "cut.png cannot be read as a picture" in run.error["exception_message"]
