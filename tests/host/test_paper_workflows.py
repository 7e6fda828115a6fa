"""The `paper_*` workflows run in ComfyUI, on the shipped data sets and on toy sets that lie where a user's would."""

from __future__ import annotations

import io
import json
import shutil

import numpy as np
import pytest
from hosting.client import PromptRejected
from hosting.graph import the, with_value
from PIL import Image

SAMPLE, SAVE, SHEET = "LadiVTON_DatasetSample", "LadiVTON_SaveResult", "LadiVTON_ComparisonSheet"


@pytest.fixture
def paper(repository):
    """`paper(name)`: the workflow in API format with one sampling step and one item."""

    def load(name: str) -> dict:
        text = (repository / "workflows" / "api" / f"paper_{name}.json").read_text(encoding="utf-8")
        return with_value(with_value(json.loads(text), "steps", 1), "batch_size", 1)

    return load


@pytest.fixture
def toys(comfy_server, golden):
    """The golden toy sets: VITON-HD in the input folder, Dress Code in models/ladi_vton_datasets."""
    places = {"vitonhd": comfy_server.base / "input", "dresscode": comfy_server.base / "models" / "ladi_vton_datasets"}
    for name, folder in places.items():
        shutil.copytree(golden / "datasets" / name, folder / f"toy_{name}", dirs_exist_ok=True)
    return {"vitonhd": "toy_vitonhd", "dresscode": "toy_dresscode [data]"}


def shown(client, run, workflow: dict, class_type: str) -> list[np.ndarray]:
    """Pictures that the one node of that type saved."""
    images = run.or_raise().outputs[the(workflow, class_type)]["images"]
    return [np.asarray(Image.open(io.BytesIO(client.view(image))).convert("RGB")) for image in images]


@pytest.mark.parametrize(
    ("name", "folder", "category", "person"),
    [
        ("vitonhd", "vitonhd/test/image", "upper_body", "00003_00.jpg"),
        pytest.param("dresscode", "dresscode/lower_body/images", "lower_body", "000201_0.jpg", marks=pytest.mark.long),
    ],
)
def test_a_toy_set_goes_in_and_its_result_comes_out_in_the_papers_layout(
    client, comfy_server, paper, toys, golden, name, folder, category, person
):
    workflow = paper(name)
    chosen = {"root": toys[name], "category": category, "index": int(name == "vitonhd")}
    workflow[the(workflow, SAMPLE)]["inputs"] |= chosen
    run = client.run(workflow)

    (result,) = shown(client, run, workflow, SAVE)
    assert result.shape == (512, 384, 3)
    saved = comfy_server.base / "output" / "ladi_vton" / f"paper_{name}" / "unpaired" / category / person
    with Image.open(saved) as picture:
        assert picture.format == "JPEG"
        assert np.array_equal(np.asarray(picture), result)
    original = Image.open(golden / "datasets" / folder / person).convert("RGB").resize((384, 512))
    corner = (slice(0, 48), slice(0, 48))
    assert np.abs(result[corner].astype(float) - np.asarray(original)[corner]).mean() < 40, "not this person"
    sheet = next(node for node in workflow.values() if node["class_type"] == SHEET)
    assert len(sheet["inputs"]["captions"].split(",")) == 4


@pytest.mark.long
def test_the_ablation_has_a_column_a_part_and_a_row_a_seed(client, paper):
    workflow = with_value(paper("ablation"), "height", 256)
    run = client.run(workflow)
    (sheet,) = shown(client, run, workflow, "SaveImage")

    rows, columns, gap, captions = 2, 6, 8, 24
    assert sheet.shape == (captions + rows * 256 + (rows - 1) * gap, columns * 192 + (columns - 1) * gap, 3)
    tops = [captions + row * (256 + gap) for row in range(rows)]
    lefts = [column * (192 + gap) for column in range(columns)]
    cells = [[sheet[top : top + 256, left : left + 192].astype(float) for left in lefts] for top in tops]
    person, garment, *results = cells[0]
    assert np.array_equal(person, cells[1][0]) and np.array_equal(garment, cells[1][1])
    for column, result in enumerate(results, 2):
        assert not np.array_equal(result, cells[1][column]), "the rows' seeds differ"
        assert not any(np.array_equal(result, other) for other in results[: column - 2]), "every part matters"


def test_the_list_offers_what_lies_in_comfyuis_folders(client, toys):
    options = client.object_info()[SAMPLE]["input"]["required"]["root"][1]["options"]
    assert {*toys.values(), "vitonhd [example]", "dresscode [example]"} <= set(options)


@pytest.mark.parametrize("root", ["../toy_vitonhd", "/etc", "[example] ../.."])
def test_other_folders_are_refused_by_name(client, paper, root):
    workflow = with_value(paper("vitonhd"), "root", root)
    with pytest.raises(PromptRejected) as refused:
        client.run(workflow)
    message = json.dumps(refused.value.node_errors[the(workflow, SAMPLE)]["errors"])
    assert f"There is no data set '{root}'" in message and "extra_model_paths.yaml" in message


def test_past_the_end_says_how_many_samples_there_are(client, failure, paper, toys):
    workflow = with_value(with_value(paper("vitonhd"), "root", toys["vitonhd"]), "index", 3)
    assert "3 samples, 0 to 2" in failure(workflow, SAMPLE)
