"""A real photograph goes through: scikit-image's portrait of an astronaut, joints and parse map drawn by hand.

The embedded default has seen drawn people only, so nothing is asked of the new garment's looks here: the run ends,
mask and warped garment sit on the torso, and paste-back keeps every pixel outside the mask.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from hosting.graph import the, with_value
from PIL import Image

HAIR, UPPER_CLOTHES, FACE = 2, 5, 13  # LIP20


@pytest.fixture
def photo(tmp_path):
    """The left 384 columns of the portrait: 512 x 384, all of the person."""
    from skimage import data

    file = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()[:, :384]).save(file)
    return file


@pytest.fixture
def labels(repository) -> np.ndarray:
    return np.asarray(Image.open(repository / "tests" / "data" / "astronaut" / "parse.png"))


@pytest.fixture
def results(client, shipped, photo, repository) -> dict[str, np.ndarray]:
    """`result`, `mask` and `warped` of the shipped workflow on the photo, with paste-back."""
    folder = repository / "tests" / "data" / "astronaut"
    uploaded = {
        "person": client.upload(photo),
        "keypoints": client.upload(folder / "keypoints.json", "astronaut.json"),
        "parse": client.upload(folder / "parse.png", "astronaut_parse.png"),
    }
    workflow = with_value(shipped, "steps", 1)
    agnostic, decoder = the(workflow, "LadiVTON_AgnosticPerson"), the(workflow, "LadiVTON_EMASCDecoder")
    person = workflow[agnostic]["inputs"]["person"]
    workflow[person[0]]["inputs"]["image"] = uploaded["person"]
    workflow[the(workflow, "LadiVTON_LoadKeypoints")]["inputs"] = {
        "file": uploaded["keypoints"],
        "coordinates": "768 x 1024 (VITON-HD)",
    }
    workflow[the(workflow, "LadiVTON_LoadParseMap")]["inputs"] = {"file": uploaded["parse"], "label_set": "LIP20"}
    workflow[decoder]["inputs"] |= {"paste_back": True, "paste_feather": 0, "person": person, "mask": [agnostic, 1]}
    workflow = {key: node for key, node in workflow.items() if node["class_type"] not in ("SaveImage", "PreviewImage")}
    workflow["mask_picture"] = {"class_type": "MaskToImage", "inputs": {"mask": [agnostic, 1]}}
    for name, source in {
        "result": [decoder, 0],
        "mask": ["mask_picture", 0],
        "warped": [the(workflow, "LadiVTON_GarmentWarper"), 0],
    }.items():
        workflow[name] = {"class_type": "SaveImage", "inputs": {"images": source, "filename_prefix": name}}

    run = client.run(workflow).or_raise()
    target = repository / "output" / "tests"
    target.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for name in ("result", "mask", "warped"):
        content = client.view(run.outputs[name]["images"][0])
        (target / f"astronaut_{name}.png").write_bytes(content)  # to be looked at
        pictures[name] = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    return pictures


def test_mask_and_warp_sit_on_the_torso_and_paste_back_keeps_the_rest(results, labels, photo):
    person = np.asarray(Image.open(photo))
    mask = results["mask"][..., 0] > 127
    suit, head = labels == UPPER_CLOTHES, np.isin(labels, (HAIR, FACE))

    assert mask[suit].mean() > 0.99, "the old garment is repainted"
    assert not mask[head].any(), "face and hair are kept"
    assert (suit & mask).sum() / mask.sum() > 0.7, "the mask is little more than the garment"

    drawn = (results["warped"] < 230).any(-1)
    rows, columns = np.nonzero(drawn)
    top, bottom = np.nonzero(suit.any(1))[0][[0, -1]]
    left, right = np.nonzero(suit.any(0))[0][[0, -1]]
    assert drawn.mean() > 0.03, "a garment is there"
    assert top < rows.mean() < bottom and left < columns.mean() < right
    assert (drawn & mask).sum() / drawn.sum() > 0.7, "most of the warped garment lies where it is painted"

    assert np.array_equal(results["result"][~mask], person[~mask]), "outside the mask every pixel is the photo's"
    assert np.abs(results["result"][mask].astype(float) - person[mask]).mean() > 2, "inside it the photo was repainted"
