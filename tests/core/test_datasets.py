"""VITON-HD and Dress Code readers on the toy trees of tests/golden, and the pixel-exact golden comparison."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from ladivton_core.datasets import DressCode, VitonHD, collate
from ladivton_core.datasets.reading import label_tensor, read_pairs
from ladivton_core.parity import case, dataset_cases
from ladivton_core.preprocessing import agnostic_mask

GOLDEN = Path(__file__).parent.parent / "golden"
TREES = GOLDEN / "datasets"


def test_golden_masks_pictures_and_poses():
    checks = list(dataset_cases.dataset(case.read_case(GOLDEN / "dataset.json")))
    assert len(checks) >= 8 * 9
    assert [c for c in checks if not c.ok] == []


@pytest.mark.parametrize("picture", sorted((GOLDEN / "masks_png").glob("*.png")), ids=lambda p: p.stem)
def test_golden_mask_pictures(picture):
    name, category, stem = picture.stem.split("__")
    root = TREES / name
    data = VitonHD(root) if name == "vitonhd" else DressCode(root, categories=category)
    index = [pair[-2] for pair in data.pairs].index(f"{stem}.jpg")
    assert torch.equal(label_tensor(Image.open(picture).convert("L"), (512, 384))[None] > 127, data[index].mask > 0)


def test_a_sample_is_what_the_stages_expect():
    sample = VitonHD(TREES / "vitonhd", size=(128, 96))[0]
    assert sample.person.shape == sample.garment.shape == sample.agnostic.shape == (3, 128, 96)
    assert sample.mask.shape == (1, 128, 96) and set(sample.mask.unique().tolist()) == {0, 1}
    assert sample.pose_map.shape == (18, 128, 96) and sample.keypoints.shape == (18, 2)
    assert sample.parse.shape == (128, 96) and sample.parse.dtype == torch.int64
    assert sample.person.abs().max() <= 1 and sample.category == "upper_body"
    assert not sample.agnostic[sample.mask.expand(3, -1, -1) > 0].any()


def test_order_picks_the_garment():
    paired, unpaired = (VitonHD(TREES / "vitonhd", order=order) for order in ("paired", "unpaired"))
    assert len(paired) == len(unpaired) == 3
    assert paired.pairs[0] == ("00001_00.jpg", "00001_00.jpg") and unpaired.pairs[0] == ("00001_00.jpg", "00002_00.jpg")


def test_training_is_always_paired(tmp_path):
    (tmp_path / "train_pairs.txt").write_text("a.jpg b.jpg\n")
    assert VitonHD(tmp_path, split="train", order="unpaired").pairs == [("a.jpg", "a.jpg")]


def test_dress_code_joins_its_categories_in_the_published_order():
    data = DressCode(TREES / "dresscode", order="unpaired", size=(64, 48))
    assert [pair[0] for pair in data.pairs] == ["dresses", *["upper_body"] * 2, *["lower_body"] * 2]
    assert len(DressCode(TREES / "dresscode", categories=("lower_body",))) == 2
    sample = data[1]
    assert sample.category == "upper_body" and sample.garment_name == "000102_1.jpg"
    assert (sample.garment[:, 0, 0] == 1).all()  # white around the garment


def test_off_proportion_sizes_scale_arms_by_height_and_dots_by_both():
    data = DressCode(TREES / "dresscode", categories="upper_body", size=(512, 192))
    sample = data[0]
    nose = torch.tensor([189.771 / 2, 80.987])
    assert torch.allclose(sample.keypoints[0].float(), nose)
    # published §1.3: arms and neck take H/512 in both directions
    arms = sample.keypoints * torch.tensor([2.0, 1.0])
    assert torch.equal(sample.mask, agnostic_mask(sample.parse[None], arms[None], "upper_body", data.labels)[0])


def test_samples_collate_in_a_data_loader():
    loader = torch.utils.data.DataLoader(
        DressCode(TREES / "dresscode", size=(64, 48)), batch_size=2, collate_fn=collate
    )
    batch = next(iter(loader))
    assert batch.person.shape == (2, 3, 64, 48) and batch.mask.shape == (2, 1, 64, 48)
    assert batch.category == ("dresses", "upper_body") and batch.person_name[0] == "000301_0.jpg"
    with pytest.raises(ValueError, match="empty"):
        collate([])


def test_grey_pictures_are_read_as_colour(tmp_path):
    root = tmp_path / "vitonhd"
    shutil.copytree(TREES / "vitonhd", root)
    path = root / "test" / "image" / "00001_00.jpg"
    Image.open(path).convert("L").save(path)
    assert VitonHD(root, size=(64, 48))[0].person.shape == (3, 64, 48)


def test_missing_files_and_unknown_options_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"test_pairs\.txt is missing; choose the folder"):
        VitonHD(tmp_path)
    with pytest.raises(FileNotFoundError, match="train_pairs"):
        DressCode(TREES / "dresscode", split="train")
    with pytest.raises(ValueError, match="'random'"):
        VitonHD(TREES / "vitonhd", order="random")
    with pytest.raises(ValueError, match="'hats'"):
        DressCode(TREES / "dresscode", categories=("hats",))
    root = tmp_path / "v"
    shutil.copytree(TREES / "vitonhd", root)
    (root / "test" / "cloth" / "00001_00.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="pair list names it"):
        VitonHD(root)[0]
    (root / "test" / "openpose_json" / "00003_00_keypoints.json").write_text("{")
    with pytest.raises(ValueError, match=r"00003_00_keypoints\.json is no valid JSON"):
        VitonHD(root)[1]
    (root / "test" / "openpose_json" / "00005_00_keypoints.json").write_text(json.dumps({"people": []}))
    with pytest.raises(ValueError, match="nobody"):
        VitonHD(root)[2]


def test_coloured_parse_maps_and_odd_pair_lines_are_refused(tmp_path):
    with pytest.raises(ValueError, match="label ids"):
        label_tensor(Image.new("RGB", (4, 4)), (4, 4))
    (tmp_path / "pairs.txt").write_text("a.jpg b.jpg\n\nc.jpg\n")
    with pytest.raises(ValueError, match="line 3"):
        read_pairs(tmp_path / "pairs.txt")
