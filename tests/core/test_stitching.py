"""Framing, the way back, and the stitch: identity, bit-identical surroundings, colours."""

import random

import pytest
import torch

from ladivton_core.finishing.editing import bring_back
from ladivton_core.finishing.stitching import colours_matched, stitch
from ladivton_core.preprocessing.framing.fitting import Fit, labels_at


@pytest.fixture
def photo():
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 180), torch.linspace(0, 1, 140), indexing="ij")
    return (torch.stack([rows, columns, rows * columns]) * 0.8 + 0.2 * torch.rand(3, 180, 140)).clamp(0, 1)


def fits(source):
    return (Fit.plan(source, (64, 48), "pad"), Fit.window(source, (64, 48), -20.0, 30.0, 90.0))


def test_points_come_back_from_hundreds_of_fits():
    rng, generator = random.Random(1), torch.Generator().manual_seed(1)
    for turn in range(400):
        source = (rng.randint(64, 4096), rng.randint(64, 4096))
        size = (8 * rng.randint(8, 128), 8 * rng.randint(8, 128))
        if turn % 4:
            height = rng.uniform(64, 1.5 * source[0])
            width = height * size[1] / size[0]
            # it may stick out of the photo, but shows some of it
            top, left = rng.uniform(8 - height, source[0] - 8), rng.uniform(8 - width, source[1] - 8)
            fit = Fit.window(source, size, top, left, height)
        else:
            fit = Fit.plan(source, size, rng.choice(("pad", "crop", "stretch")))
        top, left, height, width = fit.taken
        inside = torch.rand(8, 2, generator=generator, dtype=torch.float64)
        points = inside * torch.tensor([width, height]) + torch.tensor([left, top])
        there = fit.apply_points(points)
        new_top, new_left, new_height, new_width = fit.placed
        corner, extent = torch.tensor([new_left, new_top]), torch.tensor([new_width, new_height])
        assert ((there >= corner - 1e-6) & (there <= corner + extent + 1e-6)).all(), fit
        assert (fit.restore_points(there) - points).abs().max() <= 0.5, fit


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_photo_goes_there_and_back_as_the_upright_one_does(photo, turns):
    """To the bit: pictures, points, results and how much of them is taken."""
    for upright in fits((180, 140)):
        lying = photo.rot90(-turns, (1, 2))
        fit = upright.after_turns(tuple(lying.shape[1:]), turns)
        assert fit.upright == upright and fit.times == upright.times
        assert torch.equal(fit.apply(lying[None], fill="blur"), upright.apply(photo[None], fill="blur"))
        spots = torch.zeros(1, 1, 180, 140)
        spots[..., 60, 80] = 1
        row, column = (spots[0, 0].rot90(-turns, (0, 1)) > 0).nonzero()[0].tolist()
        point = torch.tensor([[column + 0.5, row + 0.5], [0.0, 0.0]], dtype=torch.float64)
        there = fit.apply_points(point)
        torch.testing.assert_close(there, upright.apply_points(torch.tensor([[80.5, 60.5], [0, 0]]).double()))
        torch.testing.assert_close(fit.restore_points(there), point)
        result, weight = torch.rand(3, 64, 48), torch.zeros(1, 64, 48)
        weight[:, 10:50, 8:40] = torch.rand(40, 32)
        assert torch.equal(
            fit.restore(result[None], lying[None], weight[None])[0],
            upright.restore(result[None], photo[None], weight[None])[0].rot90(-turns, (1, 2)),
        )
        given = {"mask": weight, "feather": 3, "match_colour": True, "only_changed": True}
        ours, theirs = bring_back(result, lying, fit, **given), bring_back(result, photo, upright, **given)
        for mine, other in zip(ours, theirs, strict=True):
            assert torch.equal(mine, other.rot90(-turns, (1, 2)))
        onto = torch.rand(3, 180, 140)
        mine = bring_back(result, lying, fit, onto=onto.rot90(-turns, (1, 2)), **given)[0]
        assert torch.equal(mine, bring_back(result, photo, upright, onto=onto, **given)[0].rot90(-turns, (1, 2)))


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_a_result_equal_to_the_fitted_photo_gives_the_photo(photo, blend):
    pytest.importorskip("cv2")
    for fit in fits((180, 140)):
        fitted = fit.apply(photo[None], fill="reflect")[0]
        weight = torch.zeros(1, 64, 48)
        weight[:, 10:50, 8:40] = 1
        stitched = stitch(fitted, photo, fit, weight, blend=blend)
        torch.testing.assert_close(stitched, photo, rtol=0, atol=1e-6 if blend == "feather" else 1.5 / 255)


@pytest.mark.parametrize("blend", ["feather", "poisson"])
def test_outside_the_region_every_pixel_is_the_photos_bit_for_bit(photo, blend):
    pytest.importorskip("cv2")
    fit = fits((180, 140))[0]
    weight = torch.zeros(1, 64, 48)
    weight[:, 20:40, 12:30] = 0.5
    weight[:, 24:36, 16:26] = 1
    stitched = stitch(torch.full((3, 64, 48), 0.1), photo, fit, weight, blend=blend, match_colour=True)
    changed = (stitched != photo).any(0)
    rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
    assert changed.any() and rows[0] > 180 * 18 / 64 and rows[-1] < 180 * 42 / 64
    assert len(columns) < 140 * 0.6


def test_colours_of_the_surroundings_are_matched():
    fitted = torch.rand(3, 96, 96) * 0.4 + 0.3
    shifted = fitted * 0.9 + 0.08
    weight = torch.zeros(1, 96, 96)
    weight[:, 40:60, 40:60] = 1
    matched = colours_matched(shifted, fitted, weight)
    assert (matched - fitted).abs().mean() < 0.1 * (shifted - fitted).abs().mean()


def test_old_clothes_beside_the_region_do_not_colour_what_the_result_shows_there():
    """Long sleeves reach out of the mask; in the result, right in every pixel, there are arms."""
    wall, skin, sleeve = (torch.rand(3, 96, 96) * 0.2 + torch.tensor(c).view(3, 1, 1) for c in
                          ((0.4, 0.4, 0.45), (0.7, 0.5, 0.4), (0.1, 0.1, 0.5)))  # fmt: skip
    arm, weight = torch.zeros(1, 96, 96), torch.zeros(1, 96, 96)
    arm[:, 30:70, 30:40] = 1
    weight[:, 30:70, 38:70] = 1
    result = torch.where(arm > 0, skin, wall)
    matched = colours_matched(result - 0.02, torch.where(arm > 0, sleeve, wall), weight)
    assert (matched - result).abs().max() < 0.02


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4])
def test_old_clothes_that_are_gone_around_the_region_shift_no_colours(share):
    """A coat was longer than the shirt in its place: what shows below is no shift of colours."""
    generator = torch.Generator().manual_seed(1)
    photo = torch.tensor([0.75, 0.7, 0.66]).view(3, 1, 1) + 0.05 * torch.rand(3, 160, 120, generator=generator)
    weight = torch.zeros(1, 160, 120)
    weight[:, 40:110, 35:85] = 1
    result = torch.where(weight > 0, torch.tensor([0.8, 0.2, 0.3]).view(3, 1, 1), photo) * 0.95 + 0.01
    below = photo.clone()
    below[:, 110 : 110 + round(share * 120), 10:110] = torch.tensor([0.1, 0.3, 0.15]).view(3, 1, 1)
    plain, with_coat = (colours_matched(result, one, weight)[:, 45:105, 40:80] for one in (photo, below))
    assert (plain - with_coat).abs().max() < 0.01


def test_a_mirrored_border_shows_no_streaks(photo):
    fitted = Fit.window((180, 140), (64, 48), -60.0, -40.0, 240.0).apply(photo[None], fill="reflect")[0]
    streaks = (fitted[:, :12].diff(dim=1).abs() < 1e-6).all(0).all(0)
    assert not streaks.any()


def test_labels_of_half_the_size_are_scaled_and_others_refused():
    labels = torch.randint(0, 5, (1, 90, 70))
    assert torch.equal(labels_at(labels, (180, 140))[:, ::2, ::2], labels)
    assert labels_at(labels, (181, 139)).shape == (1, 181, 139)
    with pytest.raises(ValueError, match="proportions"):
        labels_at(labels, (180, 180))


def test_a_window_beside_the_photo_is_refused():
    with pytest.raises(ValueError, match="shows nothing"):
        Fit.window((100, 100), (64, 48), 200.0, 0.0, 50.0)


@pytest.mark.parametrize("ground", [1.0, 0.85, 0.05])
@pytest.mark.parametrize("garment", [(200, 40, 40), (30, 60, 200), (250, 250, 250), (5, 5, 5)])
def test_colours_stay_where_the_surroundings_are_plain(ground, garment):
    generator = torch.Generator().manual_seed(0)
    photo = torch.full((3, 128, 96), ground)
    weight = torch.zeros(1, 128, 96)
    weight[:, 40:100, 30:70] = 1
    painted = torch.where(weight > 0, torch.tensor(garment).view(3, 1, 1) / 255, photo)
    rippled = (painted + torch.randn(3, 128, 96, generator=generator) * 0.008).clamp(0, 1)
    matched = colours_matched(rippled, photo, weight)[:, 50:90, 40:60].mean((1, 2)) * 255
    assert (matched - torch.tensor(garment)).abs().max() < 6


@pytest.mark.parametrize("old", [(0.1, 0.1, 0.5), (0.9, 0.2, 0.3), (0.95, 0.95, 0.95), (0.9, 0.7, 0.75)])
@pytest.mark.parametrize("share", [0.35, 0.65, 1.0])
def test_a_right_result_stays_however_much_of_its_surroundings_were_old_clothes(old, share):
    """A coat filled the ring; in the result there are skin and wall. Pink sleeves turned skin pink."""
    generator = torch.Generator().manual_seed(2)
    wall, skin, top, coat = (
        torch.tensor(colour).view(3, 1, 1) + 0.03 * torch.randn(3, 128, 96, generator=generator)
        for colour in ((0.8, 0.8, 0.8), (0.75, 0.55, 0.45), (0.8, 0.15, 0.2), old)
    )
    region, reach = torch.zeros(1, 128, 96, dtype=torch.bool), torch.zeros(1, 128, 96, dtype=torch.bool)
    region[:, 40:100, 35:65] = True
    reach[:, :, : round(96 * share)] = True
    photo = torch.where(reach, coat, wall)
    result = torch.where(region, top, torch.where(reach, skin, wall)).clamp(0, 1)
    change = colours_matched(result, photo, region.float()) - result
    assert change.abs().amax() < 2 / 255
