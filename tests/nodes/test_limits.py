"""What comes over a wire is held to what the widgets allow, in every node."""

from __future__ import annotations

import inspect
import json
import math

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def boxes(nodes):
    """Every number and choice of every node: (node class, input)."""
    import comfy_api.latest

    io = comfy_api.latest.io
    kinds = (io.Int.Input, io.Float.Input, io.Combo.Input)
    return [(node, box) for node in nodes.values() for box in node.define_schema().inputs if isinstance(box, kinds)]


def given(node, box, value):
    """Arguments that lack nothing but whose first wrong one is `value`."""
    names = inspect.signature(node.execute).parameters
    needed = {name: None for name, one in names.items() if one.default is one.empty and one.kind != one.VAR_KEYWORD}
    return {box.id: value} | {name: value for name, value in needed.items() if name != box.id}


def test_every_number_beyond_its_widget_is_refused_by_name(boxes):
    numbers = [(node, box) for node, box in boxes if hasattr(box, "min")]
    assert len(numbers) > 30
    for node, box in numbers:
        for value in (box.min - 1, box.max * 2 + 1, 2**70, -1e30, math.nan, math.inf, "7"):
            with pytest.raises(ValueError, match=f"'{box.id}' is .*; give .* to "):
                node.execute(**given(node, box, value))


def test_every_choice_that_is_none_is_refused_by_name(boxes, module):
    listed = module("nodes.host.listing").Listed
    choices = [(node, box) for node, box in boxes if hasattr(box, "options") and not isinstance(box.options, listed)]
    assert len(choices) > 20
    for node, box in choices:
        with pytest.raises(ValueError, match=f"'{box.id}' cannot be 'hat'; choose one of "):
            node.execute(**given(node, box, "hat"))


def test_what_the_widgets_allow_passes(module, nodes):
    limits = module("nodes.host.limits")
    for node in nodes.values():
        boxes = {box.id: box for box in node.define_schema().inputs}
        for name, box in boxes.items():
            if hasattr(box, "min"):
                # other packs put NumPy's numbers on their wires
                for value in (box.min, box.max, box.default, np.float64(box.default), np.uint64(abs(box.max))):
                    assert limits.fault(boxes, False, {name: value}) is None
                    assert limits.fault(boxes, True, {name: [value, value]}) is None
            assert not box.optional or limits.fault(boxes, False, {name: None}) is None
    sampler = {box.id: box for box in nodes["LadiVTON_TryOnSampler"].define_schema().inputs}
    assert limits.fault(sampler, False, {"denoise": 0.1 + 0.2 + 0.7 + 1e-9}) is None


def test_a_value_where_a_wire_belongs_is_refused_by_name(nodes, module):
    """As a program can write it into a workflow; ComfyUI looks at wires only where there is one."""
    limits, io = module("nodes.host.limits"), module("nodes.host.types").io
    widgets = (io.Int.Input, io.Float.Input, io.Combo.Input, io.String.Input, io.Boolean.Input)
    wires = [(node, box) for node in nodes.values() for box in node.define_schema().inputs
             if not isinstance(box, widgets)]  # fmt: skip
    assert len(wires) > 60
    for node, box in wires:
        own = box.get_io_type() in ("POSE_KEYPOINT", "BOUNDING_BOX", "CONDITIONING", "LATENT")
        for value in ("x", 3, 0.5, True) if own else ("x", 3, 0.5, True, {}, {"samples": [1]}):
            with pytest.raises(ValueError, match=f"'{box.id}' is .*; connect an output of the type "):
                node.execute(**given(node, box, value))
        missing = limits.missing({box.id: box}, {})
        assert missing is None if box.optional else "is missing; connect" in missing
    pictures = [box for _, box in wires if box.get_io_type() in ("IMAGE", "MASK", "LATENT")]
    assert all("of the type object" in limits.fault({box.id: box}, False, {box.id: object()}) for box in pictures)
    latents = [box for box in pictures if box.get_io_type() == "LATENT"]
    assert all(limits.fault({box.id: box}, False, {box.id: {"samples": [0.0]}}) for box in latents)
    for node in ("LoadPicture", "LoadKeypoints", "LoadEMASC", "LoadVAE", "DatasetSample", "ParsePerson"):
        boxes = nodes[f"LadiVTON_{node}"].define_schema().inputs
        name = next(box.id for box in boxes if isinstance(box, io.Combo.Input))
        for value in (True, 3, [], {}):
            assert isinstance(nodes[f"LadiVTON_{node}"].validate_inputs(**{name: value}), str)


def test_nothing_where_something_is_needed_is_named(run, scene):
    with pytest.raises(ValueError, match="'image' is missing; choose one"):
        run("LoadPicture", image=None)
    with pytest.raises(ValueError, match="'garment' is missing; connect an output of the type IMAGE"):
        run("PrepareGarment", garment=None)


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (1, 0, 8, 3), (1, 8, 0, 3)])
def test_a_batch_of_no_pictures_is_named(run, shape):
    for node, name, more in (
        ("ComparisonSheet", "image_1", {"height": 64, "gap": 8}), ("PrepareGarment", "garment", {}),
        ("SaveResult", "image", {"name": "a"}), ("FitPerson", "photo", {}), ("LabelsFromPicture", "picture", {}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"'{name}' is empty|'image' is a batch of 0"):
            run(node, **{name: torch.zeros(shape)}, **more)


def test_a_list_that_changes_with_the_disk_is_left_to_its_node(nodes, module):
    listed = module("nodes.host.listing").Listed
    by_disk = [
        ("LoadPicture", "image"), ("LoadKeypoints", "file"), ("LoadParseMap", "file"), ("DatasetSample", "root"),
        ("LoadTryOnModel", "unet_name"), ("LoadWarper", "warper_name"), ("LoadEMASC", "emasc_name"),
        ("LoadInversionAdapter", "adapter_name"), ("LoadVAE", "vae_name"), ("LoadCLIP", "clip_name"),
        ("ParsePerson", "parser_name"),
    ]  # fmt: skip
    for node, name in by_disk:
        boxes = {box.id: box for box in nodes[f"LadiVTON_{node}"].define_schema().inputs}
        assert isinstance(boxes[name].options, listed)


def test_a_mask_with_a_value_that_is_no_number_is_named(run, scene):
    mask = torch.zeros(scene.person.shape[:3])
    mask[0, 3, 3] = math.nan
    with pytest.raises(ValueError, match="'mask' holds values that are no numbers"):
        run("PrepareGarment", garment=scene.person, mask=mask)


def test_comfyui_can_tell_its_page_of_every_node(nodes):
    """A node it cannot describe is missing there, with a line in the log."""
    for node in nodes.values():
        told = json.loads(json.dumps(node.GET_NODE_INFO_V1()))["input"]
        assert {*told.get("required", {}), *told.get("optional", {})} == {box.id for box in node.define_schema().inputs}
