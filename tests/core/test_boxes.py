"""BOUNDING_BOX in every form that ComfyUI's nodes and other packs give it."""

import math

import pytest

from ladivton_core.preprocessing.people.finder import boxes_in


def box(x, **more):
    return {"x": x, "y": 2, "width": 30, "height": 40} | more


def read(x):
    return (float(x), 2.0, x + 30.0, 42.0)


@pytest.mark.parametrize(
    ("given", "pictures", "expected"),
    [
        (box(1), 2, [[1], [1]]),  # ComfyUI's Bounding Box
        ([box(1), box(5)], 1, [[1, 5]]),  # several of one picture
        ([box(1), box(5)], 2, [[1], [5]]),  # one a picture, as Find Person gave them
        ([box(1)], 3, [[1], [1], [1]]),
        ([[box(1, score=0.9), box(5)], [box(7)]], 2, [[1, 5], [7]]),  # SDPose, SAM 3, RT-DETR
        ([[box(1)], [box(5)]], 4, [[1], [5], [5], [5]]),  # the last one serves the rest, as in Crop by BBoxes
        ([[], [box(5)]], 2, [[], [5]]),
        ([], 2, [[], []]),
        ([None, box(5)], 2, [[], [5]]),
        ([box(1, width=0), box(5)], 2, [[], [5]]),
    ],
)
def test_every_form_is_a_list_of_boxes_a_picture(given, pictures, expected):
    assert boxes_in(given, pictures) == [[read(x) for x in frame] for frame in expected]


@pytest.mark.parametrize(
    "given", [3, "x", [3], [[3]], [{"x": 1}], [box("a")], [box(math.nan)], [[box(1)], box(2)], [box(1)] * 3, [["x"]]]
)
def test_what_is_no_box_is_refused(given):
    with pytest.raises(ValueError, match="box"):
        boxes_in(given, 2)
