"""The garment's own detail: taken where it agrees with the result, and nowhere else."""

import builtins
import sys

import pytest
import torch
import torch.nn.functional as F

from ladivton_core.finishing.detail import garment_detail
from ladivton_core.preprocessing.framing.fitting import Fit

pytest.importorskip("cv2")
LOW, HIGH = (128, 96), (256, 192)
FIT = Fit.plan(HIGH, LOW)


def print_of(size=HIGH, seed=0, colours=((0.15, 0.3, 0.5), (0.9, 0.8, 0.7))):
    """Cloth (3, H, W) printed in two colours with shapes of every size down to two pixels, on white."""
    noise = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 1, HIGH[0] // k, HIGH[1] // k, generator=noise) - 0.5, HIGH, mode="bicubic")
        for k in (2, 4, 8, 16)
    ]
    shape = (sum(layers) > 0).float()[0]
    dark, light = (torch.tensor(colour).view(3, 1, 1) for colour in colours)
    cloth = torch.zeros(1, *HIGH)
    cloth[:, 40:216, 30:162] = 1
    return (dark * shape + light * (1 - shape)) * cloth + 1 - cloth


def grid(dx=0.0, dy=0.0):
    """The undeformed spline, moved by pixels of the models' picture."""
    y, x = torch.meshgrid(torch.arange(LOW[0]) + 0.5 + dy, torch.arange(LOW[1]) + 0.5 + dx, indexing="ij")
    return torch.stack([x * 2 / LOW[1] - 1, y * 2 / LOW[0] - 1], -1)


def soft(picture):
    """A picture (3, H, W) that has had the models' size."""
    small = F.interpolate(picture[None], LOW, mode="bicubic", antialias=True)
    return F.interpolate(small, HIGH, mode="bicubic")[0].clamp(0, 1)


def through_the_models(picture):
    """A photo whose cloth was drawn at the models' size."""
    return torch.where(region() > 0, soft(picture), picture)


def region():
    mask = torch.zeros(1, *HIGH)
    mask[:, 60:200, 40:150] = 1
    return mask


def error(picture, truth):
    inner = (..., slice(80, 180), slice(60, 130))
    return float((picture - truth)[inner].square().mean())


@pytest.mark.parametrize("moved", [(0.0, 0.0), (2.0, -1.5), (-3.0, 2.5)])
def test_known_detail_comes_back_wherever_the_spline_put_it_a_few_pixels_off(moved):
    truth = print_of()
    result = through_the_models(truth)
    made, weight = garment_detail(result, truth, FIT, spline=grid(*moved), region=region())
    assert error(made, truth) < 0.5 * error(result, truth)
    assert weight[:, 80:180, 60:130].mean() > 0.5 and weight.min() >= 0 and weight.max() <= 1


def test_what_was_laid_is_not_moved_and_needs_no_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    truth = print_of()
    result = through_the_models(truth)
    made, _ = garment_detail(result, truth, FIT, spline=grid(), region=region(), laid=True)
    assert error(made, truth) < 0.3 * error(result, truth)
    beside, _ = garment_detail(result, truth, FIT, spline=grid(3.0, -2.0), region=region(), laid=True)
    assert error(beside, truth) > 0.8 * error(result, truth)
    with pytest.raises(ValueError, match="no spline tells where"):
        garment_detail(result, truth, FIT, region=region(), laid=True)


def test_it_comes_in_the_results_own_light():
    truth = print_of()
    shade = torch.linspace(0.6, 1.0, HIGH[1])
    result = through_the_models(truth) * shade
    made, _ = garment_detail(result, truth, FIT, spline=grid(), region=region())
    assert error(made, truth * shade) < 0.6 * error(result, truth * shade)


def test_outside_the_region_and_off_the_cloth_every_bit_stays():
    truth = print_of()
    result = through_the_models(truth)
    made, weight = garment_detail(result, truth, FIT, spline=grid(), region=region())
    outside = region()[0] == 0
    assert torch.equal(made[:, outside], result[:, outside]) and (weight[:, outside] == 0).all()
    made, weight = garment_detail(soft(truth), truth, FIT, spline=grid())  # without a region nothing tells how sharp
    result = soft(truth)
    white = torch.ones(HIGH, dtype=torch.bool)
    white[40:216, 30:162] = False
    assert torch.equal(made[:, white], result[:, white]) and (weight[:, white] == 0).all()


def test_where_nothing_agrees_nothing_changes():
    told = []
    result = through_the_models(print_of(seed=1))
    made, weight = garment_detail(result, print_of(), FIT, spline=grid(), region=region(), say=told.append)
    assert (made - result).abs().mean() < 2e-3 and weight.mean() < 0.02
    plain = torch.full((3, *HIGH), 0.5)
    made, weight = garment_detail(plain, print_of(), FIT, spline=grid(), region=region(), say=told.append)
    assert torch.equal(made, plain) and not weight.any() and len(told) >= 1 and "agrees" in told[-1]


def test_what_lies_in_front_of_the_cloth_stays():
    truth = print_of()
    result = through_the_models(truth)
    hand = (..., slice(110, 150), slice(70, 110))
    result[hand] = torch.tensor([0.85, 0.6, 0.5]).view(3, 1, 1)
    made, weight = garment_detail(result, truth, FIT, spline=grid(), region=region())
    inner = (..., slice(120, 140), slice(80, 100))
    assert (made - result)[inner].abs().mean() < 0.01 and weight[inner].mean() < 0.05
    below = (..., slice(165, 190), slice(60, 130))
    assert (made - truth)[below].square().mean() < 0.8 * (result - truth)[below].square().mean()


def test_a_soft_photo_gets_no_sharper_cloth_than_it_has_itself():
    told = []
    truth = print_of()
    result = soft(truth)
    made, weight = garment_detail(result, truth, FIT, spline=grid(), region=region(), say=told.append)
    assert (made - result).square().mean() < 1e-4 and weight.max() < 0.05 and "too soft" in told[0]


def test_a_sharp_result_is_not_touched_up():
    truth = print_of()
    made, _ = garment_detail(truth, truth, FIT, spline=grid(1.0, 0.0), region=region())
    assert (made - truth)[..., 80:180, 60:130].square().mean() < 1e-3


@pytest.mark.parametrize("window", [(30.0, 20.0, 200.0), (-20.0, 10.0, 260.0)])
def test_the_spline_travels_through_the_window(window):
    fit = Fit.window(HIGH, LOW, *window)
    truth = print_of()
    result = fit.restore(fit.apply(truth[None]), truth[None], fit.apply(region()[None]))[0]
    top, left, height, width = fit.taken
    row, column, tall, wide = fit.placed
    # garment and photo are one picture: a place in the window shows the place of the photo that it was taken from
    y, x = torch.meshgrid(torch.arange(LOW[0]) + 0.5, torch.arange(LOW[1]) + 0.5, indexing="ij")
    y, x = top + (y - row) * height / tall, left + (x - column) * width / wide
    spline = torch.stack([x * 2 / HIGH[1] - 1, y * 2 / HIGH[0] - 1], -1)
    made, weight = garment_detail(result, truth, fit, spline=spline, region=region())
    assert error(made, truth) < 0.8 * error(result, truth) and weight.mean() > 0.05


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_gets_the_detail_that_the_upright_one_gets(turns):
    fit, truth = Fit.window(HIGH, LOW, 30.0, 20.0, 200.0), print_of()
    result = through_the_models(truth)
    given = {"spline": grid(), "laid": True}
    upright = garment_detail(result, truth, fit, region=region(), **given)
    lying, there = (picture.rot90(-turns, (1, 2)) for picture in (result, region()))
    turned = fit.after_turns(tuple(lying.shape[1:]), turns)
    for made, expected in zip(garment_detail(lying, truth, turned, region=there, **given), upright, strict=True):
        assert torch.equal(made, expected.rot90(-turns, (1, 2)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_number_format(dtype):
    truth = print_of()
    result = through_the_models(truth).to(dtype)
    made, weight = garment_detail(result, truth.to(dtype), FIT, spline=grid().to(dtype), region=region())
    assert made.dtype == dtype and weight.dtype == torch.float32
    assert torch.equal(made[:, region()[0] == 0], result[:, region()[0] == 0])
    assert error(made.float(), truth) < 0.5 * error(result.float(), truth)


def test_without_a_spline_a_garment_that_hangs_as_in_its_picture_is_found():
    truth = print_of()
    result = through_the_models(truth)
    laid = F.pad(F.interpolate(truth[None, :, 30:226, 20:172], (240, 190))[0], (1, 1, 8, 8), value=1.0)
    cloth = torch.zeros(1, *HIGH)
    cloth[:, 40:216, 30:162] = 1
    made, _ = garment_detail(result, laid, FIT, region=cloth)
    assert error(made, truth) < 0.8 * error(result, truth)


def test_what_does_not_fit_is_said():
    truth = print_of()
    with pytest.raises(ValueError, match=r"picture.*\(3, 100, 100\).*256, 192"):
        garment_detail(truth[:, :100, :100], truth, FIT, spline=grid())
    with pytest.raises(ValueError, match="spline.*Garment Warper"):
        garment_detail(truth, truth, FIT, spline=grid()[:100])
    with pytest.raises(ValueError, match="region"):
        garment_detail(truth, truth, FIT, spline=grid(), region=region()[:, :100])
    with pytest.raises(ValueError, match="garment"):
        garment_detail(truth, truth[:1], FIT, spline=grid())


def test_without_opencv_it_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "cv2":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    truth = print_of()
    with pytest.raises(ImportError, match="pip install opencv-python-headless"):
        garment_detail(truth, truth, FIT, spline=grid())
