"""The classifier that judges colour and pattern: right on truths, not fooled by other garments."""

import numpy as np
import pytest
import torch

from drawn_world.figures import classifier as c
from drawn_world.figures.classifier_training import loss, render, worsened
from drawn_world.figures.truth import draw
from drawn_world.world.patterns import PATTERNS
from drawn_world.world.scene import UNPAIRED_SHIFT, DrawnWorld

PEOPLE = list(range(16))


@pytest.fixture(scope="module")
def truths():
    return draw(DrawnWorld(57, (256, 192)), PEOPLE, "unpaired")


@pytest.fixture(scope="module")
def seen(truths):
    return c.look(c.load_classifier(), truths.truth, truths.mask)


def garment(pattern, first, second):
    return {"pattern": float(PATTERNS.index(pattern)), "colour": np.array(first), "colour_2": np.array(second)}


def test_rendered_truths_are_judged_right(truths, seen):
    asked = c.shown(truths.garments)
    assert (seen.patterns == asked.patterns).sum() >= len(PEOPLE) - 2
    assert (c.colour_distances(seen, asked).diagonal() <= c.SAME_COLOUR).sum() >= len(PEOPLE) - 2


def test_other_garments_are_not(seen):
    world = DrawnWorld(57, (256, 192))
    others = c.shown([world.garment(index + 2 * UNPAIRED_SHIFT) for index in PEOPLE])
    assert (seen.patterns == others.patterns).sum() <= len(PEOPLE) // 2
    assert (c.colour_distances(seen, others).diagonal() <= c.SAME_COLOUR).sum() <= len(PEOPLE) // 4


def test_only_the_inside_of_the_mask_is_looked_at(truths, seen):
    inside = truths.mask.bool().expand_as(truths.truth)
    again = c.look(c.load_classifier(), torch.where(inside, truths.truth, 1 - truths.truth), truths.mask)
    assert torch.equal(again.patterns, seen.patterns)
    # the filter that shrinks the picture reaches a little over the mask's edge
    assert torch.allclose(again.colours, seen.colours, atol=0.02)


def test_the_size_of_the_picture_hardly_matters(truths, seen):
    double = [torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest") for x in (truths.truth, truths.mask)]
    assert torch.allclose(c.look(c.load_classifier(), *double).colours, seen.colours, atol=0.05)


def test_the_main_colour_counts_and_where_none_is_main_both_do():
    red, blue = [0.9, 0.1, 0.1], [0.1, 0.1, 0.9]

    def distance(seen, asked):
        return float(c.colour_distances(c.shown([seen]), c.shown([asked])))

    assert distance(garment("dots", red, blue), garment("dots", red, red)) == 0
    assert distance(garment("dots", red, blue), garment("dots", blue, red)) > c.SAME_COLOUR
    assert distance(garment("stripes", blue, red), garment("stripes", red, blue)) == 0
    assert distance(garment("solid", red, blue), garment("stripes", red, blue)) > c.SAME_COLOUR
    assert distance(garment("stripes", blue, red), garment("solid", red, blue)) > c.SAME_COLOUR


def test_a_missing_file_says_where_it_belongs_and_how_it_is_made(tmp_path):
    with pytest.raises(FileNotFoundError, match="(?s)nowhere.safetensors.*train-classifier"):
        c.load_classifier(tmp_path / "nowhere.safetensors")


def test_training_pictures_are_cut_as_those_judged_and_a_small_step_learns():
    pictures, masks, truth = render(57, range(2))
    assert pictures.shape == (4, 3, *c.SIZE) and masks.shape == (4, 1, *c.SIZE) and truth.colours.shape == (4, 2, 3)
    judged = draw(DrawnWorld(57), [0, 1], "unpaired")
    small, mask = c.shrunk(judged.truth, judged.mask)
    assert (pictures[:2].float() / 255 - small).abs().mean() < 0.01
    assert (masks[:2] - mask).abs().mean() < 0.02
    shot = worsened(small, np.random.default_rng(0))
    assert shot.shape == small.shape and 0.001 < (shot - small).abs().mean() < 0.1
    model, worn = c.GarmentClassifier(), c.Cloth(truth.patterns[:2], truth.colours[:2])
    before = loss(*model(small, mask), worn)
    before.backward()
    start = [(weight, weight.detach().clone()) for weight in model.parameters()]

    @torch.no_grad()
    def after(step):
        for weight, was in start:
            weight.copy_(was - step * weight.grad)
        return loss(*model(small, mask), worn)

    # Downhill falls once the step is small enough for the slope to hold all along it, however steep it turns out.
    assert any(after(2.0**-halvings) < before for halvings in range(16))
