"""What looks wrong is said on the node and in the log, and only then."""

from __future__ import annotations

import logging

import pytest
import torch


@pytest.fixture
def said(nodes, caplog):
    """`said("PoseMap", keypoints=...)`: the lines a node leaves on the page; its warnings are in the log as well."""

    def run(node: str, **inputs) -> list[str]:
        caplog.clear()
        with torch.inference_mode(), caplog.at_level(logging.INFO):
            lines = nodes[f"LadiVTON_{node}"].execute(**inputs).ui["text"]
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == sum(line.startswith("Warning: ") for line in lines)
        return lines

    return run


@pytest.fixture
def agnostic(said, scene):
    """The lines of Agnostic Person on the drawn scene."""
    wires = {"person": scene.person, "keypoints": scene.keypoints, "parse_map": scene.parse_map}
    return lambda **other: said("AgnosticPerson", **wires | other)


def doubled(keypoints: list) -> list:
    people = [[v * 2 if i % 3 < 2 else v for i, v in enumerate(k["people"][0]["pose_keypoints_2d"])] for k in keypoints]
    return [k | {"people": [{"pose_keypoints_2d": p}]} for k, p in zip(keypoints, people, strict=True)]


def test_a_graph_that_fits_has_nothing_to_say(agnostic, said, scene):
    assert agnostic() == []
    assert said("PoseMap", keypoints=scene.keypoints, person=scene.person) == []
    assert said("FitPerson", photo=scene.person, keypoints=scene.keypoints, width=96, height=128) == []


def test_a_garment_that_is_squeezed_by_more_than_a_tenth_is_told(said):
    garment = torch.ones(1, 200, 300, 3)
    garment[:, 50:150, 100:200] = 0.2
    (line,) = said("PrepareGarment", garment=garment)
    assert line.startswith("Warning: The garment is 300 x 200, stretched to 384 x 512") and "50% narrower" in line
    for given in ({"fit": "pad"}, {"fit": "crop"}, {"centre": True}, {"width": 720, "height": 512}):
        assert said("PrepareGarment", garment=garment, **given) == []


def test_a_wrong_label_set_is_named(agnostic, scene, module):
    labels = module("ladivton_core.preprocessing.labels")
    atr = labels.atr18_from_lip20(scene.parse)
    (line,) = agnostic(parse_map=module("nodes.host.types").ParseMap(atr, labels.LIP20))
    assert line.startswith("Warning: In picture 0 the parse map read as LIP20 puts nose on scarf")
    assert "read as ATR18 it makes sense" in line and "'label_set' of Load Parse Map" in line
    assert agnostic(parse_map=module("nodes.host.types").ParseMap(atr, labels.ATR18)) == []


def test_joints_outside_the_picture_are_named_wherever_they_are_used(agnostic, said, scene):
    wrong = doubled(scene.keypoints)
    lines = [
        *said("PoseMap", keypoints=wrong, person=scene.person),
        *said("FitPerson", photo=scene.person, keypoints=wrong, width=96, height=128),
        *agnostic(keypoints=wrong, parse_map=None, garment_mask=torch.ones(1, *scene.person.shape[1:3])),
    ]
    assert len(lines) == 3
    assert all("outside picture 0 of 96 x 128 pixels" in line and "'coordinates'" in line for line in lines)


def test_one_line_is_said_once_and_nothing_to_say_still_clears_the_node(module):
    notes = module("nodes.host.notes").Notes("A node")
    assert notes.ui == {"text": []}
    notes.warn(None)
    notes.warn("odd")
    notes.warn("odd")
    assert notes.ui == {"text": ["Warning: odd"]}


@torch.inference_mode()
def test_an_empty_or_faint_mask_is_said_where_it_is_used(nodes, models, scene, prepared):
    mask = prepared.mask.clone()
    mask[1] = 0.3
    person = {"vae": models.vae, "person": scene.person, "mask": mask, "pose_map": prepared.pose_map}
    worn = {"positive": prepared.positive, "negative": prepared.negative, "warped_garment": prepared.warped}
    for name, more in (("EncodePerson", {}), ("TryOnConditioning", worn)):
        said = nodes[f"LadiVTON_{name}"].execute(**person, **more).ui["text"]
        assert [line for line in said if "Nothing is repainted in picture 1:" in line], name
        said = nodes[f"LadiVTON_{name}"].execute(**person | {"mask": prepared.mask}, **more).ui["text"]
        assert not [line for line in said if "Nothing is repainted" in line], name


@pytest.fixture
def lanes():
    """A graph in API format: two lanes, the second on the first one's result, masks through another pack's node."""

    def lane(first: str, person: list, agnostic: object, encoder: object, prompt: object = "") -> dict:
        return {
            f"{first}agnostic": {
                "class_type": "LadiVTON_AgnosticPerson", "inputs": {"person": person, "category": agnostic}
            },
            f"{first}grow": {"class_type": "GrowMask", "inputs": {"mask": [f"{first}agnostic", 1], "expand": 4}},
            f"{first}words": {
                "class_type": "LadiVTON_TextualInversionEncoder", "inputs": {"category": encoder, "prompt": prompt}
            },
            f"{first}meet": {
                "class_type": "LadiVTON_TryOnConditioning",
                "inputs": {"positive": [f"{first}words", 0], "mask": [f"{first}grow", 0], "person": person},
            },
            f"{first}out": {"class_type": "LadiVTON_EMASCDecoder", "inputs": {"skip_features": [f"{first}meet", 3]}},
        }  # fmt: skip

    return lane


def differ(module, graph: dict, node: str) -> str | None:
    return module("nodes.conditioning").categories_differ(graph.get, node)


def test_different_categories_in_one_lane_are_named(module, lanes):
    graph = lanes("a", ["photo", 0], "dresses", "upper_body")
    assert "'Agnostic Person' cuts out dresses" in differ(module, graph, "ameet")
    assert "describes upper_body" in differ(module, graph, "ameet")


def test_the_body_masks_own_category_counts(module, lanes):
    graph = lanes("a", ["photo", 0], "dresses", "upper_body")
    behind = {"warped_garment": ["aagnostic", 0], "category": "lower_body"}
    graph["abody"] = {"class_type": "LadiVTON_BodyMask", "inputs": behind}
    graph["agrow"]["inputs"]["mask"] = ["abody", 0]
    assert "'Body Mask' cuts out lower_body" in differ(module, graph, "ameet")
    behind["category"] = "upper_body"
    assert differ(module, graph, "ameet") is None


def test_the_same_category_or_an_own_prompt_is_fine(module, lanes):
    for options in (
        ("dresses", "dresses"),
        ("dresses", "upper_body", "a photo of $"),
        ("dresses", "dresses", ["x", 0]),
    ):
        assert differ(module, lanes("a", ["photo", 0], *options), "ameet") is None


def test_two_lanes_one_after_the_other_are_two_lanes(module, lanes):
    graph = lanes("a", ["photo", 0], "upper_body", "upper_body") | lanes("b", ["aout", 0], "lower_body", "lower_body")
    assert differ(module, graph, "bmeet") is None
    graph["bwords"]["inputs"]["category"] = "upper_body"
    assert "cuts out lower_body" in differ(module, graph, "bmeet")


def test_what_comes_by_wire_is_compared_by_wire_only(module, lanes):
    assert differ(module, lanes("a", ["photo", 0], ["data", 5], ["data", 5]), "ameet") is None
    assert differ(module, lanes("a", ["photo", 0], ["data", 5], "upper_body"), "ameet") is None


@pytest.mark.parametrize(("loader", "picture", "own"), [
    ("LadiVTON_LoadPicture", "person [example].png [temp]", False),
    ("LadiVTON_LoadPicture", "[example] person.png", False),  # before 0.2
    ("LadiVTON_LoadPicture", "uploaded.png", False),  # a copy of an example
    ("LoadImage", "uploaded.png", False),
    ("LadiVTON_LoadPicture", "me.png", True),
    ("LoadImage", "me.png", True),
    ("LadiVTON_DatasetSample", "vitonhd [example]", False),
    ("LadiVTON_DatasetSample", "vitonhd", True),
    ("EmptyImage", None, True),
])  # fmt: skip
def test_a_picture_of_ones_own_before_models_of_drawn_people_is_told(
    module, repository, tmp_path, monkeypatch, loader, picture, own
):
    """Through other nodes; who else brings something, a keypoint file or a number, is not asked."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    (tmp_path / "uploaded.png").write_bytes((repository / "samples" / "person.png").read_bytes())
    (tmp_path / "me.png").write_bytes((repository / "samples" / "garment.png").read_bytes() + b"x")
    field = {"root" if loader == "LadiVTON_DatasetSample" else "image": picture}
    graph = {
        "picture": {"class_type": loader, "inputs": field if picture else {"width": 64}},
        "joints": {"class_type": "LadiVTON_LoadKeypoints", "inputs": {"file": "mine.json"}},
        "number": {"class_type": "PrimitiveInt", "inputs": {"value": 1}},
        "scaled": {"class_type": "ImageScale", "inputs": {"image": ["picture", 0], "width": ["number", 0]}},
        "fit": {"class_type": "LadiVTON_FitPerson", "inputs": {"photo": ["scaled", 0], "keypoints": ["joints", 0]}},
        "meet": {"class_type": "LadiVTON_TryOnConditioning", "inputs": {"person": ["fit", 0]}},
    }
    said = module("nodes.upstream").own_picture(graph.get, "meet")
    assert ("know drawn people only" in said and "'Photo, ... weights'" in said) if own else said is None


def test_a_stitched_photos_file_is_told_through_garments_and_earlier_stitches(module):
    def node(kind: str, **inputs) -> dict:
        return {"class_type": kind, "inputs": inputs}

    graph = {
        "me": node("LadiVTON_LoadPicture", image="me.png"),
        "shirt": node("LadiVTON_LoadPicture", image="shirt.png"),
        "one": node("LadiVTON_StitchPerson", photo=["me", 0], result=["shirt", 0]),
        "two": node("LadiVTON_StitchPerson", photo=["one", 0], result=["shirt", 0]),
        "detail": node("LadiVTON_GarmentDetail", picture=["two", 0], garment=["shirt", 0], region=["two", 1]),
        "save": node("LadiVTON_SaveResult", image=["detail", 0]),
    }

    def told() -> str | None:
        return module("nodes.upstream").photo_stitched_into(graph.get, "save")

    assert told() == "me.png"
    graph["one"]["inputs"]["photo"] = ["shirt", 0]
    graph["detail"]["inputs"]["garment"] = ["one", 0]
    assert told() == "shirt.png"
    graph["one"]["inputs"]["onto"] = ["me", 0]
    assert told() == "shirt.png"
    for kind in ("LoadImage", "EmptyImage"):
        assert module("nodes.upstream").photo_stitched_into((graph | {"shirt": node(kind)}).get, "save") is None
    graph["save"]["inputs"]["image"] = ["shirt", 0]
    assert told() is None


def test_only_models_of_drawn_people_are_warned_of(module, models):
    """Told by the VAE that a node of this pack loaded, in a running graph; elsewhere there is nothing to tell from."""
    presets = module("ladivton_core.presets")
    assert models.vae.first_stage_model.preset.drawn_only and not presets.SD2.drawn_only
    assert module("nodes.upstream").photo_for_drawn_models(models.vae, None) is None


def test_a_graph_in_a_circle_or_with_holes_is_no_trouble(module, lanes):
    graph = lanes("a", ["photo", 0], "dresses", "upper_body")
    graph["agrow"]["inputs"] |= {"mask": ["agrow", 0], "other": ["nowhere", 0]}
    assert differ(module, graph, "ameet") is None


def test_a_painted_mask_beside_the_joints_is_told(agnostic, scene):
    worn = torch.isin(scene.parse, torch.tensor(scene.parse_map.label_set.ids(("upper_clothes", "dress", "coat"))))
    own, beside = worn.float(), torch.roll(worn, 48, dims=-1).float()
    assert not agnostic(parse_map=None, garment_mask=own)
    (line,) = agnostic(parse_map=None, garment_mask=beside)
    assert "painted mask and the joints disagree" in line and "this person's photo" in line
