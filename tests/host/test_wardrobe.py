"""A wardrobe run is the plain graph, person by person; a new garment runs nothing of the people again."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hosting.graph import the

SAMPLER, DECODER, WORDS = "LadiVTON_TryOnSampler", "LadiVTON_EMASCDecoder", "LadiVTON_TextualInversionEncoder"
CONDITIONING, WARPER, AGNOSTIC = "LadiVTON_TryOnConditioning", "LadiVTON_GarmentWarper", "LadiVTON_AgnosticPerson"


@pytest.fixture
def two_garments(small) -> dict:
    """The small workflow with the garment and its negative as a batch."""
    workflow = copy.deepcopy(small)
    prepared = [the(workflow, "LadiVTON_PrepareGarment"), 0]
    workflow["inverted"] = {"class_type": "ImageInvert", "inputs": {"image": prepared}}
    garments = {"garment_1": prepared, "garment_2": ["inverted", 0]}
    workflow["garments"] = {"class_type": "LadiVTON_WardrobeGarments", "inputs": garments}
    for node in (WORDS, WARPER):
        workflow[the(workflow, node)]["inputs"]["garment"] = ["garments", 0]
    return workflow


@pytest.fixture
def wardrobe(two_garments) -> dict:
    """Two people in two garments: the small person, and one of a data set fitted to the same size."""
    workflow = copy.deepcopy(two_garments)
    first, agnostic = workflow[the(workflow, CONDITIONING)]["inputs"], the(workflow, AGNOSTIC)
    category = {"class_type": "LadiVTON_Category", "inputs": {"category": "upper_body"}}
    sample = {"root": "vitonhd [example]", "split": "test", "order": "paired", "category": "all", "index": 0,
              "batch_size": 1}  # fmt: skip
    size = {"width": 96, "height": 128}
    fit = {"photo": ["sample", 0], "keypoints": ["sample", 3], "parse_map": ["sample", 4], "fit": "pad",
           "border": "edge", "person_index": 0} | size  # fmt: skip
    joints = {"keypoints": ["fit", 1], "person": ["fit", 0], "sigma": 2.5, "person_index": 0} | size
    mask = workflow[agnostic]["inputs"] | {"person": ["fit", 0], "keypoints": ["fit", 1], "parse_map": ["fit", 2]}
    vae = first["vae"]
    workflow |= {
        "category": category,
        "sample": {"class_type": "LadiVTON_DatasetSample", "inputs": sample},
        "fit": {"class_type": "LadiVTON_FitPerson", "inputs": fit},
        "pose": {"class_type": "LadiVTON_PoseMap", "inputs": joints},
        "agnostic": {"class_type": AGNOSTIC, "inputs": mask},
        "one": {"class_type": "LadiVTON_EncodePerson", "inputs": {
            name: first[name] for name in ("vae", "person", "mask", "pose_map")} | {"latent_of_person": False}},
        "two": {"class_type": "LadiVTON_EncodePerson", "inputs": {
            "vae": vae, "person": ["fit", 0], "mask": ["agnostic", 1], "pose_map": ["pose", 0],
            "latent_of_person": False}},
        "people": {"class_type": "LadiVTON_WardrobePeople", "inputs": {"person_1": ["one", 0], "person_2": ["two", 0]}},
        "sheet": {"class_type": "LadiVTON_WardrobeSheet", "inputs": {
            "results": [the(workflow, DECODER), 0], "person": ["people", 1], "garments": ["garments", 0],
            "person_names": "Ann, Bo", "garment_names": "", "height": 128, "gap": 4}},
        "shown": {"class_type": "PreviewImage", "inputs": {"images": ["sheet", 0]}},
    }  # fmt: skip
    for node in (agnostic, "agnostic", the(workflow, WORDS)):
        workflow[node]["inputs"]["category"] = ["category", 0]
    warper = workflow[the(workflow, WARPER)]["inputs"]
    warper["agnostic"], warper["pose_map"] = ["people", 2], ["people", 4]
    conditioning = workflow[the(workflow, CONDITIONING)]
    conditioning["class_type"] = "LadiVTON_GarmentConditioning"
    conditioning["inputs"]["encoded_person"] = ["people", 0]
    for name in ("person", "mask", "pose_map", "latent_of_person"):
        conditioning["inputs"].pop(name, None)
    decoder = workflow[the(workflow, DECODER)]["inputs"]
    decoder["person"], decoder["mask"] = ["people", 1], ["people", 3]
    return workflow


@pytest.mark.long
def test_a_row_is_the_plain_graph_of_that_person(shown, wardrobe, two_garments):
    everybody = shown(wardrobe)
    assert everybody.shape == (4, 128, 96, 3)
    plain = shown(two_garments)
    # Rows of one person come from one run on the same batch: equal but for the rounding of another schedule of threads.
    assert np.abs(everybody[:2] - plain).max() <= 1
    assert np.abs(everybody[2:] - plain).mean() > 10, "the second person is another one"
    assert np.abs(everybody[0] - everybody[1]).mean() > 1, "the second garment is another one"


def test_the_sheet_shows_everybody_in_everything(shown, wardrobe):
    sheet = shown(wardrobe, "shown")
    assert sheet.shape == (1, 3 * (128 + 24 + 4) - 4, 3 * (96 + 4) - 4, 3)
    results = shown(wardrobe)
    for place, result in enumerate(results):
        top, left = (place // 2 + 1) * 156 + 24, (place % 2 + 1) * 100
        assert np.abs(sheet[0, top : top + 128, left : left + 96] - result).max() <= 1


def test_a_new_garment_runs_nothing_of_the_people_again(client, wardrobe):
    client.run(wardrobe).or_raise()
    wardrobe["garments"]["inputs"]["garment_2"] = ["fit", 0]  # any picture of the size
    again = {wardrobe[key]["class_type"] for key in client.run(wardrobe).or_raise().executed}
    people = {"LadiVTON_EncodePerson", "LadiVTON_WardrobePeople", "LadiVTON_PoseMap", AGNOSTIC, "LadiVTON_FitPerson",
              "LadiVTON_LoadKeypoints", "LadiVTON_LoadParseMap", "LadiVTON_DatasetSample"}  # fmt: skip
    assert not again & people
    assert {"LadiVTON_WardrobeGarments", WORDS, WARPER, "LadiVTON_GarmentConditioning", SAMPLER, DECODER} <= again


def test_a_new_person_encodes_only_that_one(client, wardrobe):
    client.run(wardrobe).or_raise()
    wardrobe["sample"]["inputs"]["index"] = 1
    again = client.run(wardrobe).or_raise().executed
    assert "two" in again and "one" not in again and the(wardrobe, WORDS) not in again
