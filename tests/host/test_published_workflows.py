"""The workflows for the published files: the paper's settings, and a run on small files of the same layout and names.

Their stock loaders (VAE, text encoder, vision tower) know Stable Diffusion's sizes only; the embedded models take
their place here. `benchmarks/full_size.py` runs those at full size.
"""

from __future__ import annotations

import json

import pytest
import torch
from hosting.client import PromptRejected
from hosting.graph import with_embedded_models, with_value
from safetensors.torch import load_file

OWN = {
    "LadiVTON_LoadTryOnModel": "unet",
    "LadiVTON_LoadWarper": "warping",
    "LadiVTON_LoadInversionAdapter": "inversion_adapter",
    "LadiVTON_LoadEMASC": "emasc",
}
PUBLISHED = ["tryon_vitonhd", "tryon_dresscode", "tryon_ksampler"]


@pytest.fixture
def published(repository):
    """`published(name)`: a shipped workflow in API format."""
    return lambda name: json.loads((repository / "workflows" / "api" / f"{name}.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def small_files(comfy_server, repository):
    """The embedded weights as torch archives under the published names, the warper nested as published."""
    folder = comfy_server.base / "models" / "ladi_vton"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for part in OWN.values():
        state = load_file(repository / "ladivton_core" / "embedded" / f"{part}.safetensors")
        if part == "warping":
            halves = {"tps": {}, "refinement": {}}
            for key, tensor in state.items():
                half, _, name = key.partition(".")
                halves[half][name] = tensor
            state = halves | {"epoch": 50}
        for which in ("vitonhd", "dresscode"):
            written.append(folder / f"{part}_{which}.pth")
            torch.save(state, written[-1])
    yield
    for path in written:
        path.unlink()


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_settings_are_the_papers(published, name):
    workflow = published(name)
    paper = {
        "steps": 50, "guidance": 7.5, "cfg": 7.5, "seed": 1234, "posterior_seed": 1234, "sample_posterior": True,
        "no_pose": False, "cloth_cond_rate": 1.0, "paste_back": False, "missing_joints": "published",
        "neck": "published", "grow": 10, "sigma": 9.0, "width": 384, "height": 512, "skip_grow": 0, "skip_feather": 0,
        "sampler_name": "ddim",
        "scheduler": "ddim_uniform", "denoise": 1.0, "text": "", "fit": "stretch",
    }  # fmt: skip
    stock, own = {"sampler_name", "scheduler", "denoise", "cfg"}, {"guidance", "cloth_cond_rate"}
    there = {key for node in workflow.values() for key in node["inputs"]}
    assert there >= paper.keys() - (own if name == "tryon_ksampler" else stock)
    inputs = [(key, value) for node in workflow.values() for key, value in node["inputs"].items()]
    assert [(key, value) for key, value in inputs if key in paper and not isinstance(value, list)] == [
        (key, paper[key]) for key, value in inputs if key in paper and not isinstance(value, list)
    ]


@pytest.mark.parametrize("name", PUBLISHED)
def test_it_runs_on_files_of_the_published_layout(client, published, small_files, name):
    workflow = with_embedded_models(published(name), keep=OWN)
    for setting, value in {"steps": 1, "width": 96, "height": 128}.items():
        workflow = with_value(workflow, setting, value)
    run = client.run(workflow).or_raise()

    saved = [key for key, node in workflow.items() if node["class_type"] == "SaveImage"]
    assert {key for key in saved if run.outputs[key]["images"]} == set(saved)
    categories = [node["inputs"]["category"] for node in workflow.values() if "category" in node["inputs"]]
    assert len(categories) == 2 * len(saved)
    for category in categories:  # the same in both nodes of a lane
        assert categories.count(category) == 2


def test_without_the_files_every_loader_says_what_to_put_where(client, published):
    workflow = published("tryon_vitonhd")
    for node in workflow.values():
        if node["class_type"] in OWN:
            (name,) = (key for key in node["inputs"] if key.endswith("_name"))
            node["inputs"][name] = f"missing_{node['inputs'][name]}"
    with pytest.raises(PromptRejected) as refused:
        client.run(workflow)
    said = {entry["class_type"]: json.dumps(entry["errors"]) for entry in refused.value.node_errors.values()}
    for loader, part in OWN.items():
        for words in (f"missing_{part}_vitonhd.pth", f"Put {part}_dresscode.pth", "ladi_vton", "MB", "CC BY-NC 4.0"):
            assert words in said[loader]
    assert {"VAELoader", "CLIPLoader", "CLIPVisionLoader"} <= said.keys()
