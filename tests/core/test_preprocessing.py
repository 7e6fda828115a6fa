"""Joints, pose map, garment on white and fitting."""

import math

import pytest
import torch
from PIL import Image

from ladivton_core.preprocessing import (
    ATR18,
    COCO18,
    LIP20,
    Fit,
    coco18_from_body25,
    fit_image,
    garment_on_white,
    garment_picture_on_white,
    heat_maps,
    keypoints_from_dresscode,
    keypoints_from_openpose,
    keypoints_from_people,
    pose_map,
    worn_garment,
)

BODY25 = [value for i in range(25) for value in (10.0 + i, 20.0 + 2 * i, 0.9)]
COCO = [value for i in range(18) for value in (10.0 + i, 20.0 + 2 * i, 0.9)]


# pose map


def test_a_joint_peaks_at_its_pixel_and_falls_off_by_sigma_squared():
    points = torch.zeros(1, 18, 2)
    points[0, 3] = torch.tensor([20.0, 30.0])
    maps = pose_map(points, (64, 48), sigma=5.0)
    assert maps.shape == (1, 18, 64, 48) and maps.dtype == torch.float32
    assert maps[0, 3, 30, 20] == pytest.approx(1, abs=1e-6)
    assert maps[0, 3, 30, 25] == pytest.approx(math.exp(-1), abs=1e-6)
    assert maps[0, 3, 35, 20] == pytest.approx(math.exp(-1), abs=1e-6)
    assert maps.sum(dim=(2, 3)).count_nonzero() == 1


@pytest.mark.parametrize(("point", "shown"), [((0, 0), False), ((-3, -2), False), ((0, 12), True), ((-3, 5), True)])
def test_only_joints_with_no_positive_coordinate_are_missing(point, shown):
    assert bool(heat_maps(torch.tensor([point]), (64, 48)).any()) is shown


def test_joints_far_off_the_canvas_fade_instead_of_breaking():
    maps = heat_maps(torch.tensor([[60.0, 30.0], [500.0, 30.0], [1e6, 1e6]]), (64, 48))
    assert maps.isfinite().all() and maps[0].max() > 0.99 and not maps[1:].any()


def test_other_joint_counts_are_refused():
    with pytest.raises(ValueError, match=r"\(1, 25, 2\).*coco18_from_body25"):
        pose_map(torch.zeros(1, 25, 2), (64, 48))


# joints


def test_body25_loses_mid_hip_and_feet():
    assert coco18_from_body25(torch.arange(25)[:, None])[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, *range(9, 19)]
    assert COCO18[4] == "right_wrist" and COCO18[7] == "left_wrist"
    with pytest.raises(ValueError, match="BODY_25"):
        coco18_from_body25(torch.zeros(18, 3))


def test_data_set_files_are_scaled_to_the_asked_for_size():
    vitonhd = keypoints_from_openpose({"people": [{"pose_keypoints_2d": BODY25}]}, (512, 384))
    assert vitonhd.shape == (18, 2) and vitonhd[8].tolist() == [19 / 2, 38 / 2]
    dresscode = keypoints_from_dresscode({"keypoints": [[i, 2 * i, 0.9, i] for i in range(18)]}, (1024, 384))
    assert dresscode[5].tolist() == [5, 20]


@pytest.mark.parametrize("document", [{"people": []}, {}, {"people": [{"pose_keypoints_2d": [1, 2]}]}, []])
def test_unreadable_openpose_documents_are_refused(document):
    with pytest.raises(ValueError, match="people|expected"):
        keypoints_from_openpose(document, (512, 384))


@pytest.mark.parametrize("document", [{}, {"keypoints": [[1, 2]]}, {"keypoints": ["a"]}, {"keypoints": [None]}])
def test_unreadable_dresscode_documents_are_refused(document):
    with pytest.raises(ValueError, match="COCO-18|expected"):
        keypoints_from_dresscode(document, (512, 384))


def document(values, **canvas):
    return {"people": [{"pose_keypoints_2d": values}], **canvas}


def test_every_dialect_of_pose_keypoint_gives_the_same_joints():
    canvas = {"canvas_width": 96, "canvas_height": 128}
    relative = [v / (96, 128, 1)[i % 3] for i, v in enumerate(COCO)]
    pixels = keypoints_from_people([document(COCO, **canvas)], (256, 192))
    assert pixels.shape == (1, 18, 2) and pixels.dtype == torch.float64
    assert pixels[0, 4].tolist() == [28, 56]
    assert torch.allclose(keypoints_from_people(document(relative, **canvas), (256, 192)), pixels)
    assert torch.allclose(keypoints_from_people([document(COCO)], (128, 96)), pixels / 2)
    longer = [
        x
        for i in (*range(8), 99, *range(8, 18), *[99] * 6)
        for x in ((0, 0, 0) if i == 99 else COCO[3 * i : 3 * i + 3])
    ]
    assert torch.allclose(keypoints_from_people([document(longer, **canvas)], (256, 192)), pixels)


def test_joints_without_confidence_and_pictures_without_people_are_missing():
    values = list(COCO)
    values[3 * 4 + 2] = 0
    frames = [document(values), {"people": []}, document(None)]
    points = keypoints_from_people(frames, (128, 96))
    assert points.shape == (3, 18, 2) and not points[0, 4].any() and points[0, 5].all() and not points[1:].any()


def test_the_person_can_be_chosen():
    small = [v / (10, 10, 1)[i % 3] for i, v in enumerate(COCO)]
    frame = {"people": [{"pose_keypoints_2d": small}, {"pose_keypoints_2d": COCO}]}
    assert torch.equal(
        keypoints_from_people(frame, (128, 96), person=-1), keypoints_from_people(frame, (128, 96), person=1)
    )
    with pytest.raises(ValueError, match="2 people"):
        keypoints_from_people(frame, (128, 96), person=2)


@pytest.mark.parametrize(
    "frames", [None, [], "pose", [{"persons": []}], [document([1, 2, 3])], [document(["x", 1, 1])]]
)
def test_what_is_no_pose_keypoint_is_refused(frames):
    with pytest.raises(ValueError, match="expected|people"):
        keypoints_from_people(frames, (128, 96))


# garment


def test_outside_its_mask_the_garment_is_white_and_inside_untouched():
    garment = torch.rand(1, 3, 8, 8) * 2 - 1
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:6, 2:6] = 1
    result = garment_on_white(garment, mask)
    assert torch.allclose(result[..., 2:6, 2:6], garment[..., 2:6, 2:6], atol=1e-6)
    assert (result[..., :2, :] == 1).all()


def test_picture_and_tensor_versions_agree_at_soft_edges():
    levels = torch.arange(256, dtype=torch.uint8)
    grey = Image.fromarray(levels.view(16, 16).numpy())
    colour = Image.merge("RGB", [grey.point(lambda v, k=k: (v * k) % 256) for k in (3, 5, 7)])
    exact = torch.frombuffer(bytearray(garment_picture_on_white(colour, grey).tobytes()), dtype=torch.uint8).view(
        16, 16, 3
    )
    pixels = torch.frombuffer(bytearray(colour.tobytes()), dtype=torch.uint8).view(1, 16, 16, 3).permute(0, 3, 1, 2)
    smooth = garment_on_white(pixels / 127.5 - 1, (levels.view(1, 1, 16, 16) / 255))
    assert ((smooth[0].permute(1, 2, 0) + 1) * 127.5 - exact).abs().max() <= 1
    with pytest.raises(ValueError, match="size"):
        garment_picture_on_white(colour, grey.resize((8, 8)))


def test_the_worn_garment_is_what_the_labels_say():
    person = torch.rand(1, 3, 4, 4)
    parse = torch.tensor([[[0, 5, 6, 7], [4, 9, 10, 12], [0] * 4, [0] * 4]])
    assert (worn_garment(person, parse, "upper_body", LIP20) != 1).any(1).sum() == 3
    assert (worn_garment(person, parse, "dresses", ATR18) != 1).any(1).nonzero().tolist() == [[0, 0, 3]]


# fitting


@pytest.mark.parametrize("mode", ["pad", "crop", "stretch"])
@pytest.mark.parametrize("source", [(128, 96), (100, 37), (61, 200), (512, 384)])
def test_a_fit_has_the_asked_for_size_and_comes_back_to_the_photo(mode, source):
    y, x = torch.meshgrid(torch.linspace(0, 1, source[0]), torch.linspace(0, 1, source[1]), indexing="ij")
    photo = torch.stack([x, y, x * y])[None]
    fitted, fit = fit_image(photo, (128, 96), mode)
    assert fitted.shape == (1, 3, 128, 96) and fitted.min() >= 0 and fitted.max() <= 1
    restored = fit.restore(fitted, photo)
    assert restored.shape == photo.shape and (restored - photo).abs().max() < 0.06
    assert torch.equal(fit.restore(fitted, photo, torch.zeros(1, 1, 128, 96)), photo)


def test_points_and_labels_travel_with_the_picture():
    parse = torch.zeros(1, 1, 40, 100, dtype=torch.int64)
    parse[..., 10:14, 60:64] = 7
    for mode in ("pad", "crop", "stretch"):
        fit = Fit.plan((40, 100), (128, 96), mode)
        x, y = fit.apply_points(torch.tensor([62.0, 12.0])).round().int().tolist()
        labels = fit.apply(parse, fill=0, nearest=True)
        assert labels.dtype == torch.int64 and labels.shape == (1, 1, 128, 96) and labels[0, 0, y, x] == 7
    assert not Fit.plan((40, 100), (128, 96), "pad").apply_points(torch.zeros(18, 2)).any()


def test_padding_repeats_the_edge_or_takes_a_value():
    photo = torch.full((1, 3, 10, 10), 0.25)
    fit = Fit.plan((10, 10), (128, 96), "pad")
    assert (fit.apply(photo) == 0.25).all()
    assert fit.apply(photo, fill=1.0)[0, :, 0, 0].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="10, 10"):
        fit.apply(photo[..., :5])
    with pytest.raises(ValueError, match="stretch"):
        Fit.plan((10, 10), (128, 96), "zoom")


@pytest.mark.parametrize("people", [[None], ["a"], [[]], [{"pose_keypoints_2d": [10**400] * 54}]])
def test_people_that_are_none_are_named(people):
    with pytest.raises(ValueError, match=r"people\[0\]"):
        keypoints_from_openpose({"people": people}, (512, 384))


@pytest.mark.parametrize("rows", [[{"x": 1}], [[10**400, 0]] * 18, ["a"] * 18])
def test_dress_code_rows_that_are_none_are_named(rows):
    with pytest.raises(ValueError, match="no Dress Code keypoint document"):
        keypoints_from_dresscode({"keypoints": rows}, (512, 384))
