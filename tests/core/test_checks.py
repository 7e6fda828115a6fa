"""What speaks against a photo: a joint outside it is not seen, wherever a detector guesses it."""

from __future__ import annotations

import pytest
import torch

from ladivton_core.preprocessing.checks import check_garment, check_person, score_of

SIZE = (1000, 700)
PERSON = torch.tensor([
    (350, 150), (350, 240), (270, 240), (250, 380), (245, 500), (430, 240), (450, 380), (455, 500), (300, 500),
    (300, 700), (300, 900), (400, 500), (400, 700), (400, 900), (335, 135), (365, 135), (315, 145), (385, 145),
], dtype=torch.float32)  # fmt: skip
"""COCO-18 joints of somebody who stands upright in the middle."""


def texts(joints: torch.Tensor, size: tuple[int, int] = SIZE, category: str = "dresses") -> str:
    return " ".join(finding.text for finding in check_person(joints, size, category))


@pytest.mark.parametrize("category", ["upper_body", "lower_body", "dresses"])
def test_nothing_speaks_against_somebody_who_is_all_there(category):
    assert check_person(PERSON, SIZE, category) == []


@pytest.mark.parametrize("joints_outside", [True, False])
@pytest.mark.parametrize(("top", "said"), [(128, "head off at the eyes"), (170, "no head")])
def test_a_photo_cut_at_the_eyes_or_below_is_told(top, said, joints_outside):
    """A detector goes on guessing above the border, or gives such joints up."""
    cut = PERSON - torch.tensor([0.0, top])
    if not joints_outside:
        cut = torch.where((cut[:, 1:] < 0), 0.0, cut)
    found = check_person(cut, (SIZE[0] - top, SIZE[1]), "upper_body")
    assert said in " ".join(finding.text for finding in found) and score_of(found) <= 0.8


@pytest.mark.parametrize(("bottom", "name", "category"), [
    (850, "ankles", "dresses"), (850, "ankles", "lower_body"), (450, "hips", "upper_body"),
])  # fmt: skip
def test_what_is_cut_off_below_is_not_seen(bottom, name, category):
    found = check_person(PERSON, (bottom, SIZE[1]), category)
    assert f"above the {name}" in " ".join(finding.text for finding in found) and score_of(found) < 1


def test_half_of_a_pair_outside_costs_less_than_all_of_it():
    half = check_person(PERSON - torch.tensor([290.0, 0]), SIZE, "upper_body")  # shoulder and hip on one side
    all_of_it = check_person(PERSON - torch.tensor([440.0, 0]), SIZE, "upper_body")
    assert "one of the shoulders" in " ".join(finding.text for finding in half)
    assert 1 > score_of(half) > score_of(all_of_it)


def test_a_head_outside_the_photo_is_told_for_trousers_and_one_cut_at_the_eyes_is_not():
    shown = PERSON - torch.tensor([0.0, 200])
    assert "no head" in texts(shown, (SIZE[0] - 200, SIZE[1]), "lower_body")
    assert "head" not in texts(PERSON - torch.tensor([0.0, 128]), (SIZE[0] - 128, SIZE[1]), "lower_body")


def test_a_garment_loses_score_by_how_much_its_colours_differ():
    rows = torch.arange(400)[:, None] // 20 % 2
    scores = []
    for contrast in (0.0, 0.1, 0.4, 0.6, 0.9):
        garment = torch.ones(3, 400, 300)
        garment[:, 50:350, 50:250] = (0.05 + contrast * rows.expand(400, 300))[50:350, 50:250]
        scores.append(score_of(check_garment(garment)))
    assert scores[0] == scores[1] == 1 and scores[2] > scores[3] >= scores[4] == 0.6


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_whoever_does_not_stand_is_told_to_be_turned_and_nothing_else(turns):
    """What is cut off, and the side that is seen, are those of the upright photo."""
    x, y = PERSON.T
    turned = {1: (y, SIZE[1] - x), 2: (SIZE[1] - x, SIZE[0] - y), 3: (SIZE[0] - y, x)}[turns]
    size = SIZE if turns == 2 else SIZE[::-1]
    (found,) = check_person(torch.stack(turned, 1), size, "dresses")
    assert "turns them upright" in found.text
    leaning = PERSON @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]]) + torch.tensor([600.0, 0.0])  # by 37 degrees
    assert "turn" not in texts(leaning, (1400, 1400))
