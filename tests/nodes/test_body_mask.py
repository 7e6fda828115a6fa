"""Body Mask gives the core's mask for any batch and says what looks wrong; hands travel with the joints."""

from __future__ import annotations

import pytest
import torch

from ladivton_core.preprocessing.labels import ATR18, LIP20, atr18_from_lip20
from ladivton_core.preprocessing.masks.body_mask import body_mask, cloth_on_white
from ladivton_core.preprocessing.pose.dialects import HAND, HAND_KEYS

SIZE = (128, 96)


@pytest.fixture
def wires(scene):
    """What goes in: garments drawn where the old ones are, moved a little, and the silhouettes."""
    worn = scene.parse == LIP20.id("upper_clothes")
    moved = torch.roll(worn, (4, 3), (1, 2))
    warped = torch.where(moved[..., None], torch.tensor([0.2, 0.3, 0.8]), torch.ones(3))
    silhouette = (scene.parse > 0).float()
    return {"warped_garment": warped, "keypoints": scene.keypoints, "silhouette": silhouette}


@pytest.fixture
def said(nodes):
    """`said(**inputs)`: the lines the node leaves on the page."""

    def run(**inputs) -> list[str]:
        with torch.inference_mode():
            return nodes["LadiVTON_BodyMask"].execute(**inputs).ui["text"]

    return run


def test_it_is_the_cores_mask_and_covers_garment_and_cloth(run, scene, wires):
    mask, *_ = run("BodyMask", **wires, person=scene.person)
    cloth = cloth_on_white(wires["warped_garment"].movedim(-1, 1))
    expected = body_mask(
        "upper_body", SIZE, keypoints=scene.joints.double(), cloth=cloth, silhouette=wires["silhouette"][:, None],
        picture=scene.person.movedim(-1, 1),
    )  # fmt: skip
    assert torch.equal(mask, expected[:, 0])
    face = scene.parse == LIP20.id("face")
    assert mask[scene.parse == LIP20.id("upper_clothes")].mean() > 0.95 and mask[face].mean() < 0.1
    _, stroke = run("AgnosticPerson", person=scene.person, keypoints=scene.keypoints, silhouette=wires["silhouette"])
    assert (mask * (scene.parse == 0)).sum() < 0.7 * (stroke * (scene.parse == 0)).sum()


def test_a_batch_is_its_items_and_a_single_one_serves_all(run, wires):
    both, *_ = run("BodyMask", **wires)
    for item in range(2):
        alone, *_ = run("BodyMask", **{name: value[item : item + 1] for name, value in wires.items()})
        assert torch.equal(alone[0], both[item])
    shared, *_ = run("BodyMask", **wires | {"silhouette": torch.ones(1, *SIZE)})
    assert shared.shape == (2, *SIZE)


def test_labels_decide_where_they_are_connected_and_kept_masks_always(run, scene, wires):
    keep = torch.zeros(1, *SIZE)
    keep[:, 50:60] = 1
    mask, *_ = run("BodyMask", **wires, parse_map=scene.parse_map, keep_mask=keep)
    labels = torch.isin(scene.parse, torch.tensor(LIP20.ids(("face", "hair", "left_shoe", "right_shoe"))))
    assert not mask[labels].any() and not mask[:, 50:60].any()
    worn = scene.parse == LIP20.id("upper_clothes")
    worn[:, 50:60] = False
    assert mask[worn].all()
    _, (atr, *_) = (
        run("BodyMask", **wires | {"keypoints": None}, parse_map=scene.parse_map),
        run("BodyMask", **wires, parse_map=type(scene.parse_map)(atr18_from_lip20(scene.parse), ATR18)),
    )
    assert atr[scene.parse == LIP20.id("upper_clothes")].all()


def test_nobody_passes_and_what_looks_wrong_is_said(run, said, scene, wires):
    assert said(**wires) == []
    alone = {**wires, "keypoints": [scene.keypoints[0], {"people": []}]}
    with pytest.raises(ValueError, match="Picture 1 of 'keypoints' shows nobody"):
        run("BodyMask", **alone)
    mask, *_ = run("BodyMask", **alone, nobody="pass")
    assert mask[0].any() and not mask[1].any()
    (line,) = said(**wires | {"warped_garment": torch.ones(2, *SIZE, 3)})
    assert line.startswith("Warning: A 'warped_garment' is white")
    lines = said(**wires | {"silhouette": 1 - wires["silhouette"]})
    assert len(lines) == 2 and all("the wrong way round" in line for line in lines)
    with pytest.raises(ValueError, match="'person' is 64 x 96"):
        run("BodyMask", **wires, person=scene.person[:, :64])
    with pytest.raises(ValueError, match="Nothing is repainted in picture 0, 1"):
        run("BodyMask", **wires, keep_mask=torch.ones(1, *SIZE))


def test_without_joints_it_stays_beside_the_cloth(run, wires):
    mask, *_ = run("BodyMask", **wires | {"keypoints": None}, margin=0)
    cloth = (wires["warped_garment"] < 0.9).any(-1)
    assert mask[cloth].all() and not mask[~cloth.any(-1)].any()


def test_the_result_is_stitched_within_it(run, scene, wires):
    photo = scene.person
    person, keypoints, _, _, fit = run("FitPerson", photo=photo, keypoints=scene.keypoints, width=96, height=128)
    mask, *_ = run("BodyMask", **wires | {"keypoints": keypoints})
    stitched, _ = run("StitchPerson", result=1 - person, photo=photo, fit=fit, mask=mask)
    assert torch.equal(stitched[mask < 0.5], photo[mask < 0.5]) and (stitched != photo)[mask > 0.5].any()


def test_hands_go_through_fit_person(run, scene):
    hand = [value for place in range(HAND) for value in (30.0 + place, 70.0, 0.9)]
    documents = [document | {"people": [document["people"][0] | {HAND_KEYS[1]: hand}]} for document in scene.keypoints]
    fitted = run("FitPerson", photo=scene.person, keypoints=documents, width=192, height=256, mode="body")[1]
    points = torch.tensor(fitted[0]["people"][0][HAND_KEYS[1]]).view(HAND, 3)
    expected = torch.tensor(hand).view(HAND, 3) * torch.tensor([2.0, 2.0, 1.0])
    torch.testing.assert_close(points, expected)
    assert not any(fitted[0]["people"][0][HAND_KEYS[0]])


def test_what_stays_of_shirt_and_trousers_under_a_dress_is_said_or_repainted(nodes, scene, module):
    atr = module("nodes.host.types").ParseMap(atr18_from_lip20(scene.parse), ATR18)
    worn = torch.isin(atr.labels, torch.tensor(ATR18.ids(("upper_clothes", "pants", "skirt"))))

    def masked(**options):
        with torch.inference_mode():
            made = nodes["LadiVTON_AgnosticPerson"].execute(
                person=scene.person, keypoints=scene.keypoints, parse_map=atr, category="dresses", **options
            )
        return made.result[1], made.ui["text"]

    mask, lines = masked()
    assert mask[worn].mean() < 0.9 and any("stay: ATR18's rule for dresses" in line for line in lines)
    assert any("'repaint_worn'" in line for line in lines)
    mask, lines = masked(repaint_worn=True)
    assert mask[worn].mean() > 0.97 and not any("stay:" in line for line in lines)


def test_an_underlay_is_drawn_where_it_is_asked_for(run, scene, wires, nodes):
    assert run("BodyMask", **wires)[2] is None
    with pytest.raises(ValueError, match="connect 'person', or switch it off"):
        run("BodyMask", **wires, draw_underlay=True)
    mask, paste, under = run("BodyMask", **wires, person=scene.person, draw_underlay=True)
    assert under.shape == (2, *SIZE, 3) and paste.shape == mask.shape
    changed = (under - scene.person).abs().amax(-1) > 0.01
    assert changed.any() and bool((paste[changed & ((under - 0.5).abs().amax(-1) > 0.01)] == 1).all())
