"""The workflows for the published files: the paper's settings, and a run on small files of the same layout and names.

`benchmarks/full_size.py` runs those at full size.
"""

from __future__ import annotations

import json

import pytest
import torch
from hosting import pose
from hosting.client import PromptRejected
from hosting.graph import with_value
from safetensors.torch import load_file, save_file

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


@pytest.fixture
def small_files(comfy_server, repository):
    """The embedded weights under the published names and in their folders, LaDI-VTON's own as torch archives, the
    warper nested as published."""
    written = []
    for file in json.loads((repository / "ladivton_core" / "checkpoints" / "sources.json").read_text("utf-8"))["files"]:
        if file["group"] not in ("vitonhd", "dresscode", "sd2"):
            continue
        written.append(comfy_server.base / "models" / file["folder"] / file["name"])
        written[-1].parent.mkdir(parents=True, exist_ok=True)
        state = load_file(repository / "ladivton_core" / "embedded" / f"{file['part']}.safetensors")
        if file["part"] == "warping":
            halves: dict = {}
            for key, tensor in state.items():
                half, _, name = key.partition(".")
                halves.setdefault(half, {})[name] = tensor
            state = halves | {"epoch": 50}
        (save_file if written[-1].suffix == ".safetensors" else torch.save)(state, written[-1])
    yield
    for path in written:
        path.unlink()


@pytest.fixture(scope="module")
def finder(comfy_server, pose_graphs):
    """The server with BlazePose's graphs in its models folder."""
    pose.provide(comfy_server.base, pose_graphs)


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
    workflow = published(name)
    for setting, value in {"steps": 1, "width": 96, "height": 128}.items():
        workflow = with_value(workflow, setting, value)
    run = client.run(workflow).or_raise()

    saved = [key for key, node in workflow.items() if node["class_type"] == "SaveImage"]
    assert {key for key in saved if run.outputs[key]["images"]} == set(saved)
    categories = [node["inputs"]["category"] for node in workflow.values() if "category" in node["inputs"]]
    assert len(categories) == 2 * len(saved)
    for category in categories:  # the same in both nodes of a lane
        assert categories.count(category) == 2


@pytest.mark.parametrize("name", [*PUBLISHED, "tryon_photo_vitonhd", "tryon_photo_dresscode"])
def test_without_the_files_the_run_fails_and_names_all_of_them(client, published, failure, finder, name):
    said = failure(published(name), "LadiVTON_LoadModels")
    which = "dresscode" if "dresscode" in name else "vitonhd"
    for part in OWN.values():
        assert f"{part}_{which}.pth" in said.split("\n")[0]
    for words in ("sd2_inpainting_vae", "clip_vision", "MB", "CC BY-NC 4.0", f"download {which} sd2"):
        assert words in said


@pytest.mark.parametrize("name", ["tryon_photo_vitonhd", "tryon_photo_dresscode"])
def test_where_the_finders_files_lack_as_well_one_run_names_everything(client, comfy_server, published, name):
    with pose.withheld(comfy_server.base):
        result = client.run(published(name))
    assert result.error["node_type"] in ("LadiVTON_FindPerson", "LadiVTON_LoadModels")
    first, command, *rest = result.error["exception_message"].strip().split("\n")
    which = "dresscode" if "dresscode" in name else "vitonhd"
    for words in (*pose.expected(), *(f"{part}_{which}.pth" for part in OWN.values()), "sd2_inpainting_vae"):
        assert words in first
    assert "download pose" in command and f"download {which} sd2" in command
    assert any("Apache-2.0" in line for line in rest) and any("CC BY-NC 4.0" in line for line in rest)


def test_in_older_files_without_the_weights_every_loader_says_what_to_put_where(client, repository):
    workflow = json.loads((repository / "tests/promises/0.1.0/api/tryon_vitonhd.json").read_text("utf-8"))
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
