"""A procedural try-on world: people, garments, and the rendered truth of anyone in anything.

No data set can be shipped, so the embedded default learns from this one. Because the world is
rendered, the unpaired truth exists: the same person in the other garment. It has the three categories of
Dress Code. Pictures are 512x384; labels are LIP20's, keypoints COCO-18. People are drawn from numbers in
`people.py`, garments from those in `garments.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.masks.agnostic import GROW, agnostic_mask

from .body import SIDES, SIZE, Body
from .garments import draw_flat, draw_sleeve, draw_trunk, sample_garment
from .people import mannequin, sample_person
from .signed_distance import ellipse, over, smoothstep, soft_noise

CYCLE = ("upper_body", "lower_body", "upper_body", "dresses")
"""Category of people and garments by index, repeated: VITON-HD's only one is half of the world."""
UNPAIRED_SHIFT = len(CYCLE)
"""Person i can wear garment i + UNPAIRED_SHIFT: the same category, another garment."""


@dataclass(frozen=True)
class Scene:
    """What the world shows of one batch.

    Attributes:
        person: the person in the garment (B, 3, H, W), [0, 1].
        garment: the same garment laid flat on white (B, 3, H, W), [0, 1].
        parse: LIP20 labels (B, H, W), int64.
        keypoints: COCO-18 joints (B, 18, 2), pixels; missing ones are (0, 0).
        worn: the garment as worn, everything else white (B, 3, H, W), [0, 1]: the warper's target.
        category: of each person's exchanged garment.
    """

    person: Tensor
    garment: Tensor
    parse: Tensor
    keypoints: Tensor
    worn: Tensor
    category: tuple[str, ...]

    def inpaint_mask(self, grow: int = GROW) -> Tensor:
        """Masks (B, 1, H, W) in {0, 1} by VITON-HD's published rule, joints outside the picture left out."""
        people = zip(self.parse, self.keypoints, self.category, strict=True)
        return torch.cat(
            [
                agnostic_mask(parse[None], joints[None], category, LIP20, missing_joints="skip", grow=grow)
                for parse, joints, category in people
            ]
        )


class DrawnWorld:
    """Endless people and garments, each named by a seed and an index.

    Args:
        seed: world seed; two worlds of different seed share no person and no garment.
        size: (height, width) of the pictures; drawn at 512x384 coordinates and scaled.
    """

    def __init__(self, seed: int = 0, size: tuple[int, int] = SIZE):
        self.seed, self.size = seed, size

    @staticmethod
    def category(index: int) -> str:
        """Category of person and garment `index`."""
        return CYCLE[index % len(CYCLE)]

    def person(self, index: int) -> dict:
        """Numbers of person `index`; the same on every machine and in any batch."""
        return sample_person(np.random.default_rng([self.seed, index, 1]), self.category(index))

    def garment(self, index: int) -> dict:
        """Numbers of garment `index`."""
        return sample_garment(np.random.default_rng([self.seed, index, 2]), self.category(index))

    def scene(self, people: list[int], garments: list[int]) -> Scene:
        """Draw person `people[i]` wearing garment `garments[i]`; a batch may mix categories.

        Raises:
            ValueError: not equally many, none, or a garment of another category than its person's.
        """
        return draw([self.person(i) for i in people], [self.garment(i) for i in garments], self.size)


def draw(people: list[dict], garments: list[dict], size: tuple[int, int] = SIZE) -> Scene:
    """Render people in garments (see `Scene`).

    Args:
        people, garments: numbers from `sample_person` and `sample_garment`, of the same category pairwise.

    Raises:
        ValueError: not equally many, none, or the categories differ.
    """
    if len(people) != len(garments) or not people:
        raise ValueError(f"{len(people)} people and {len(garments)} garments: give equally many, at least one")
    for row, (person, garment) in enumerate(zip(people, garments, strict=True)):
        if person["category"] != garment["category"]:
            raise ValueError(
                f"row {row}: a {garment['category']} garment for a {person['category']} person; categories must "
                f"agree, so shift garments by a multiple of {UNPAIRED_SHIFT}"
            )
    rows = []
    with torch.no_grad():
        for person, garment in zip(people, garments, strict=True):
            painter = _Painter(person, size)
            painter.draw(garment)
            flat = torch.ones(3, *size)
            for colour, alpha in draw_flat(garment, Body(mannequin(garment), size)):
                flat = over(flat, colour, alpha)
            pictures = (painter.picture.clamp(0, 1), flat, painter.parse, painter.body.keypoints(), painter.worn)
            rows.append(pictures)
    return Scene(*(torch.stack(column) for column in zip(*rows, strict=True)), tuple(p["category"] for p in people))


def _colour(rgb) -> Tensor:
    return torch.tensor(np.asarray(rgb), dtype=torch.float32).view(3, 1, 1)


def _garment_label(garment: dict) -> str:
    if garment["category"] == "lower_body":
        return "skirt" if garment["skirt"] else "pants"
    return {"upper_body": "upper_clothes", "dresses": "dress"}[garment["category"]]


class _Painter:
    """Layers of one person from back to front: the picture, the labels, and the exchanged garment alone."""

    def __init__(self, person: dict, size: tuple[int, int]):
        self.person, self.body = person, Body(person, size)
        self.picture = self._background(size)
        self.parse = torch.zeros(size, dtype=torch.int64)
        self.worn = torch.ones(3, *size)

    def draw(self, garment: dict) -> None:
        """Paint everything."""
        other = self.person["other"]
        layers = [garment] if other is None else [other, garment]
        if self.person["category"] == "lower_body" and not self.person["tucked"]:
            layers.reverse()
        self._bare_body()
        for layer in layers:
            self._paint(*draw_trunk(self.body, layer, worn=True), _garment_label(layer), layer is garment)
        for side in SIDES:  # over the hems, so that no garment changes the shoes
            shoe = self.body.shoe(side)
            shine = 1 + 0.12 * smoothstep(0, -12, shoe)
            self._paint(_colour(self.person["shoe"]) * shine, self.body.coverage(shoe), f"{side}_shoe")
        for side in SIDES:
            self._arm(side)
            for layer in layers:
                if layer["sleeve"] > 0:
                    colour, alpha = draw_sleeve(self.body, layer, side, worn=True)
                    self._paint(colour, alpha, _garment_label(layer), layer is garment)
        self._head()

    def _paint(self, colour: Tensor, alpha: Tensor, label: str, exchanged: bool = False) -> None:
        self.picture = over(self.picture, colour, alpha)
        self.parse[alpha > 0.5] = LIP20.id(label)
        self.worn = over(self.worn, colour if exchanged else torch.ones(3, 1, 1), alpha)

    def _background(self, size: tuple[int, int]) -> Tensor:
        p, body = self.person, self.body
        height = torch.linspace(-0.5, 0.5, size[0])[:, None]
        side = torch.linspace(-1, 1, size[1])[None]
        picture = _colour(p["background"]) + _colour(p["background_2"]) * height
        picture = picture + 0.03 * soft_noise(p["background_noise"], size) + 0.03 * p["light"] * side
        feet = [body.joints[f"ankle_{side}"] for side in SIDES]
        x, y = sum(foot[0] for foot in feet) / 2, max(foot[1] for foot in feet) + 0.7 * p["hip"]
        ground = smoothstep(-10, 10, body.y - (y - 45))
        shadow = smoothstep(14, -14, ellipse(body.x, body.y, x, y, 95, 14))
        return picture * (1 - 0.1 * ground) * (1 - 0.28 * shadow)

    def _bare_body(self) -> None:
        p, body = self.person, self.body
        skin = _colour(p["skin"])
        ripple = 0.9 + 0.06 * torch.sin(0.35 * (body.x - p["cx"]) + 0.02 * body.y)
        self._paint(_colour(p["hair"]) * ripple, body.coverage(body.face()["behind"]), "hair")
        roundness = 1 - 0.16 * (body.across / body.half_width()).clamp(-1.2, 1.2).abs() ** 3
        self._paint(skin * roundness, body.coverage(body.trunk()), "neck")
        for side in SIDES:
            leg = body.leg(side)
            light = self._limb_light(leg, side) - 0.05 * torch.exp(-(((leg["along"] - 1) / 0.06) ** 2))
            self._paint(skin * light, body.coverage(leg["distance"]), f"{side}_leg")
        neck_shade = 1 - 0.2 * body.coverage(body.face()["skull"] - 6)
        self._paint(skin * neck_shade, body.coverage(body.neck()), "neck")

    def _limb_light(self, limb: dict[str, Tensor], side: str) -> Tensor:
        across = limb["across"].clamp(-1.1, 1.1)
        sign = 1 if side == "left" else -1
        return 1 - 0.2 * across.abs() ** 3 + 0.05 * self.person["light"] * sign * across

    def _arm(self, side: str) -> None:
        arm, hand = self.body.arm(side), self.body.hand(side)
        skin = _colour(self.person["skin"]) * self._limb_light(arm, side)
        self._paint(skin, self.body.coverage(torch.minimum(arm["distance"], hand)), f"{side}_arm")

    def _head(self) -> None:
        p, body, face = self.person, self.body, self.body.face()
        skin = _colour(p["skin"])
        across = ((body.x - body.head_centre()[0]) / (30 * p["head"])).clamp(-1, 1)
        light = 1 - 0.12 * body.coverage(face["nose"]) - 0.1 * across.abs() ** 3 + 0.06 * p["light"] * across
        self._paint(skin * light, body.coverage(face["skull"]), "face")
        self._paint(_colour([0.12, 0.09, 0.08]), body.coverage(face["eyes"]), "face")
        self._paint(skin * _colour([0.92, 0.55, 0.55]), body.coverage(face["mouth"]), "face")
        self._paint(_colour(p["hair"]), body.coverage(face["fringe"]), "hair")
