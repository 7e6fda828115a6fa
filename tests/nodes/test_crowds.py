"""From what Find Person gives to the stitched photo: whoever is in it, the nodes end in a picture or name the cause."""

from __future__ import annotations

import os
import re

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

EXAMPLES = 300 if os.environ.get("LADIVTON_FUZZ") else 10
CAUSES = (
    r"Picture [\d, ]+ of 'keypoints' shows nobody",
    r"no shoulder .* in picture \d+|shoulder.*picture \d+|picture \d+.*shoulder",
    r"neither shoulders nor hips are known in picture \d+",
    r"Nothing is repainted in picture",
)
STANDING = (
    (0.0, 0.1), (0.0, 0.2), (-0.11, 0.2), (-0.15, 0.35), (-0.16, 0.5), (0.11, 0.2), (0.15, 0.35), (0.16, 0.5),
    (-0.07, 0.5), (-0.07, 0.72), (-0.07, 0.93), (0.07, 0.5), (0.07, 0.72), (0.07, 0.93), (-0.02, 0.08), (0.02, 0.08),
    (-0.05, 0.09), (0.05, 0.09),
)  # fmt: skip
"""COCO-18 of somebody who stands, in shares of their height."""


SMALL, LARGE = st.integers(64, 400), st.sampled_from((4096, 1500, 64))


@st.composite
def photos(draw, sides):
    """A batch of one or two pictures, people as Find Person finds them in each, silhouettes; every number is drawn."""
    size = (draw(sides), draw(sides))
    rng = draw(st.randoms(use_true_random=False))
    frames, silhouettes = [], []
    for _ in range(draw(st.integers(1, 2))):
        people = []
        for _ in range(draw(st.integers(0, 5))):
            tall, missing = rng.uniform(0.05, 1.5) * min(size[0], 1000), rng.choice((0.0, 0.2, 0.6, 1.0))
            left, top = rng.uniform(-0.2, 1.2) * size[1], rng.uniform(-0.3, 0.9) * size[0]
            points = []
            for x, y in STANDING:
                score = 0.0 if rng.random() < missing else rng.uniform(0.2, 1.0)
                points += [left + (x + rng.uniform(-0.05, 0.05)) * tall, top + (y + rng.uniform(-0.05, 0.05)) * tall]
                points.append(score)
            people.append({"pose_keypoints_2d": points})
        frames.append({"people": people, "canvas_height": size[0], "canvas_width": size[1]})
        outline = torch.zeros(size)
        if rng.random() < 0.8:
            outline[rng.randrange(size[0]) :, rng.randrange(size[1]) :] = rng.choice((0.4, 1.0))
        silhouettes.append(outline)
    colours = draw(st.binary(min_size=len(frames) * 8 * 8 * 3, max_size=len(frames) * 8 * 8 * 3))
    blocks = torch.tensor(list(colours)).view(len(frames), 8, 8, 3) / 255
    rows, columns = (torch.arange(side) * 8 // side for side in size)
    return blocks[:, rows][:, :, columns], frames, torch.stack(silhouettes)


SETTINGS = st.fixed_dictionaries(
    {
        "category": st.sampled_from(("upper_body", "lower_body", "dresses")),
        "framing": st.sampled_from(("whole photo", "upper_body", "lower_body", "dresses")),
        "steady": st.sampled_from(("each picture", "smooth", "one window")),
        "nobody": st.sampled_from(("stop", "pass")),
        "person": st.sampled_from((-1, -1, 0, 1)),
        "silhouette": st.booleans(),
    }
)


@pytest.fixture(scope="module")
def dressed(run):
    """The photo with its repainted region turned to its negative, through every node of the photo workflows."""

    def through(photo, frames, silhouettes, category, framing, steady, nobody, person, silhouette):
        common = {"mode": "body", "nobody": nobody, "person_index": person}
        fitted, joints, _, outline, fit = run(
            "FitPerson", photo=photo, keypoints=frames, mask=silhouettes, width=96, height=128, border="blur",
            framing=framing, steady=steady, **common,
        )  # fmt: skip
        assert fitted.shape == (len(frames), 128, 96, 3) and len(joints) == len(frames)
        _, mask = run(
            "AgnosticPerson", person=fitted, keypoints=joints, category=category,
            silhouette=outline if silhouette else None, **common,
        )  # fmt: skip
        pose, _ = run("PoseMap", keypoints=joints, person=fitted, **common)
        assert pose.shape == (len(frames), 18, 128, 96) and 0 <= pose.amin() <= pose.amax() <= 1
        assert mask.shape == (len(frames), 128, 96) and mask.unique().numel() <= 2
        result, _ = run("StitchPerson", result=1 - fitted, photo=photo, fit=fit, mask=mask, feather=3)
        assert result.shape == photo.shape and result.isfinite().all()
        for frame, kept in enumerate(mask):
            if not kept.any():
                assert torch.equal(result[frame], photo[frame])

    return through


def ends_well(dressed, photo, chosen):
    try:
        dressed(*photo, **chosen)
        event("a picture")
    except ValueError as error:
        if chosen["person"] > 0 and re.search(r"person \d is not among", str(error)):
            return
        event(str(error)[:60])
        assert any(re.search(cause, str(error)) for cause in CAUSES), error


@settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=True)
@given(photos(SMALL), SETTINGS)
def test_no_photo_ends_in_anything_but_a_picture_or_the_cause(dressed, photo, chosen):
    ends_well(dressed, photo, chosen)


@settings(max_examples=max(EXAMPLES // 10, 4), deadline=None, database=None, derandomize=True)
@given(photos(LARGE), SETTINGS)
def test_no_large_photo_does_either(dressed, photo, chosen):
    ends_well(dressed, photo, chosen)
