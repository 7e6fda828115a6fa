"""Data set nodes: what comes out makes the graph equal to the reader, nothing outside the lists is read or written."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.datasets import DressCode, VitonHD, open_dataset

NAMES = ("person", "garment", "garment_mask", "keypoints", "parse_map", "category", "order", "name")
EXAMPLES = ("vitonhd [example]", "dresscode [example]")
BEFORE = ("[example] vitonhd", "[example] dresscode")
"""As files of 0.1 and 0.2 name them."""


@pytest.fixture
def folders(tmp_path, pack, nodes):
    """ComfyUI's input and output folder and a configured data folder, empty."""
    import folder_paths

    before = folder_paths.get_input_directory(), folder_paths.get_output_directory()
    known = folder_paths.folder_names_and_paths["ladi_vton_datasets"]
    paths = {name: tmp_path / name for name in ("input", "output", "data")}
    for path in paths.values():
        path.mkdir()
    folder_paths.set_input_directory(str(paths["input"]))
    folder_paths.set_output_directory(str(paths["output"]))
    folder_paths.folder_names_and_paths["ladi_vton_datasets"] = ([str(paths["data"])], known[1])
    yield paths
    folder_paths.folder_names_and_paths["ladi_vton_datasets"] = known
    folder_paths.set_input_directory(before[0])
    folder_paths.set_output_directory(before[1])


@pytest.fixture
def toys(folders, golden):
    """The golden toy sets in the input folder."""
    shutil.copytree(golden / "datasets", folders["input"], dirs_exist_ok=True)
    return folders["input"]


@pytest.fixture
def read(run):
    """`read(root=..., index=...)`: the node's outputs by name."""
    return lambda **inputs: dict(zip(NAMES, run("DatasetSample", **inputs), strict=True))


def listed(nodes) -> list[str]:
    (box,) = (part for part in nodes["LadiVTON_DatasetSample"].define_schema().inputs if part.id == "root")
    return box.options


def graph(run, sample):
    """Agnostic person, mask and pose map as the paper's workflows make them."""
    keypoints, person = sample["keypoints"], sample["person"]
    pose_map, _ = run("PoseMap", keypoints=keypoints, person=person)
    agnostic, mask = run(
        "AgnosticPerson", person=person, category=sample["category"], keypoints=keypoints,
        parse_map=sample["parse_map"], missing_joints="published",
    )  # fmt: skip
    return agnostic, mask, pose_map


@pytest.mark.parametrize(
    ("name", "order", "category", "index"),
    [
        ("vitonhd", "unpaired", "all", 0),
        ("dresscode", "paired", "all", 0),
        ("dresscode", "unpaired", "upper_body", 1),
        ("dresscode", "paired", "lower_body", 0),
    ],
)
def test_the_graph_gets_what_the_reader_gives(toys, read, run, name, order, category, index):
    expected = open_dataset(name, toys / name, "test", order, category)[index]
    sample = read(root=name, order=order, category=category, index=index)
    agnostic, mask, pose_map = graph(run, sample)

    assert torch.equal(mask[:, None], expected.mask[None])
    assert torch.equal(pose_map, expected.pose_map[None])
    assert torch.equal(sample["parse_map"].labels[0], expected.parse)
    for picture, pixels in ((sample["person"], expected.person), (sample["garment"], expected.garment)):
        levels = picture[0] * 255
        torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-5)
        torch.testing.assert_close(picture[0].movedim(-1, 0) * 2 - 1, pixels, rtol=0, atol=1e-6)
    torch.testing.assert_close(agnostic[0].movedim(-1, 0) * 2 - 1, expected.agnostic, rtol=0, atol=1e-6)
    assert (sample["category"], sample["order"], sample["name"]) == (expected.category, order, expected.person_name)


@pytest.mark.parametrize("missing", [0.0, -1.0])
def test_joints_a_data_set_marks_as_missing_reach_the_stroke_as_they_are(toys, read, run, missing):
    """Both wrists: the published stroke then runs through (0, 0), or through where -1 wraps to (Q8)."""
    name = DressCode(toys / "dresscode", "test", "paired", ("upper_body",)).pairs[0][1].replace("_0.jpg", "_2.json")
    file = toys / "dresscode" / "upper_body" / "keypoints" / name
    document = json.loads(file.read_text(encoding="utf-8"))
    for wrist in (4, 7):
        document["keypoints"][wrist][:2] = [missing, missing]
    file.write_text(json.dumps(document), encoding="utf-8")

    expected = DressCode(toys / "dresscode", "test", "paired", ("upper_body",))[0]
    _, mask, pose_map = graph(run, read(root="dresscode", order="paired", category="upper_body", index=0))
    assert torch.equal(mask[:, None], expected.mask[None])
    assert torch.equal(pose_map, expected.pose_map[None])


def test_a_batch_is_its_samples_one_after_the_other(toys, read):
    several = read(root="vitonhd", order="unpaired", batch_size=2, index=1)
    single = [read(root="vitonhd", order="unpaired", index=index) for index in (1, 2)]
    assert several["name"] == "00003_00.jpg\n00005_00.jpg" and len(several["keypoints"]) == 2
    for name in ("person", "garment", "garment_mask"):
        assert torch.equal(several[name], torch.cat([sample[name] for sample in single]))


def test_garment_masks_are_the_data_sets_or_the_whole_picture(toys, read):
    assert (read(root="vitonhd")["garment_mask"] == 1).all()
    mask = read(root="dresscode", category="upper_body")["garment_mask"]
    assert mask.shape == (1, 512, 384) and mask.min() == 0 and mask.max() == 1
    shutil.copytree(toys / "vitonhd" / "test" / "cloth", toys / "vitonhd" / "test" / "cloth-mask")
    assert not (read(root="vitonhd")["garment_mask"] == 1).all()


def test_data_sets_are_found_in_input_and_configured_folders(nodes, folders, golden, read):
    assert listed(nodes) == ["dresscode [example]", "vitonhd [example]"]
    shutil.copytree(golden / "datasets" / "vitonhd", folders["input"] / "vitonhd")
    shutil.copytree(golden / "datasets", folders["data"] / "more")
    (folders["input"] / "pictures").mkdir()
    assert listed(nodes) == ["vitonhd", "more/dresscode [data]", "more/vitonhd [data]", *sorted(EXAMPLES)]
    for root in ("more/dresscode [data]", "[data] more/dresscode"):  # the latter in files of 0.1 and 0.2
        assert read(root=root, category="dresses")["name"] == "000301_0.jpg"


def test_a_configured_folder_may_be_the_data_set(nodes, folders, golden):
    shutil.copytree(golden / "datasets" / "dresscode", folders["data"], dirs_exist_ok=True)
    assert listed(nodes)[0] == "data [data]"


@pytest.mark.parametrize("example", [*EXAMPLES, *BEFORE])
def test_the_shipped_data_sets_are_whole(read, example):
    for category in ("dresses", "upper_body", "lower_body"):
        sample = read(root=example, order="unpaired", category=category, batch_size=2)
        assert sample["person"].shape == sample["garment"].shape == (2, 512, 384, 3)


def test_folders_outside_the_list_are_refused(nodes, folders, golden):
    shutil.copytree(golden / "datasets" / "vitonhd", folders["input"].parent / "secret")
    node = nodes["LadiVTON_DatasetSample"]
    for root in (
        "../secret",
        str(folders["input"].parent / "secret"),
        "[example] ../../tests/golden/datasets/vitonhd",
        "",
    ):
        assert "There is no data set" in node.validate_inputs(root=root)
        with pytest.raises(ValueError, match="There is no data set"):  # a wired name reaches only `execute`
            node.execute(root=root)
    assert node.validate_inputs(root=EXAMPLES[0], split="test", order="paired", category="all") is True
    assert "hats" in node.validate_inputs(root=EXAMPLES[0], category="hats")


def test_a_list_that_leads_out_of_the_data_set_is_refused(toys, read):
    (toys / "vitonhd" / "test_pairs.txt").write_text("../../../secret.jpg 00001_00.jpg\n")
    with pytest.raises(ValueError, match=r"test_pairs\.txt, line 1.*holds a folder"):
        read(root="vitonhd")


def test_past_the_end_says_how_many_there_are(toys, read):
    with pytest.raises(ValueError, match="'index' 2 with 'batch_size' 2 .* VITON-HD has 3 samples, 0 to 2"):
        read(root="vitonhd", index=2, batch_size=2)


def test_a_batch_of_several_categories_is_refused(toys, read):
    with pytest.raises(ValueError, match="samples 0 to 1 are of several categories .dresses, upper_body."):
        read(root="dresscode", batch_size=2)


def test_a_missing_split_names_its_list(toys, read):
    with pytest.raises(FileNotFoundError, match=r"train_pairs\.txt is missing"):
        read(root="vitonhd", split="train")


def test_a_changed_file_is_read_again(toys, nodes):
    node, chosen = nodes["LadiVTON_DatasetSample"], {"root": "vitonhd", "index": 1}
    first = node.fingerprint_inputs(**chosen)
    assert node.fingerprint_inputs(**chosen) == first
    os.utime(toys / "vitonhd" / "test" / "image" / "00001_00.jpg", ns=(1, 1))
    assert node.fingerprint_inputs(**chosen) == first  # another sample's
    os.utime(toys / "vitonhd" / "test" / "image" / "00003_00.jpg", ns=(1, 1))
    assert node.fingerprint_inputs(**chosen) != first
    assert node.fingerprint_inputs(root="vitonhd", index=None) == ""


# --- saving


def test_results_go_where_the_paper_puts_them(nodes, folders):
    levels = torch.arange(2 * 16 * 12 * 3).view(2, 16, 12, 3) % 256
    pictures = (levels + torch.tensor([-0.4, 0.0, 0.4])).clamp(0, 255) / 255  # none halfway between two levels
    output = nodes["LadiVTON_SaveResult"].execute(
        pictures, "00001_00.jpg\n00002_00.jpg", "unpaired", "upper_body", "runs/a", "png"
    )
    assert output.result == ("runs/a/unpaired/upper_body/00001_00.png\nruns/a/unpaired/upper_body/00002_00.png",)
    assert output.ui["images"][1] == {
        "filename": "00002_00.png", "subfolder": "runs/a/unpaired/upper_body", "type": "output",
    }  # fmt: skip
    for file, expected in zip(output.result[0].splitlines(), levels, strict=True):
        assert np.array_equal(np.asarray(Image.open(folders["output"] / file)), expected)


def test_jpeg_has_the_papers_quality(run, folders):
    picture = torch.linspace(0, 1, 64 * 64 * 3).view(1, 64, 64, 3)
    (file,) = run("SaveResult", image=picture, name="a_0.jpg", order="paired", category="dresses")
    assert file == "ladi_vton/results/paired/dresses/a_0.jpg"
    saved = Image.open(folders["output"] / file)
    reference = folders["output"] / "reference.jpg"
    Image.fromarray((picture[0] * 255).round().byte().numpy()).save(reference, quality=95)
    assert saved.quantization == Image.open(reference).quantization


def test_files_are_replaced_only_when_allowed(run, folders):
    run("SaveResult", image=torch.zeros(1, 8, 8, 3), name="a.jpg", format="png")
    both = {"image": torch.ones(2, 8, 8, 3), "name": "new.jpg\na.jpg", "format": "png"}
    with pytest.raises(FileExistsError, match=r"a\.png is there already"):
        run("SaveResult", **both)
    assert not list(folders["output"].rglob("new*"))  # all or nothing
    run("SaveResult", **both, overwrite=True)
    assert len(list(folders["output"].rglob("*.png"))) == 2 and not list(folders["output"].rglob("*.part"))


def test_every_picture_needs_a_name_of_its_own(run, folders):
    pictures = torch.zeros(2, 8, 8, 3)
    with pytest.raises(ValueError, match="batch of 2 and 'name' holds 1"):
        run("SaveResult", image=pictures, name="a.jpg\n")
    with pytest.raises(ValueError, match="one file name a picture"):
        run("SaveResult", image=pictures, name="a.jpg\na.png")


@pytest.mark.parametrize("name", ["../a.jpg", "a/b.jpg", "..", "C:a.jpg", "a\\b.jpg"])
def test_names_with_folders_are_refused(run, folders, name):
    with pytest.raises(ValueError, match="cannot be the name of a file"):
        run("SaveResult", image=torch.zeros(1, 8, 8, 3), name=name)


@pytest.mark.parametrize("folder", ["..", "a/../..", "/tmp", "C:\\results", "link"])
def test_folders_outside_the_output_folder_are_refused(nodes, folders, folder):
    (folders["output"] / "link").symlink_to(folders["input"], target_is_directory=True)
    node = nodes["LadiVTON_SaveResult"]
    assert "below ComfyUI's output folder" in node.validate_inputs(folder=folder)
    with pytest.raises(ValueError, match="below ComfyUI's output folder"):
        node.execute(torch.zeros(1, 8, 8, 3), "a.jpg", folder=folder)
    assert node.validate_inputs(order="paired", category=None, folder="a/b", format="jpg") is True


def test_the_readers_know_what_the_list_shows(nodes, repository):
    assert isinstance(open_dataset("vitonhd", repository / "samples" / "datasets" / "vitonhd"), VitonHD)
    assert len(open_dataset("dresscode", repository / "samples" / "datasets" / "dresscode")) == 6
    assert DressCode.title == "Dress Code"
