"""A procedural try-on world: people, garments, and the rendered truth of anyone in anything.

No data set can be shipped, so the embedded default learns from this one. Because the world is
rendered, the unpaired truth exists: the same person in the other garment. Pictures are 512x384; labels
are VITON-HD's (LIP20), keypoints COCO-18. Drawing lives in `synthetic_people.py` and
`synthetic_garments.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .signed_distance import coverage, over, pixel_grid, soft_noise
from .synthetic_garments import draw_garment, sample_garment
from .synthetic_people import SIDES, Body, mannequin, sample_person

SIZE = (512, 384)
_LABEL = {
    "background": 0,
    "hair": 2,
    "garment": 5,
    "trousers": 9,
    "neck": 10,
    "skirt": 12,
    "face": 13,
    "left": 14,
    "right": 15,
    "leg": 16,
}


@dataclass(frozen=True)
class Scene:
    """What the world shows of one batch.

    Attributes:
        person: the person in the garment (B, 3, H, W), [0, 1].
        garment: the same garment laid flat on white (B, 3, H, W), [0, 1].
        parse: LIP20 labels (B, H, W), int64.
        keypoints: COCO-18 joints (B, 18, 2), pixels; missing ones are (0, 0).
        worn: the garment as worn, everything else white (B, 3, H, W), [0, 1]: the warper's target.
    """

    person: Tensor
    garment: Tensor
    parse: Tensor
    keypoints: Tensor
    worn: Tensor


class SyntheticWorld:
    """Endless people and garments, each named by a seed and an index.

    Args:
        seed: world seed; two worlds of different seed share no person and no garment.
        size: (height, width) of the pictures; drawn at 512x384 coordinates and scaled.
    """

    def __init__(self, seed: int = 0, size: tuple[int, int] = SIZE):
        self.seed, self.size = seed, size

    def person(self, index: int) -> dict:
        """Numbers of person `index`; the same on every machine and in any batch."""
        return sample_person(np.random.default_rng([self.seed, index, 1]))

    def garment(self, index: int) -> dict:
        """Numbers of garment `index`."""
        return sample_garment(np.random.default_rng([self.seed, index, 2]))

    def scene(self, people: list[int], garments: list[int]) -> Scene:
        """Draw person `people[i]` wearing garment `garments[i]`."""
        if len(people) != len(garments) or not people:
            raise ValueError(f"{len(people)} people and {len(garments)} garments: give equally many, at least one")
        return draw([self.person(i) for i in people], [self.garment(i) for i in garments], self.size)


def draw(people: list[dict], garments: list[dict], size: tuple[int, int] = SIZE) -> Scene:
    """Render a batch of people in garments (see `Scene`)."""
    x, y = pixel_grid(size)
    x, y = x * (SIZE[1] / size[1]), y * (SIZE[0] / size[0])
    person, cloth = _stack(people), _stack(garments)
    noise = soft_noise(person["cloth_noise"], size)
    with torch.no_grad():
        flat = _draw_flat(cloth, noise, x, y, len(garments))
        picture, parse, worn, body = _draw_person(person, cloth, noise, x, y)
    keypoints = body.keypoints() * torch.tensor([size[1] / SIZE[1], size[0] / SIZE[0]])
    return Scene(picture.clamp(0, 1), flat.clamp(0, 1), parse, keypoints, worn.clamp(0, 1))


def _stack(rows: list[dict]) -> dict[str, Tensor]:
    """Dicts of numbers to a dict of tensors: scalars (B, 1, 1), colours (B, 3, 1, 1), the rest (B, ...)."""
    stacked = {}
    for key in rows[0]:
        value = torch.tensor(np.stack([np.asarray(row[key], dtype=np.float64) for row in rows]), dtype=torch.float32)
        if value.ndim == 1:
            value = value[:, None, None]
        elif value.shape[1:] == (3,):
            value = value[:, :, None, None]
        stacked[key] = value
    return stacked


def _draw_flat(cloth, noise, x, y, count: int) -> Tensor:
    pose = {key: torch.full((count, 1, 1), value) for key, value in mannequin().items()}
    body = Body(pose, x, y)
    picture = torch.ones(count, 3, *noise.shape[1:])
    for _, colour, alpha in draw_garment(body, cloth, noise, worn=False):
        picture = over(picture, colour, alpha)
    return picture


def _draw_person(person, cloth, noise, x, y):
    body = Body(person, x, y)
    size = noise.shape[1:]
    height = (y / SIZE[0] - 0.5)[:, None]
    picture = (
        person["background"]
        + person["background_2"] * height
        + 0.03 * soft_noise(person["background_noise"], size)[:, None]
    )
    parse = torch.zeros(noise.shape, dtype=torch.int64)
    worn = torch.ones_like(picture)

    def paint(colour: Tensor, alpha: Tensor, label: str | Tensor, cloth_alpha: Tensor | None = None):
        nonlocal picture, parse, worn
        picture = over(picture, colour, alpha)
        code = _LABEL[label] if isinstance(label, str) else label
        parse = torch.where(alpha > 0.5, code, parse)
        worn = over(worn, colour if cloth_alpha is not None else torch.ones(1, 3, 1, 1), alpha)

    skin = person["skin"]
    face = body.face()
    paint(person["hair"] * (0.85 + 0.1 * noise)[:, None].clamp(0.6, 1), coverage(face["behind"]), "hair")
    roundness = 1 - 0.16 * (body.across / body.half_width()).clamp(-1.2, 1.2).abs() ** 3
    paint(skin * roundness[:, None], coverage(body.trunk()), "neck")
    bare, legs = body.legs()
    crease = (
        1
        - 0.16 * (body.across / (person["hip"] * 1.2)).clamp(-1.3, 1.3).abs() ** 3
        - 0.18 * torch.exp(-(body.across.abs() / 5)) * (1 - person["skirt"]) * (body.down > 1.1)
    )
    paint(skin * crease[:, None], coverage(bare), "leg")
    code = torch.where(person["skirt"] > 0, _LABEL["skirt"], _LABEL["trousers"]).expand_as(parse)
    paint(person["trousers"] * (crease + 0.05 * noise)[:, None], coverage(legs), code)
    neck_shade = 1 - 0.2 * coverage(body.face()["skull"] - 6)
    paint(skin * neck_shade[:, None], coverage(body.neck()), "neck")
    pieces = list(draw_garment(body, cloth, noise, worn=True))
    _, colour, alpha = pieces[0]
    paint(colour, alpha, "garment", alpha)
    for side, (_, colour, alpha) in zip(SIDES, pieces[1:], strict=True):
        arm = body.arm(side)
        light = (
            1 - 0.2 * arm["across"].clamp(-1.1, 1.1).abs() ** 3 + 0.05 * person["light"] * arm["across"].clamp(-1, 1)
        )
        reach = coverage(torch.minimum(arm["distance"], body.hand(side)))
        paint(skin * light[:, None].clamp(0.6, 1.1), reach, side)
        paint(colour, alpha, "garment", alpha)
    skull_light = (
        1
        - 0.12 * coverage(face["nose"])
        - 0.1 * ((x - body.head_centre()[0]) / (30 * person["head"])).clamp(-1, 1).abs() ** 3
    )
    paint(skin * skull_light[:, None], coverage(face["skull"]), "face")
    dark = torch.tensor([0.12, 0.09, 0.08]).view(1, 3, 1, 1)
    paint(dark, coverage(face["eyes"]), "face")
    paint(skin * torch.tensor([0.92, 0.55, 0.55]).view(1, 3, 1, 1), coverage(face["mouth"]), "face")
    paint(person["hair"], coverage(face["fringe"]), "hair")
    return picture, parse, worn, body
