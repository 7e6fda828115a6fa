"""What Python users hand to the pipeline is taken right, or refused in words before anything is computed."""

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.finishing.detail import garment_detail
from ladivton_core.finishing.editing import bring_back
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.framing.fitting import Fit
from ladivton_core.preprocessing.prepare import prepare_person


@pytest.fixture(scope="module")
def pipeline():
    return TryOnPipeline.from_embedded()


def inputs():
    generator = torch.Generator().manual_seed(0)
    person, garment = (torch.rand(1, 3, 64, 48, generator=generator) * 2 - 1 for _ in range(2))
    return {
        "person": person,
        "garment": garment,
        "mask": torch.ones(1, 1, 64, 48),
        "pose_map": torch.zeros(1, 18, 64, 48),
    }


WRONG = {
    "in 0...255": lambda picture: (picture + 1) * 127.5,
    "bytes": lambda picture: ((picture + 1) * 127.5).byte(),
    "Pillow": lambda picture: Image.new("RGB", (48, 64)),
    "NumPy": lambda picture: picture.numpy(),
    "a list": lambda picture: [picture[0]],
    "without batch": lambda picture: picture[0],
    "channels last": lambda picture: picture.movedim(1, -1),
    "with alpha": lambda picture: torch.cat([picture, torch.ones_like(picture[:, :1])], 1),
}


@pytest.mark.parametrize("items_alone", [False, True])
@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("which", ["person", "garment"])
def test_another_picture_is_refused_by_name(pipeline, which, kind, items_alone):
    given = inputs()
    given[which] = WRONG[kind](given[which])
    with pytest.raises(ValueError, match=rf"^{which} must be a tensor \(B, 3, H, W\) from -1 to 1"):
        pipeline(given.pop("person"), given.pop("garment"), **given, steps=1, items_alone=items_alone)


@pytest.mark.parametrize("kind", ["Pillow", "NumPy", "a list", "without batch", "in 0...255"])
@pytest.mark.parametrize(("which", "called"), [("mask", "mask"), ("pose_map", "pose map")])
def test_another_map_is_refused_by_name(pipeline, which, called, kind):
    given = inputs()
    given[which] = WRONG[kind](given[which])
    with pytest.raises(ValueError, match=rf"^{called} must be a tensor .* from 0 to 1"):
        pipeline.encode_person(given["person"], given["mask"], given["pose_map"])


def test_every_stage_that_takes_a_garment_refuses_it(pipeline):
    bright = inputs()["garment"].add(1).mul(127.5)
    with pytest.raises(ValueError, match="garment must be"):
        pipeline.encode_garment(bright, "upper_body")
    given = inputs()
    person = pipeline.encode_person(given["person"], given["mask"], given["pose_map"])
    with pytest.raises(ValueError, match="garment must be"):
        pipeline.warp(np.asarray(bright), person)
    with pytest.raises(ValueError, match="warped garment must be"):
        pipeline(person, given["garment"], warped=bright, steps=1)


SINGLE = {
    "in 0...255": lambda picture: picture * 255,
    "bytes": lambda picture: (picture * 255).byte(),
    "from -1": lambda picture: picture * 2 - 1,
    "NumPy": lambda picture: picture.movedim(0, -1).numpy(),
    "channels last": lambda picture: picture.movedim(0, -1),
    "a batch": lambda picture: picture[None],
    "grey": lambda picture: picture[:1],
    "with alpha": lambda picture: torch.cat([picture, picture[:1]]),
}
DOORS = {
    "photo": lambda given, right: prepare_person(given, [], "upper_body", (64, 48)),
    "result": lambda given, right: bring_back(given, right, Fit.plan((64, 48), (64, 48))),
    "picture": lambda given, right: garment_detail(given, right),
    "garment": lambda given, right: garment_detail(right, given),
}


@pytest.mark.parametrize("kind", SINGLE)
@pytest.mark.parametrize("called", DOORS)
def test_what_comes_before_the_models_and_after_them_refuses_it_too(called, kind):
    right = (inputs()["person"][0] + 1) / 2
    with pytest.raises(ValueError, match=rf"^{called} must be a tensor \(3, H, W\) from 0 to 1"):
        DOORS[called](SINGLE[kind](right), right)
