"""Bad input is answered by a message that names what is wrong and what to do."""

from __future__ import annotations

import json
import shutil

import pytest
from hosting.client import PromptRejected
from hosting.graph import the


@pytest.fixture
def model_folder(comfy_server):
    """models/ladi_vton of the server."""
    folder = comfy_server.base / "models" / "ladi_vton"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def embedded(repository):
    return repository / "ladivton_core" / "embedded"


def with_warper_file(workflow: dict, name: str) -> dict:
    """The workflow with its warper read from a file in models/ladi_vton."""
    workflow["bad"] = {"class_type": "LadiVTON_LoadWarper", "inputs": {"warper_name": name}}
    workflow[the(workflow, "LadiVTON_GarmentWarper")]["inputs"]["warper"] = ["bad", 0]
    return workflow


def with_repeated(workflow: dict, class_type: str, key: str, times: int) -> None:
    """Feed an IMAGE input `times` copies of what it gets now."""
    inputs = workflow[the(workflow, class_type)]["inputs"]
    name = f"repeat_{class_type}_{key}"
    workflow[name] = {"class_type": "RepeatImageBatch", "inputs": {"image": inputs[key], "amount": times}}
    inputs[key] = [name, 0]


def refusal(client, workflow: dict, class_type: str) -> str:
    """What ComfyUI's validation says about the one node of that type."""
    with pytest.raises(PromptRejected) as refused:
        client.run(workflow)
    return json.dumps(refused.value.node_errors[the(workflow, class_type)]["errors"])


def test_unknown_category_is_refused_by_name(client, quick, node):
    node(quick, "LadiVTON_AgnosticPerson")["category"] = "hat"
    message = refusal(client, quick, "LadiVTON_AgnosticPerson")
    assert "hat" in message
    assert "upper_body" in message


def test_number_out_of_range_is_refused(client, quick, node):
    node(quick, "LadiVTON_TryOnSampler")["steps"] = 1000
    assert "steps" in refusal(client, quick, "LadiVTON_TryOnSampler")


@pytest.mark.parametrize("guidance", [0.5, -1.0, 100.5])
def test_guidance_that_means_nothing_is_refused(client, quick, node, guidance):
    node(quick, "LadiVTON_TryOnSampler")["guidance"] = guidance
    assert "guidance" in refusal(client, quick, "LadiVTON_TryOnSampler")


@pytest.mark.parametrize("loader", ["LadiVTON_LoadKeypoints", "LadiVTON_LoadParseMap"])
def test_missing_file_is_refused_by_name(client, quick, node, loader):
    node(quick, loader)["file"] = "not_uploaded.bin"
    message = refusal(client, quick, loader)
    assert "not_uploaded.bin" in message
    assert "pload" in message


def test_missing_model_file_is_refused_by_name(client, quick, model_folder):
    workflow = with_warper_file(quick, "nowhere.safetensors")
    assert "nowhere.safetensors" in refusal(client, workflow, "LadiVTON_LoadWarper")


def test_emasc_where_a_warper_belongs_is_named(failure, quick, model_folder, embedded):
    shutil.copy(embedded / "emasc.safetensors", model_folder / "emasc_here.safetensors")
    message = failure(with_warper_file(quick, "emasc_here.safetensors"), "LadiVTON_LoadWarper")
    assert "emasc_here.safetensors" in message
    assert "emasc" in message.replace("emasc_here", "").lower()
    assert "warp" in message.lower()


def test_truncated_model_file_says_download_again(failure, quick, model_folder, embedded):
    whole = (embedded / "warping.safetensors").read_bytes()
    (model_folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    message = failure(with_warper_file(quick, "cut.safetensors"), "LadiVTON_LoadWarper")
    assert "cut.safetensors" in message
    assert "again" in message


def test_keypoints_without_a_person_say_so(client, failure, quick, node, tmp_path):
    file = tmp_path / "nobody.json"
    file.write_text(json.dumps({"version": 1.3, "people": []}), encoding="utf-8")
    node(quick, "LadiVTON_LoadKeypoints")["file"] = client.upload(file)
    message = failure(quick, "LadiVTON_LoadKeypoints")
    assert "nobody.json" in message
    assert "person" in message


def test_keypoints_of_another_format_say_what_was_expected(client, failure, quick, node, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"joints": [1, 2, 3]}), encoding="utf-8")
    node(quick, "LadiVTON_LoadKeypoints")["file"] = client.upload(file)
    assert "OpenPose" in failure(quick, "LadiVTON_LoadKeypoints")


def test_coloured_parse_map_says_what_was_expected(client, failure, quick, node, repository):
    node(quick, "LadiVTON_LoadParseMap")["file"] = client.upload(repository / "samples" / "person.png", "colour.png")
    message = failure(quick, "LadiVTON_LoadParseMap")
    assert "colour.png" in message
    assert "label" in message


def test_batches_that_do_not_fit_are_named_with_their_sizes(failure, quick):
    with_repeated(quick, "LadiVTON_TryOnConditioning", "person", 2)
    with_repeated(quick, "LadiVTON_TryOnConditioning", "warped_garment", 3)
    message = failure(quick, "LadiVTON_TryOnConditioning")
    assert "2" in message
    assert "3" in message
    assert "batch" in message.lower() or "pictures" in message.lower()


def test_size_not_divisible_by_8_is_named(client, quick, repository, tmp_path):
    from PIL import Image

    for name in ("person", "parse"):
        odd = tmp_path / f"odd_{name}.png"
        Image.open(repository / "samples" / f"{name}.png").crop((0, 0, 92, 124)).save(odd)
        for loader in quick.values():
            for key, value in loader["inputs"].items():
                if value == f"small_{name}_{name}.png":
                    loader["inputs"][key] = client.upload(odd)
    run = client.run(quick)
    message = run.error.get("exception_message", "")
    assert run.status == "error"
    assert run.error["exception_type"] == "ValueError", run.error["traceback"]
    assert "8" in message
    assert "92" in message
