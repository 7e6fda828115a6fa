"""A pair of the photographs' world: one person in two garments, the garments by themselves, and every truth.

Everything is a function of seed, index and size; the numbers do not depend on the size. `sample_pair` draws the
numbers, `draw_pair` the pictures. Read `wearing.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from ladivton_core.preprocessing.labels import CATEGORIES, LIP20

from . import colours
from .backdrops import draw_backdrop, floor_shadow, sample_backdrop
from .bodies import OUT, SIDES, Body, sample_body, shoulder_line
from .camera import photograph, sample_camera
from .frames import SIZE
from .garments import hem_line, leg_width, sample_garment, sleeve_width, trunk_width
from .inputs import bordered, detected
from .light import cast, cloth, highlight, sample_light, shading
from .noise import spread
from .people import Head, Shape, bare_trunk, feet, hand, limb, neck, sample_looks
from .sewing import cut
from .tables import draw_flat, sample_table
from .wearing import Flat, Layer, Worn, look_up

CYCLE = ("upper_body", "lower_body", "upper_body", "dresses")
"""Category of the pairs by index, repeated."""
LANDMARKS = (
    "neck_right", "neck_front", "neck_left", "shoulder_right", "shoulder_left", "armpit_right", "armpit_left",
    "hem_right", "hem_middle", "hem_left", "cuff_right", "cuff_left", "waist_right", "waist_left",
)  # fmt: skip
"""Points of a garment whose places in both pictures are told."""
FIELD = 4
"""Pixels a cell of the true warp's field."""
_ARMPIT = 0.55  # along an arm: above it cloth lies over the arm, below it the arm over the cloth


@dataclass(frozen=True)
class Pair:
    """One person in two garments. Pictures are (2, H, W, 3) uint8 sRGB, one for each garment.

    Attributes:
        persons: photographs of the person.
        garments: the garments by themselves.
        worn: each garment as worn, everything else white: the photograph's own pixels.
        warped: the garment's own picture by the true warp, everything else white.
        parse: LIP20 labels (2, H, W) uint8.
        garment_masks: cover of the garments in their pictures (2, H, W) uint8.
        silhouettes: the person's cover (2, H, W) uint8.
        fields: (2, H / 4, W / 4, 2) float32: x, y in the garment's picture that the middle of a cell shows, in pixels;
            not a number where it shows none.
        landmarks: (2, 2, len(LANDMARKS), 2) float32: of each garment in its own picture, then as worn, in pixels; not a
            number where a point is hidden or the garment has none.
        joints: exact COCO-18 joints (18, 3) float32: pixels and 1, or 0 where they are not in the picture.
        detected: the same as a detector gives them, see `inputs.detected`.
        category: of `CATEGORIES`.
        numbers: what the pair was drawn from.
    """

    persons: np.ndarray
    garments: np.ndarray
    worn: np.ndarray
    warped: np.ndarray
    parse: np.ndarray
    garment_masks: np.ndarray
    silhouettes: np.ndarray
    fields: np.ndarray
    landmarks: np.ndarray
    joints: np.ndarray
    detected: np.ndarray
    category: str
    numbers: dict = field(repr=False, default_factory=dict)


def sample_pair(seed: int, index: int, category: str | None = None) -> dict:
    """Numbers of pair `index` of a world: person, both garments, place, light, cameras.

    Raises:
        ValueError: an unknown category.
    """
    category = category or CYCLE[index % len(CYCLE)]
    if category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}; it is one of {', '.join(CATEGORIES)}")

    def rng(stream: int) -> np.random.Generator:
        return np.random.default_rng([seed, index, stream])

    body = sample_body(rng(0), category)
    garments = [sample_garment(rng(stream), category) for stream in (1, 2)]
    other = None
    if category != "dresses":
        other = sample_garment(rng(3), "lower_body" if category == "upper_body" else "upper_body", simple=True)
        if other["category"] == "upper_body":
            other["hem"] = min(other["hem"], 2.9)
    extra = rng(4)
    inner = sample_garment(rng(11), "upper_body", simple=True)  # what shows where a jacket is open
    inner |= {
        "straps": "wide",
        "shoulder": 0.8,
        "neck": "scoop",
        "neck_width": 0.45,
        "neck_power": 2.2,
        "closure": "none",
        "neck_depth": 0.3 + 0.3 * extra.random(),
        "sleeve": 0.0,
        "open": 0.0,
        "hem": 2.3,
        "pockets": "none",
    }
    return {
        "seed": seed,
        "index": index,
        "category": category,
        "body": body,
        "looks": sample_looks(rng(5), body),
        "garments": garments,
        "tables": [sample_table(rng(stream), garment) for stream, garment in zip((6, 7), garments, strict=True)],
        "other": other,
        "inner": inner if extra.random() < 0.75 else None,
        "tucked": bool(extra.random() < 0.35),
        "backdrop": sample_backdrop(rng(8)),
        "light": sample_light(rng(9)),
        "camera": sample_camera(rng(10)),
        "border": float(extra.random() < 0.12),
        "inputs": int(extra.integers(2**62)),
    }


def draw_pair(numbers: dict, size: tuple[int, int] = SIZE) -> Pair:
    """Draw a pair.

    Args:
        numbers: from `sample_pair`.
        size: (height, width), in the proportion 4 to 3, e.g. (512, 384), (1024, 768), (2048, 1536).

    Raises:
        ValueError: another proportion.
    """
    if size[0] * SIZE[1] != size[1] * SIZE[0]:
        raise ValueError(f"the size is {size[0]} x {size[1]}; height and width are as 4 to 3, e.g. 512 x 384")
    scale = size[0] / SIZE[0]
    body = Body(numbers["body"], size)
    head = Head(body, numbers["looks"])
    bare = _Bare(numbers, body, head)
    rng = np.random.default_rng(numbers["inputs"])
    floor = max(body.joints[f"ankle_{side}"][1] for side in SIDES) + 0.5 * body.unit
    place = draw_backdrop(numbers["backdrop"], size, floor)
    other = numbers["other"] and (numbers["other"], cut(numbers["other"], scale), {})
    inner = numbers["inner"] and any(one["open"] for one in numbers["garments"] if "open" in one) and (
        numbers["inner"], cut(numbers["inner"], scale), {})  # fmt: skip
    part = bordered(rng, size) if numbers["border"] else None
    rows = []
    for garment, table in zip(numbers["garments"], numbers["tables"], strict=True):
        pieces = cut(garment, scale)
        flat, shown, mask = draw_flat(garment, pieces, table, size)
        painter = _Painter(numbers, body, bare, size)
        painter.draw((garment, pieces, {}), other, inner if garment.get("open") else None)
        photo = photograph(numbers["camera"], painter.finished(place))
        field_ = painter.warp(flat)
        worn = (painter.worn * 255 + 0.5).astype(np.uint8)
        parse, cover = painter.labels, (painter.cover * 255 + 0.5).astype(np.uint8)
        if part is not None:
            photo = _filled(photo, part)
            inside = np.zeros(size, bool)
            inside[part[0] : part[0] + part[2], part[1] : part[1] + part[3]] = True
            worn, parse, cover = worn * inside, parse * inside, cover * inside
            field_[~inside] = np.nan
        share = (worn / np.float32(255))[..., None]
        warped = cv2.remap(shown, np.nan_to_num(field_[..., 0], nan=-9), np.nan_to_num(field_[..., 1], nan=-9),
                           cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255))  # fmt: skip
        truth = (np.isfinite(field_[..., :1]) * share).astype(np.float32)
        rows.append({
            "persons": photo,
            "garments": shown,
            "worn": (photo * share + 255 * (1 - share) + 0.5).astype(np.uint8),
            "warped": (warped * truth + 255 * (1 - truth) + 0.5).astype(np.uint8),
            "parse": parse,
            "garment_masks": mask,
            "silhouettes": cover,
            "fields": field_[FIELD // 2 :: FIELD, FIELD // 2 :: FIELD],
            "landmarks": _landmarks(garment, flat, painter, field_),
        })  # fmt: skip
    joints = body.keypoints(head.points)
    joints[:, :2] *= scale
    if part is not None:
        x, y = joints[:, 0], joints[:, 1]
        joints[(y < part[0]) | (x < part[1]) | (y >= part[0] + part[2]) | (x >= part[1] + part[3]), 2] = 0
    seen = detected(rng, joints, body.unit * scale, size)
    joints[joints[:, 2] == 0] = 0
    stacked = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Pair(**stacked, joints=joints.astype(np.float32), detected=seen.astype(np.float32),
                category=numbers["category"], numbers=numbers)  # fmt: skip


def pair(seed: int, index: int, size: tuple[int, int] = SIZE, category: str | None = None) -> Pair:
    """Pair `index` of a world, see `sample_pair` and `draw_pair`."""
    return draw_pair(sample_pair(seed, index, category), size)


def _filled(photo: np.ndarray, part: tuple[int, int, int, int]) -> np.ndarray:
    """A photo that fills only a part of the picture, its borders as Fit Person fills them."""
    import torch

    from ladivton_core.preprocessing.framing.fitting import Fit

    top, left, height, width = part
    inner = torch.from_numpy(photo[top : top + height, left : left + width].copy()).permute(2, 0, 1)[None].float() / 255
    size = photo.shape[:2]
    fit = Fit((height, width), size, (0, 0, height, width), part)
    shown = fit.apply(inner, fill="blur")[0].permute(1, 2, 0).clamp(0, 1)
    return (shown.numpy() * 255 + 0.5).astype(np.uint8)


def _garment_label(garment: dict) -> str:
    if garment["category"] == "lower_body":
        return "skirt" if garment["skirt"] else "pants"
    return "upper_clothes" if garment["category"] == "upper_body" else "dress"


class _Bare:
    """The person without clothes, lit: the same under both garments.

    Attributes:
        shapes: name to a list of (shape, cover, light): what is painted under that name.
    """

    def __init__(self, numbers: dict, body: Body, head: Head):
        looks = numbers["looks"]
        self._light = numbers["light"]
        made: dict[str, list] = {"behind": [head.hair_behind()], "head": [head.face()], "hair": head.hair_front()}
        made["trunk"] = [bare_trunk(body, looks), neck(body, looks)]
        for side in SIDES:
            made[f"arm_{side}"], made[f"hand_{side}"] = [limb(body, looks, f"arm_{side}")], [hand(body, looks, side)]
            made[f"leg_{side}"] = [limb(body, looks, f"leg_{side}"), *feet(body, looks, side)]
        self.shapes = {name: [self._lit(one) for one in some if one is not None] for name, some in made.items()}

    def _lit(self, shape: Shape) -> tuple[Shape, np.ndarray, np.ndarray]:
        shape = shape.trimmed()
        normal = [np.asarray(n, np.float32) for n in shape.normal]
        bright = shading(self._light, *normal)
        lit = colours.linear(shape.colour) * spread(bright)
        if (
            shape.label != "hair" and "shoe" not in shape.label
        ):  # light that comes back out of skin is redder in the dark
            lit *= 1 + np.float32([0.20, -0.04, -0.08]) * np.clip(1 - bright, 0, 0.6)[..., None]
        if shape.shine:
            lit += (highlight(self._light, *normal, 24.0) * np.float32(shape.shine))[..., None]
        return shape, np.clip(shape.edge + np.float32(0.5), 0, 1), lit * self._light["colour"].astype(np.float32)


class _Painter:
    """Paints one person from back to front; the place behind comes last.

    Attributes:
        light: (H, W, 3) linear, times cover.
        cover: of the person (H, W) in [0, 1].
        labels: LIP20 (H, W) uint8.
        worn: cover of the exchanged garment where it is seen (H, W).
        pieces: which piece of it is seen (H, W) int8, 0 none; `places` (H, W, 2) where on it, in units.
    """

    def __init__(self, numbers: dict, body: Body, bare: _Bare, size: tuple[int, int]):
        self.numbers, self.body, self.bare, self.size = numbers, body, bare, size
        self.pixels = body.unit * size[0] / SIZE[0]
        self.light = np.zeros((*size, 3), np.float32)
        self.cover = np.zeros(size, np.float32)
        self.labels = np.zeros(size, np.uint8)
        self.worn = np.zeros(size, np.float32)
        self.pieces = np.zeros(size, np.int8)
        self.places = np.zeros((*size, 2), np.float32)
        self.names: list[str] = []

    def draw(self, garment: tuple, other: tuple | None, inner: tuple | None = None) -> None:
        """Paint a person in the exchanged garment, its companion and what is worn under it, each with its pieces."""
        self.exchanged, body, tucked = garment, self.body, self.numbers["tucked"]
        layers = [garment] if other is None else [other, garment]
        if other is not None:
            lower = next(one for one in layers if one[0]["category"] == "lower_body")
            upper = next(one for one in layers if one[0]["category"] != "lower_body")
            tucked = tucked and upper[0]["hem"] > 2.1 and not upper[0]["open"]
            layers = [upper, lower] if tucked else [lower, upper]
        if inner:
            layers.insert(0, inner)
        worn = [(self._dressed(one, tucked and one[0]["category"] == "upper_body"), one) for one in layers]
        self._shapes("behind")
        hidden = [side for side in SIDES if body.numbers[f"arm_{side}"]["kind"] == "behind"]
        for side in hidden:
            self._arm(side, worn, None)
        for side in SIDES:
            self._shapes(f"leg_{side}", 0.04)
        self._shapes("trunk")
        chin, cover, _ = self.bare.shapes["head"][0]
        self._shadow(chin.rows, chin.columns, cover, 0.28, 0.35 / self.numbers["light"]["shadow"] + 0.6)
        over = np.zeros(self.size, np.float32)
        for dressed, one in worn:
            for layer in dressed.trunk:
                alpha = self._layer(layer, one, one is garment, 0.06)
                over[layer.rows, layer.columns] = np.maximum(over[layer.rows, layer.columns], alpha)
        # the cloth of the shoulders lies over the arms, further down they lie over it
        inner = 1 - 2 * body.numbers["arm"]
        rim = np.interp(body.garment_down(), [0.15, 0.5, 0.9], [1.0, 0.80, inner]).astype(np.float32)
        over *= np.abs(body.across) < rim
        for side in SIDES:
            if side not in hidden:
                self._arm(side, worn, over)
        self._shapes("head")
        self._shapes("hair", 0.08)

    def _dressed(self, one: tuple, tucked: bool) -> Worn:
        """A garment on the body; its companion is the same in both pictures."""
        kept = one[2]
        if ("worn", tucked) not in kept:
            kept["worn", tucked] = Worn(one[0], self.body, tucked)
        return kept["worn", tucked]

    def _arm(self, side: str, worn: list, over: np.ndarray | None) -> None:
        shape = self.bare.shapes[f"arm_{side}"][0][0]
        (rows, columns), along, _ = self.body.on_limb(f"arm_{side}")
        along = along[shape.rows.start - rows.start : shape.rows.stop - rows.start,
                      shape.columns.start - columns.start : shape.columns.stop - columns.start]  # fmt: skip
        share = np.ones_like(along)
        if self.body.numbers[f"arm_{side}"]["kind"] == "pocket":
            share = np.clip((2.62 - along) * 12, 0, 1)
        if over is not None:
            share = share * (1 - over[shape.rows, shape.columns] * (along < _ARMPIT))
        self._shapes(f"arm_{side}", 0.18 if over is not None else 0.0, share)
        self._shapes(f"hand_{side}", 0.06)
        for dressed, one in worn:
            if side in dressed.sleeves:
                self._layer(dressed.sleeves[side], one, one is self.exchanged, 0.12)

    def _shadow(self, rows, columns, alpha, distance: float, strength: float) -> None:
        """Darken what has been painted by the shadow of what comes next."""
        if distance <= 0:
            return
        grow = int(0.6 * self.pixels)
        top, left = max(rows.start - grow, 0), max(columns.start - grow, 0)
        bottom, right = min(rows.stop + grow, self.size[0]), min(columns.stop + grow, self.size[1])
        wide = np.zeros((bottom - top, right - left), np.float32)
        wide[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = alpha
        shade = cast(self.numbers["light"], wide, self.pixels, distance) * np.float32(
            self.numbers["light"]["shadow"] * strength
        )
        self.light[top:bottom, left:right] *= spread(1 - shade * (1 - wide))

    def _put(self, rows, columns, alpha, light, label: str, exchanged: bool) -> None:
        area = rows, columns
        keep = 1 - alpha
        self.light[area] = self.light[area] * spread(keep) + light * spread(alpha)
        self.cover[area] = self.cover[area] * keep + alpha
        self.labels[area][alpha > 0.5] = LIP20.id(label)
        self.worn[area] = self.worn[area] * keep + (alpha if exchanged else 0)
        if not exchanged:
            self.pieces[area][alpha > 0.5] = 0

    def _shapes(self, name: str, distance: float = 0.0, share: np.ndarray | float = 1.0) -> None:
        for shape, cover, light in self.bare.shapes[name]:
            alpha = cover * share
            self._shadow(shape.rows, shape.columns, alpha, distance, 0.8)
            self._put(shape.rows, shape.columns, alpha.astype(np.float32), light, shape.label, False)

    def _layer(self, layer: Layer, one: tuple, exchanged: bool, distance: float) -> np.ndarray:
        garment, pieces, kept = one
        if id(layer) not in kept:
            light = self.numbers["light"]
            colour, alpha = look_up(pieces[layer.piece], layer, self.pixels)
            lit = cloth(light, colours.linear(colour), layer.normal, garment["fabric"]["shine"])
            kept[id(layer)] = alpha, lit * light["colour"].astype(np.float32)
        alpha, lit = kept[id(layer)]
        self._shadow(layer.rows, layer.columns, alpha, distance, 1.0)
        self._put(layer.rows, layer.columns, alpha, lit, _garment_label(garment), exchanged)
        if exchanged:
            if layer.piece not in self.names:
                self.names.append(layer.piece)
            seen = alpha > 0.5
            area = layer.rows, layer.columns
            self.pieces[area][seen] = np.where(layer.true, self.names.index(layer.piece) + 1, 0)[seen]
            self.places[area][seen] = np.stack([layer.u, layer.v], -1)[seen]
        return alpha

    def finished(self, place: np.ndarray) -> np.ndarray:
        """The person before the backdrop, in light (H, W, 3)."""
        backdrop, body = self.numbers["backdrop"], self.body
        feet_ = np.array([body.joints[f"ankle_{side}"] for side in SIDES])
        dark = floor_shadow(backdrop, self.size, feet_, body.unit)
        if backdrop["wall_shadow"]:
            shade = cast(self.numbers["light"], self.cover, self.pixels, backdrop["wall_distance"])
            dark = 1 - (1 - dark) * (1 - shade * np.float32(backdrop["wall_shadow"]))
        return self.light + place * spread(((1 - dark) * (1 - self.cover)).astype(np.float32))

    def warp(self, flat: Flat) -> np.ndarray:
        """Where in the garment's picture each pixel's cloth lies (H, W, 2), in its pixels; not a number elsewhere."""
        result = np.full((*self.size, 2), np.nan, np.float32)
        scale = self.size[0] / SIZE[0]
        for number, name in enumerate(self.names, 1):
            seen = self.pieces == number
            if seen.any():
                places = self.places[seen]
                result[seen] = flat.place(name, places[:, 0], places[:, 1]) * scale - 0.5
        return result


def _landmarks(garment: dict, flat: Flat, painter: _Painter, warp: np.ndarray) -> np.ndarray:
    """Places (2, len(LANDMARKS), 2) in both pictures, in pixels."""
    points: dict[str, tuple[str, float, float]] = {}
    for side in SIDES:
        out = OUT[side]
        if garment["category"] == "lower_body" and not garment["skirt"]:
            leg, length = f"leg_{side}", garment["length"] - 0.03
            points[f"waist_{side}"] = (leg, out * (float(leg_width(garment, 0.05)) - 0.04), 0.05 - garment["rise"])
            points[f"hem_{side}"] = (leg, out * (float(leg_width(garment, length)) - 0.04), length)
            continue
        hem = garment["hem"] - 0.05
        wide = float(trunk_width(garment, hem)) - 0.06
        points[f"hem_{side}"] = ("front", out * wide, float(hem_line(garment, out * wide)) - 0.04)
        if garment["neck"] == "waist":
            points[f"waist_{side}"] = ("front", out * (garment["waist"] - 0.06), garment["top"] + 0.08)
            continue
        if garment["straps"] == "wide":
            at = max(garment["neck_width"], 0.3) + 0.03
            points[f"neck_{side}"] = ("front", out * at, float(shoulder_line(at)) + 0.03)
            tip = max(garment["shoulder"], garment["neck_width"] + 0.1) - 0.05
            points[f"shoulder_{side}"] = ("front", out * tip, float(shoulder_line(tip)) + 0.05)
        points[f"armpit_{side}"] = (
            "front",
            out * (float(trunk_width(garment, garment["pit"])) - 0.06),
            garment["pit"] + 0.05,
        )
        if garment["sleeve"]:
            along = garment["sleeve"] - 0.04
            points[f"cuff_{side}"] = (f"sleeve_{side}", float(sleeve_width(garment, along)) - 0.05, along)
    if "chest" in garment:
        strapless = garment["straps"] in ("thin", "none")
        depth = min(garment["neck_depth"], garment["pit"] - 0.08) if strapless else garment["neck_depth"]
        points["neck_front"] = ("front", 0.03 + garment["open"], depth + 0.05)
    if garment["skirt"] or "chest" in garment:
        points["hem_middle"] = ("front", 0.03 + garment.get("open", 0.0), garment["hem"] - 0.05)
    result = np.full((2, len(LANDMARKS), 2), np.nan, np.float32)
    scale = painter.size[0] / SIZE[0]
    rows, columns = np.nonzero(np.isfinite(warp[..., 0]))
    known = warp[rows, columns]
    for name, (piece, u, v) in points.items():
        place = flat.place(piece, np.array(u), np.array(v)) * scale - 0.5
        result[0, LANDMARKS.index(name)] = place
        away = np.abs(known - place.astype(np.float32)).sum(-1)
        if len(away) and away.min() < 3 * scale:
            nearest = away.argmin()
            result[1, LANDMARKS.index(name)] = columns[nearest], rows[nearest]
    return result
