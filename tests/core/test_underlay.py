"""What shows beside a new garment: the wall, skin, clothes below; grey where nothing tells."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ladivton_core.decoding.paste import lay_garment
from ladivton_core.preprocessing.masks.person_mask import mask_body
from ladivton_core.preprocessing.masks.underlay import underlay

SIZE = (512, 384)
WALL, SKIN, TOP, TROUSERS = (200, 214, 226), (205, 150, 120), (40, 60, 170), (60, 62, 66)
JOINTS = [(192, 60), (192, 118), (147, 120), (125, 205), (115, 280), (237, 120), (259, 205), (269, 280), (165, 250),
          (163, 370), (160, 480), (219, 250), (221, 370), (224, 480), (182, 52), (202, 52), (170, 58),
          (214, 58)]  # fmt: skip


def person(face=SKIN, joints=JOINTS):
    """Somebody in a top with long sleeves: the photo, the silhouette, joints and hands."""
    picture, alone = Image.new("RGB", SIZE[::-1], WALL), Image.new("L", SIZE[::-1])
    for drawn, colours in ((picture, (TROUSERS, TOP, face)), (alone, (255,) * 3)):
        draw = ImageDraw.Draw(drawn)
        for leg in ((8, 9, 10), (11, 12, 13)):
            draw.line([JOINTS[i] for i in leg], colours[0], 46, "curve")
        draw.rectangle((142, 250, 242, 300), colours[0])
        draw.polygon([(128, 108), (256, 108), (240, 270), (144, 270)], colours[1])
        for arm in ((2, 3, 4), (5, 6, 7)):
            draw.line([JOINTS[i] for i in arm], colours[1], 30, "curve")
            x, y = JOINTS[arm[2]]
            draw.ellipse((x - 13, y - 4, x + 13, y + 34), colours[2])
        draw.rectangle((180, 84, 204, 112), colours[2])
        draw.ellipse((160, 24, 224, 100), colours[2])
    people = torch.zeros(1, 60, 3, dtype=torch.float64)
    people[0, :18] = torch.tensor([(*point, 1.0) for point in joints])
    photo = torch.from_numpy(np.array(picture)).movedim(-1, 0)[None].float() / 255
    return photo, torch.from_numpy(np.array(alone))[None, None].float() / 255, [people]


def sleeveless():
    garment = Image.new("RGB", SIZE[::-1], "white")
    ImageDraw.Draw(garment).polygon([(150, 128), (234, 128), (236, 230), (148, 230)], (220, 170, 40))
    return torch.from_numpy(np.array(garment)).movedim(-1, 0)[None].float() / 255


def under(photo, silhouette, people, category="upper_body", **more):
    garment = more.pop("garment", sleeveless())
    masks = mask_body(
        category, SIZE, cloth=(garment.amin(1, keepdim=True) < 0.9).float(), people=people, silhouette=silhouette,
        person=photo * 2 - 1, margin=16, paste=True,
    )  # fmt: skip
    return (*underlay(category, photo, masks, garment, people, silhouette, **more), masks)


def at(picture, x, y):
    return (picture[0, :, y, x] * 255).numpy()


@pytest.mark.parametrize("outlined", [True, False])
def test_wall_skin_and_trousers_come_in_place_of_the_old_top(outlined):
    photo, silhouette, people = person()
    made, shown, masks = under(photo, silhouette if outlined else None, people)
    assert masks[0, 0, 240, 121] and np.abs(at(made, 121, 240) - SKIN).max() < 30, "a forearm that was sleeved"
    assert np.abs(at(made, 192, 122) - SKIN).max() < 45, "a chest"
    assert masks[0, 0, 190, 96] and np.abs(at(made, 96, 190) - WALL).max() < 12, "beside the arm"
    assert np.abs(at(made, 192, 262) - TROUSERS).max() < 30, "below the hem"
    assert np.abs(at(made, 192, 190) - 127.5).max() < 0.1, "grey under the cloth"
    changed = (made - photo).abs().amax(1, keepdim=True) > 0.01
    assert bool((shown[changed] == 1).all()) and not bool((changed & (masks[:, :1] == 0)).sum() > 400)
    face = at(made, 192, 60)
    np.testing.assert_array_equal(face, at(photo, 192, 60))


def test_what_nobody_knows_is_left_to_the_model():
    photo, silhouette, people = person(face=TOP)  # no skin's colour
    made, shown, masks = under(photo, silhouette, people)
    assert np.abs(at(made, 121, 240) - 127.5).max() < 0.1 and shown[0, 0, 240, 121] == masks[0, 1, 240, 121]
    aside = [*JOINTS]
    aside[2], aside[5] = (188, 120), (196, 120)  # seen from the side
    photo, silhouette, people = person(joints=aside)
    made, shown, masks = under(photo, silhouette, people)
    hidden = masks[:, :1] > 0
    assert hidden.any() and bool(((made - 0.5).abs().amax(1, keepdim=True)[hidden] < 1e-6).all())
    assert torch.equal(made[(~hidden).expand(-1, 3, -1, -1)], photo[(~hidden).expand(-1, 3, -1, -1)])


def test_what_is_to_be_kept_stays_and_a_batch_is_its_items():
    photo, silhouette, people = person()
    keep = torch.zeros(1, 1, *SIZE)
    keep[..., 150:, :] = 1
    made, shown, _ = under(photo, silhouette, people, keep=keep)
    kept = keep.expand(-1, 3, -1, -1) > 0
    assert torch.equal(made[kept], photo[kept])
    both = under(torch.cat([photo, 1 - photo]), silhouette.expand(2, -1, -1, -1), people * 2,
                 garment=sleeveless().expand(2, -1, -1, -1))  # fmt: skip
    alone = under(photo, silhouette, people)
    assert all(torch.equal(many[:1], one) for many, one in zip(both, alone, strict=True))


def test_an_underlay_is_laid_but_for_its_grey():
    photo, silhouette, people = person()
    made, _, _ = under(photo, silhouette, people)
    garment, result = sleeveless(), torch.full((1, 3, *SIZE), 0.9)
    cloth = (garment.amin(1, keepdim=True) < 0.9).float()
    laid = lay_garment(result, garment, cloth, made)
    grey = (made - 0.5).abs().amax(1, keepdim=True) < 1e-3
    beside = (torch.nn.functional.max_pool2d(cloth, 7, 1, 3) == 0).expand(-1, 3, -1, -1)
    assert torch.equal(laid[beside & ~grey], made[beside & ~grey])
    assert torch.equal(laid[beside & grey], result[beside & grey])
    assert torch.equal(lay_garment(result, garment, cloth)[beside], result[beside])
