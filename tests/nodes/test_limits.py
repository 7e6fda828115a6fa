"""What comes over a wire is held to what the widgets allow, in every node."""

from __future__ import annotations

import math

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
    """Arguments that lack nothing, so that only the value in question can be refused."""
    import inspect

    names = list(inspect.signature(node.execute).parameters)
    needed = {box.id: None for box in node.define_schema().inputs if box.id in names or "images" in names}
    return needed | {box.id: value}


def test_every_number_beyond_its_widget_is_refused_by_name(boxes):
    numbers = [(node, box) for node, box in boxes if hasattr(box, "min")]
    assert len(numbers) > 30
    for node, box in numbers:
        for value in (box.min - 1, box.max * 2 + 1, 2**70, -1e30, math.nan, math.inf, "7"):
            with pytest.raises(ValueError, match=f"'{box.id}' is .*; give .* to "):
                node.execute(**given(node, box, value))


def test_every_choice_that_is_none_is_refused_by_name(boxes, module):
    listed = module("nodes.listing").Listed
    choices = [(node, box) for node, box in boxes if hasattr(box, "options") and not isinstance(box.options, listed)]
    assert len(choices) > 20
    for node, box in choices:
        with pytest.raises(ValueError, match=f"'{box.id}' cannot be 'hat'; choose one of "):
            node.execute(**given(node, box, "hat"))


def test_what_the_widgets_allow_passes(module, nodes):
    limits = module("nodes.limits")
    for node in nodes.values():
        widgets = {box.id: box for box in node.define_schema().inputs if hasattr(box, "min")}
        for name, box in widgets.items():
            for value in (box.min, box.max, box.default, None, [box.default]):
                assert limits.fault(widgets, {name: value}) is None
    sampler = {box.id: box for box in nodes["LadiVTON_TryOnSampler"].define_schema().inputs}
    assert limits.fault(sampler, {"denoise": 0.1 + 0.2 + 0.7 + 1e-9}) is None


def test_a_list_that_changes_with_the_disk_is_left_to_its_node(nodes, module):
    listed = module("nodes.listing").Listed
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
