"""An editor's whole picture on its way back: any size, moved, changed where nobody asked, several into one photo."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ladivton_core.finishing.editing import at_window, bring_back, changed_region, registered
from ladivton_core.preprocessing.framing.fitting import Fit

SIZE = (256, 192)


def texture(size, seed, cells=24):
    """A picture (3, H, W) with things of every size in it."""
    generator = torch.Generator().manual_seed(seed)
    layers = [
        F.interpolate(torch.rand(1, 3, cells * k, cells * k, generator=generator), size, mode="bicubic") / 2**i
        for i, k in enumerate((1, 2, 4))
    ]
    return (sum(layers)[0] / 1.75).clamp(0, 1)


@pytest.fixture
def photo():
    return texture((640, 560), 3)


@pytest.fixture
def fit():
    return Fit.window((640, 560), SIZE, 60.0, 80.0, 480.0)


def shirt(size=SIZE):
    mask = torch.zeros(1, *size)
    mask[:, size[0] // 3 : size[0] * 3 // 4, size[1] // 4 : size[1] * 3 // 4] = 1
    return mask


def edited(fitted, unrest=0.0, shift=0.0, seed=5):
    """What an editor answers: another shirt, colours a little off, all of it redrawn."""
    generator = torch.Generator().manual_seed(seed)
    new = torch.tensor([0.85, 0.15, 0.2]).view(3, 1, 1) + 0.05 * torch.rand(fitted.shape, generator=generator)
    result = torch.where(shirt(fitted.shape[-2:]) > 0, new, fitted)
    noise = unrest * torch.randn(fitted.shape, generator=generator)
    return (result * (1 - shift) + shift / 2 + noise).clamp(0, 1)


def warped(picture, dx, dy, scale=1.0):
    cv2 = pytest.importorskip("cv2")
    height, width = picture.shape[-2:]
    motion = np.array([[scale, 0, dx + width / 2 * (1 - scale)], [0, scale, dy + height / 2 * (1 - scale)]])
    drawn = cv2.warpAffine(
        np.ascontiguousarray(picture.movedim(0, -1).numpy()), motion, (width, height), flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return torch.from_numpy(drawn).movedim(-1, 0).clamp(0, 1)


@pytest.mark.parametrize("size", [(256, 192), (512, 384), (1024, 768), (1040, 784), (200, 152), (96, 72), (1344, 1008)])
def test_a_result_of_any_size_goes_into_the_same_window(photo, fit, size):
    told = []
    whole = F.interpolate(photo[None, :, 60:540, 80:440], size, mode="bicubic", antialias=True)[0].clamp(0, 1)
    back, share = bring_back(whole, photo, fit, mask=shirt(), say=told.append)
    assert (back - photo).abs().mean() < 0.02 and (back - photo).abs().max() < 0.25
    assert torch.equal(back[:, share[0] == 0], photo[:, share[0] == 0]) and 0.05 < share.mean() < 0.2
    assert bool(told) == (size != SIZE) and all(f"{size[0]} x {size[1]}" in text for text in told)
    assert ("stretched" in "".join(told)) == (size not in (SIZE, (512, 384), (1024, 768), (96, 72), (1344, 1008)))


def test_a_larger_result_keeps_its_detail(photo, fit):
    there = photo[None, :, 60:540, 80:440]
    fine = 1 - F.interpolate(there, (480, 360), mode="bicubic")[0].clamp(0, 1)
    coarse = F.interpolate(fine[None], SIZE, mode="bicubic", antialias=True)[0].clamp(0, 1)
    errors = [
        (bring_back(one, photo, fit, say=str)[0][:, 60:540, 80:440] - fine).abs().mean() for one in (fine, coarse)
    ]
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize("size", [(256, 256), (192, 256), (256, 200), (512, 340)])
def test_another_shape_is_refused_with_the_numbers(fit, size):
    with pytest.raises(ValueError, match=rf"'result' is {size[0]} x {size[1]} and its window 256 x 192 .* Ask for"):
        at_window(torch.zeros(3, *size), fit)


@pytest.mark.parametrize(
    ("dx", "dy", "scale"), [(3.0, -2.0, 1.0), (-6.5, 5.0, 1.0), (2.0, 1.0, 1.02), (0.0, 8.0, 0.98)]
)
@pytest.mark.parametrize("masked", [True, False])
def test_a_result_that_moved_is_moved_back(photo, fit, dx, dy, scale, masked):
    fitted, told = fit.apply(photo[None])[0], []
    answer = edited(fitted, unrest=0.01, shift=0.08)
    moved = warped(answer, dx, dy, scale)
    found = registered(moved, fitted, shirt() if masked else None, say=told.append)
    inside = (slice(None), slice(16, -16), slice(16, -16))
    before, after = ((one - answer)[inside].abs().mean() for one in (moved, found))
    assert after < 0.25 * before and "moved back" in told[0]


def test_clothes_follow_a_person_who_moved_in_front_of_a_ground_that_did_not():
    ground, body, person = texture(SIZE, 4), texture(SIZE, 9), torch.zeros(1, *SIZE)
    where = torch.zeros(1, *SIZE)
    where[:, 20:236, 50:142] = 1
    person[:, 24:70, 60:132], person[:, 200:230, 60:132] = 1, 1  # above and below the clothes
    fitted, red = torch.where(where > 0, body, ground), torch.tensor([0.85, 0.15, 0.2]).view(3, 1, 1)
    clothes = torch.zeros(1, *SIZE)
    clothes[:, 76:190, 56:136] = 1
    worn = torch.where(clothes > 0, red, body)
    answer = torch.where(torch.roll(where, (3, -4), (1, 2)) > 0, torch.roll(worn, (3, -4), (1, 2)), ground)
    told = []
    stays, follows = (registered(answer, fitted, clothes, one, told.append) for one in (None, person))
    errors = [(one - red).abs().mean(0)[clothes[0] > 0].mean() for one in (stays, follows)]
    assert errors[1] < 0.3 * errors[0] and "moved back" in told[-1]


def test_a_result_that_did_not_move_stays_to_the_bit_and_another_picture_is_said_not_to_fit(photo, fit):
    fitted, told = fit.apply(photo[None])[0], []
    answer = edited(fitted, unrest=0.01)
    assert registered(answer, fitted, shirt(), say=told.append) is answer and not told
    other = texture(SIZE, 77)
    assert registered(other, fitted, shirt(), say=told.append) is other
    assert "does not fit" in told[0]
    plain = torch.full_like(fitted, 0.5)
    assert registered(plain, plain, shirt(), say=told.append) is plain and "nothing around the mask" in told[1]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("unrest", "shift"), [(0.0, 0.0), (0.03, 0.0), (0.02, 0.15)])
def test_only_what_changed_is_found(photo, fit, unrest, shift, masked):
    fitted = fit.apply(photo[None])[0]
    found = changed_region(edited(fitted, unrest, shift), fitted, torch.ones(1, *SIZE) if masked else None)
    overlap = (found * shirt()).sum() / torch.maximum(found, shirt()).sum()
    assert overlap > 0.85 and found[shirt() > 0].mean() > 0.97


def test_nothing_is_taken_of_a_picture_that_only_shifted(photo, fit):
    fitted, told = fit.apply(photo[None])[0], []
    shifted = (
        fitted * 0.9 + 0.06 + 0.01 * torch.randn(fitted.shape, generator=torch.Generator().manual_seed(1))
    ).clamp(0, 1)
    back, share = bring_back(shifted, photo, fit, only_changed=True, feather=3, say=told.append)
    assert torch.equal(back, photo) and not share.any() and "does not differ" in told[0]


def test_an_editors_whole_picture_changes_the_clothes_alone(photo, fit):
    fitted = fit.apply(photo[None])[0]
    answer = F.interpolate(warped(edited(fitted, 0.01, 0.1), 3, 2)[None], (1024, 768), mode="bicubic")[0].clamp(0, 1)
    told = []
    back, share = bring_back(
        answer, photo, fit, only_changed=True, register=True, match_colour=True, feather=2, say=told.append
    )
    truth, _ = bring_back(edited(fitted), photo, fit, mask=shirt())
    wanted = (truth != photo).any(0)
    assert torch.equal(back[:, share[0] == 0], photo[:, share[0] == 0])
    assert (back != photo).any(0)[~wanted].float().mean() < 0.05
    assert (back - truth)[:, wanted].abs().mean() < 0.04 and len(told) == 2


def test_what_is_kept_stays_to_the_bit_behind_a_soft_border(photo, fit):
    keep = torch.zeros(1, *SIZE)
    keep[:, 60:110, 60:120] = 1
    answer = 1 - fit.apply(photo[None])[0]
    back, share = bring_back(answer, photo, fit, mask=shirt(), keep=keep, feather=6)
    kept = F.interpolate(keep[None], (480, 360), mode="nearest")[0, 0] > 0
    there = (slice(None), slice(60, 540), slice(80, 440))
    inside = kept.clone()
    inside[:4], inside[-4:] = False, False
    eroded = -F.max_pool2d(-kept.float()[None], 5, 1, 2)[0] > 0
    assert torch.equal(back[there][:, eroded], photo[there][:, eroded])
    assert ((share > 0.05) & (share < 0.95)).float().mean() > 0.01


def test_several_windows_go_into_one_photo_one_after_another(photo):
    windows = [Fit.window((640, 560), SIZE, 40.0, left, 480.0) for left in (20.0, 170.0)]  # they overlap
    boxes, backs = [], None
    for place, window in enumerate(windows):
        fitted, mask = window.apply(photo[None])[0], torch.zeros(1, *SIZE)
        mask[:, 60:150, (10 if place == 0 else 130) : (60 if place == 0 else 180)] = 1
        answer = torch.where(mask > 0, torch.tensor([0.9, 0.1, 0.1]).view(3, 1, 1) * (1 - place), fitted)
        backs, share = bring_back(answer, photo, window, onto=backs)  # the whole window, old clothes and all
        boxes.append(bring_back(answer, photo, window, mask=mask)[1] > 0.99)
    red = backs[:, boxes[0][0]]
    assert (red[0] - 0.9).abs().mean() < 0.05 and backs[:, boxes[1][0]].mean() < 0.05
