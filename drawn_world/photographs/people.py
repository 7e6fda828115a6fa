"""People as a camera sees them: skin, heads, hair, hands, feet, each a `Shape` that `scene.py` paints.

A shape has a silhouette, a surface for the light and a colour; what it is made of is numbers (`sample_looks`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from . import colours
from .bodies import FOREARM, OUT, SHIN, SIDES, THIGH, TORSO, UPPER_ARM, WAIST, Body
from .frames import SIZE, Tube, smoothstep
from .frames import box as box_of
from .light import slopes
from .noise import fractal
from .wearing import _chest


@dataclass
class Shape:
    """A painted thing.

    Attributes:
        rows, columns: its rectangle in the picture's pixels.
        edge: distance from its silhouette (h, w) in pixels, positive inside.
        normal: x, y, z of its surface, (h, w) each.
        colour: (3,) or (h, w, 3), sRGB.
        label: of LIP20.
        shine: share of mirrored light.
    """

    rows: slice
    columns: slice
    edge: np.ndarray
    normal: tuple[np.ndarray, np.ndarray, np.ndarray]
    colour: np.ndarray
    label: str
    shine: float = 0.0

    def trimmed(self) -> Shape:
        """Without the empty margins of its rectangle; at least two pixels wide and high."""
        inside = self.edge > -0.6
        rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
        if not len(rows):
            rows = columns = np.array([0])
        top, left = min(rows[0], inside.shape[0] - 2), min(columns[0], inside.shape[1] - 2)
        part = slice(top, max(rows[-1] + 1, top + 2)), slice(left, max(columns[-1] + 1, left + 2))
        full = (*inside.shape,)
        colour = self.colour[part] if np.shape(self.colour)[:2] == full else self.colour
        normal = tuple(np.broadcast_to(n, full)[part] for n in self.normal)
        moved = tuple(
            slice(s.start + p.start, s.start + p.stop) for s, p in zip((self.rows, self.columns), part, strict=True)
        )
        return replace(self, rows=moved[0], columns=moved[1], edge=self.edge[part], normal=normal, colour=colour)


def sample_looks(rng: np.random.Generator, body: dict) -> dict:
    """Numbers of skin, hair, face and shoes."""
    skin = colours.skin(rng)
    length = float(rng.choice([0.0, 0.25, 0.9, 1.7], p=[0.05, 0.35, 0.25, 0.35]))
    if body["build"] > 0.55 and rng.random() < 0.8:
        length = float(rng.choice([0.0, 0.25], p=[0.08, 0.92]))
    style = "loose"
    if length > 0.5 and rng.random() < 0.3 or length == 0.25 and body["build"] < 0.4 and rng.random() < 0.6:
        style, length = ("afro", 0.3) if rng.random() < 0.35 else ("tied", 0.2)
    return {
        "skin": skin,
        "hair": colours.hair(rng),
        "style": style,
        "length": length * rng.uniform(0.8, 1.3),
        "fall": [float(rng.random() < 0.55) for _ in SIDES],  # hair in front of the shoulders
        "volume": rng.uniform(0.9, 1.15),
        "parting": rng.uniform(-0.2, 0.2),
        "curl": rng.uniform(0, 1),
        "lips": rng.uniform(0.15, 0.7),
        "beard": float(body["build"] > 0.6 and rng.random() < 0.4) * rng.uniform(0.3, 0.9),
        "shoe": str(rng.choice(["sneaker", "shoe", "boot", "bare", "sandal"], p=[0.38, 0.3, 0.14, 0.05, 0.13])),
        "shoe_colour": colours.cloth(rng),
        "sole": colours.cloth(rng) if rng.random() < 0.3 else np.array((0.93, 0.93, 0.92)),
        "tights": rng.random() < 0.08,
        "freckles": rng.uniform(0, 0.02),
        "seed": int(rng.integers(2**62)),
    }


def _pixels(body: Body) -> float:
    return body.unit * body.size[0] / SIZE[0]


def _mottled(body: Body, skin: np.ndarray, box, seed: int, amount: float = 0.018) -> np.ndarray:
    """Skin is not one colour: slow changes of redness and lightness."""
    size = box[0].stop - box[0].start, box[1].stop - box[1].start
    field = fractal(seed, size, 1.1, 4, channels=2, octaves=6)
    light, red = field[..., 0:1] * np.float32(amount), field[..., 1:2] * np.float32(amount)
    return np.clip(skin.astype(np.float32) * (1 + light + red * np.float32([0.8, -0.4, -0.6])), 0, 1)


def bare_trunk(body: Body, looks: dict) -> Shape:
    """Chest, shoulders and hips."""
    rows = slice(0, body.size[0])
    columns = slice(0, body.size[1])
    q, _ = body.around()
    bx, by = _chest(body, body.across, body.garment_down())
    nz = np.sqrt(np.maximum(1 - q * q, 0.02))
    v = body.garment_down()
    collar = (
        np.exp(-(((v + 0.02 - 0.12 * np.abs(body.across)) / 0.05) ** 2))
        * smoothstep(0.15, 0.3, np.abs(body.across))
        * smoothstep(0.9, 0.6, np.abs(body.across))
    )
    top = np.exp(-(((v - body.shoulder_line(body.across)) / 0.14).clip(0) ** 2))  # shoulders turn up and away
    normal = (0.7 * q - bx * nz, -0.25 * top - by * nz - 0.25 * collar, nz)
    colour = _mottled(body, looks["skin"], (rows, columns), looks["seed"])
    return Shape(rows, columns, -body.trunk() * np.float32(_pixels(body)), normal, colour, "neck")


def neck(body: Body, looks: dict) -> Shape:
    """From the jaw to the shoulders."""
    p = body.numbers
    width = p["neck"] * (1 + 0.9 * smoothstep(-0.22, 0.08, body.down) ** 2 + 0.05)
    edge = np.minimum(
        width - np.abs(body.across),
        np.minimum((0.15 - body.down) * 0.06, body.down + p["neck_length"] + 0.6 * p["head"]),
    )
    q = np.clip(body.across / width, -1, 1)
    nz = np.sqrt(np.maximum(1 - q * q, 0.02))
    strand = np.exp(-(((np.abs(body.across) - 0.16 + 0.25 * (body.down + 0.1)) / 0.05) ** 2)) * 0.1
    everything = slice(0, body.size[0]), slice(0, body.size[1])
    return Shape(*everything, edge * np.float32(_pixels(body)), (q * 0.9 - np.sign(q) * strand, 0.15 + 0 * q, nz),
                 looks["skin"], "neck")  # fmt: skip


def limb(body: Body, looks: dict, name: str) -> Shape:
    """A bare arm or leg."""
    tube = body.limbs[name]
    knots = np.linspace(-0.5, 6, 80)
    radius = body.limb_radius(name, knots)
    end = UPPER_ARM + FOREARM if name.startswith("arm") else TORSO + THIGH + SHIN - WAIST
    box, along, across = body.on_limb(name)
    r = np.interp(along, knots, radius).astype(np.float32)
    start = 0.0 if name.startswith("arm") else 0.75
    beyond = np.maximum(start - along, 0) + np.maximum(along - end - 0.05, 0)
    q = np.clip(across / r, -1, 1)
    nz = np.sqrt(np.maximum(1 - q * q, 0.02))
    tx, ty = (tube.points[-1] - tube.points[0]) / max(np.linalg.norm(tube.points[-1] - tube.points[0]), 1e-6)
    muscle = 0.12 * np.sin(along * 2.2 + 0.6) * (q + 0.3)
    normal = (0.85 * q * np.float32(ty) - muscle * nz, -0.85 * q * np.float32(tx) + 0.03, nz)
    side = name.split("_")[1]
    colour = _mottled(body, looks["skin"], box, looks["seed"] + len(name), 0.014)
    if name.startswith("leg") and looks["tights"]:
        colour = np.float32(0.12) + 0.25 * colour * (nz**2)[..., None]
    if name.startswith("leg"):  # knees
        knee = np.exp(-(((along - (TORSO + THIGH - WAIST)) / 0.16) ** 2) - (q / 0.6) ** 2)
        colour = colour * (1 - 0.10 * knee)[..., None]
    edge = (r - np.hypot(across, beyond)) * np.float32(_pixels(body))
    return Shape(*box, edge, normal, colour, f"{side}_{name.split('_')[0]}")


def _rounds(body: Body, capsules: list, label: str, colour: np.ndarray, seed: int = 0) -> Shape:
    """Several round bars ((x, y), (x, y), radius, radius) in points, as one surface."""
    ends = np.array([[*c[0], *c[1]] for c in capsules]).reshape(-1, 2)
    tube = Tube([ends.min(0), ends.max(0) + 1e-3], [0, 1])
    box = box_of(tube, max(max(c[2], c[3]) for c in capsules) + 3, body.size)
    x, y = body.x[:, box[1]], body.y[box[0]]
    height = np.zeros((y.shape[0], x.shape[1]), np.float32)
    edge = np.full_like(height, -1e3)
    for (ax, ay), (bx, by), ra, rb in capsules:
        dx, dy = bx - ax, by - ay
        t = np.clip(((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6), 0, 1)
        r = ra + t * (rb - ra)
        d = np.hypot(x - ax - t * dx, y - ay - t * dy)
        height = np.maximum(height, np.sqrt(np.maximum(r * r - d * d, 0)))
        edge = np.maximum(edge, r - d)
    scale = body.size[0] / SIZE[0]
    hx, hy = slopes(height)
    hx, hy = (np.clip(h * scale, -2.2, 2.2).astype(np.float32) for h in (hx, hy))
    return Shape(*box, (edge * scale).astype(np.float32), (-hx, -hy, np.ones_like(hx)), colour, label)


def hand(body: Body, looks: dict, side: str) -> Shape | None:
    """Palm, four fingers and the thumb; None where it is in a pocket or behind the back."""
    pose = body.numbers[f"arm_{side}"]
    if pose["kind"] in ("pocket", "behind"):
        return None
    wrist, elbow = body.joints[f"wrist_{side}"], body.joints[f"elbow_{side}"]
    u, sign = body.unit * (0.9 + 0.35 * body.numbers["arm"]), OUT[side]
    d = (wrist - elbow) / max(np.linalg.norm(wrist - elbow), 1e-6)
    c, s = math.cos(pose["hand"] * sign), math.sin(pose["hand"] * sign)
    d = np.array([c * d[0] - s * d[1], s * d[0] + c * d[1]])
    n = np.array([-d[1], d[0]]) * sign  # towards the body where the arm hangs

    def at(along: float, across: float) -> np.ndarray:
        return wrist + u * (along * d + across * n)

    curl = pose["curl"]
    flat = 0.72 if pose["kind"] in ("relaxed", "open") else 1.0  # seen from its side
    bars = [(at(-0.3, 0), at(0.12, 0), 0.115 * u, 0.15 * u)]
    bars += [(at(0.12, a * flat), at(0.42, a * 1.15 * flat), 0.10 * u, 0.085 * u) for a in (-0.1, -0.03, 0.04, 0.11)]
    lengths, spread = (0.30, 0.40, 0.42, 0.36), 0.04 + 0.05 * (1 - curl)
    for i, length in enumerate(lengths):
        a = (-0.155 + 0.1 * i) * flat
        reach = length * (1 - 0.35 * curl)
        middle = at(0.44 + reach * 0.55, a + (i - 1.5) * spread * 0.6 + 0.06 * curl)
        bars += [(at(0.42, a), middle, 0.06 * u, 0.054 * u),
                 (middle, at(0.44 + reach, a + (i - 1.5) * spread + 0.14 * curl), 0.054 * u, 0.043 * u)]  # fmt: skip
    bars += [(at(0.1, 0.1), at(0.32, 0.22 * flat + 0.04), 0.075 * u, 0.06 * u),
             (at(0.32, 0.22 * flat + 0.04), at(0.5, 0.24 * flat + 0.02), 0.058 * u, 0.045 * u)]  # fmt: skip
    shape = _rounds(body, bars, f"{side}_arm", np.clip(looks["skin"] * (1.0, 0.985, 0.975), 0, 1))
    x, y = body.x[:, shape.columns] - wrist[0], body.y[shape.rows] - wrist[1]
    from_wrist = (x * d[0] + y * d[1]) / u * _pixels(body)
    return replace(
        shape, edge=np.minimum(shape.edge, 0.12 * from_wrist + 0.5).astype(np.float32)
    )  # no seam at the wrist


def feet(body: Body, looks: dict, side: str) -> list[Shape]:
    """The foot and what is worn on it."""
    x, y = body.joints[f"ankle_{side}"]
    u, sign = body.unit, OUT[side]
    toe = np.array([x + sign * u * 0.12, y + 0.48 * u])
    heel = np.array([x, y + 0.16 * u])
    shapes = [_rounds(body, [((x, y - 0.1 * u), heel, 0.14 * u, 0.16 * u), (heel, toe, 0.16 * u, 0.15 * u)],
                      f"{side}_shoe" if looks["shoe"] != "bare" else f"{side}_leg", looks["skin"])]  # fmt: skip
    if looks["shoe"] == "bare":
        return shapes
    label = f"{side}_shoe"
    if looks["shoe"] == "sandal":
        strap = toe - (0, 0.16 * u)
        shapes.append(_rounds(body, [(strap - (0.15 * u, 0), strap + (0.15 * u, 0), 0.05 * u, 0.05 * u),
                                     (heel - (0.15 * u, 0.1 * u), heel + (0.15 * u, -0.1 * u), 0.035 * u, 0.035 * u)],
                              label, looks["shoe_colour"]))  # fmt: skip
        return shapes
    top = y - (0.9 * u if looks["shoe"] == "boot" else -0.04 * u)
    knee = body.joints[f"knee_{side}"]
    up = np.array([x, y]) + (knee - (x, y)) * max((y - top) / max(y - knee[1], 1), 0)
    sole = [((heel[0], heel[1] + 0.05 * u), (toe[0], toe[1] + 0.06 * u), 0.18 * u, 0.17 * u)]
    shapes.append(
        _rounds(body, sole, label, looks["sole"] if looks["shoe"] == "sneaker" else looks["shoe_colour"] * 0.5)
    )
    upper = [(up, heel, 0.18 * u, 0.18 * u), (heel, toe, 0.18 * u, 0.165 * u)]
    shapes.append(_rounds(body, upper, label, looks["shoe_colour"]))
    if looks["shoe"] == "sneaker":
        rows = [heel + u * np.array([sign * 0.03 * i, 0.06 * i]) for i in range(4)]
        laces = [(row - (0.06 * u, 0), row + (0.06 * u, 0.04 * u), 0.014 * u, 0.014 * u) for row in rows]
        shapes.append(_rounds(body, laces, label, looks["sole"]))
    return shapes


class Head:
    """Head and hair of a body.

    Attributes:
        points: nose, eyes and ears by name, (2,) each, in points.
    """

    def __init__(self, body: Body, looks: dict):
        p = body.numbers
        self.body, self.looks = body, looks
        self.unit = body.unit * p["head"]
        chin = body.at(0.3 * math.sin(p["yaw"]) * 0.3, -p["neck_length"])
        roll, nod = p["head_roll"], p["head_nod"]
        self._c, self._s = math.cos(roll), math.sin(roll)
        self.centre = chin + self.unit * np.array([0.58 * self._s, -0.58 * self._c + nod])
        self.turn = float(np.clip(0.6 * p["yaw"] + p["head_turn"] * 0.6, -0.8, 0.8))
        t = self.turn
        places = {"nose": (0.42 * math.sin(t), 0.16), "eye_right": (0.36 * math.sin(t - 0.43), -0.03),
                  "eye_left": (0.36 * math.sin(t + 0.43), -0.03), "ear_right": (-0.40 * math.cos(t) + 0.1 * t, 0.03),
                  "ear_left": (0.40 * math.cos(t) + 0.1 * t, 0.03)}  # fmt: skip
        self.points = {name: self._at(*place) for name, place in places.items()}
        reach = 1.1 * self.unit
        tube = Tube([self.centre, self.centre + (0, 1e-3)], [0, 1])
        self.box = box_of(tube, reach, body.size)
        self.pixels = self.unit * body.size[0] / SIZE[0]

    def _at(self, p: float, q: float) -> np.ndarray:
        return self.centre + self.unit * np.array([p * self._c - q * self._s, p * self._s + q * self._c])

    def _local(self, box) -> tuple[np.ndarray, np.ndarray]:
        x = (self.body.x[:, box[1]] - np.float32(self.centre[0])) / np.float32(self.unit)
        y = (self.body.y[box[0]] - np.float32(self.centre[1])) / np.float32(self.unit)
        return x * self._c + y * self._s, -x * self._s + y * self._c

    def _skull(self, p: np.ndarray, q: np.ndarray) -> np.ndarray:
        """Distance inside the outline of face and skull."""
        down = np.clip(q / 0.6, 0, 1)
        a = 0.405 - 0.10 * down**2 - 0.05 * smoothstep(0.75, 1.0, down)
        r = np.hypot(p / a, q / 0.6)
        return (1 - r) * 0.42

    def face(self) -> Shape:
        """Face, ears and all, without hair."""
        looks, (p, q), t = self.looks, self._local(self.box), self.turn
        edge = self._skull(p, q)
        for sign in (-1, 1):  # the ear of the side that is turned away is hidden
            shown = 0.06 + 0.03 * np.clip(-sign * t, -0.6, 1)
            ear = (
                1 - np.hypot((p - sign * 0.40 * math.cos(t) - 0.05 * t) / max(shown, 0.02), (q - 0.03) / 0.13)
            ) * 0.07
            edge = np.maximum(edge, ear)

        def spot(name_or_p, q0: float, wp: float, wq: float) -> np.ndarray:
            return np.exp(-(((p - name_or_p) / wp) ** 2) - ((q - q0) / wq) ** 2)

        def across(angle: float) -> float:
            return 0.38 * math.sin(t + angle)

        ridge = spot(0.40 * math.sin(t), 0.02, 0.05, 0.16) * 0.5 + spot(0.43 * math.sin(t), 0.16, 0.07, 0.07)
        height = 0.075 * ridge + 0.02 * spot(across(0), 0.34, 0.13, 0.06) + 0.03 * spot(across(0), 0.52, 0.14, 0.08)
        for sign in (-1, 1):
            eye = across(sign * 0.43)
            height -= 0.035 * spot(eye, -0.02, 0.10, 0.06)
            height += 0.02 * spot(eye, -0.12, 0.12, 0.04) + 0.03 * spot(across(sign * 0.6), 0.13, 0.12, 0.1)
            height += 0.012 * spot(across(sign * 0.13), 0.19, 0.035, 0.03)
        hx, hy = slopes(height.astype(np.float32))
        scale = np.float32(self.pixels)
        nx, ny = p / 0.43, q / 0.68
        nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.05))
        normal = (nx - hx * scale * nz, ny * 0.8 - hy * scale * nz, nz)
        skin = looks["skin"].astype(np.float32)
        colour = np.broadcast_to(skin, (*p.shape, 3)).copy()
        blush = sum(spot(across(s * 0.62), 0.16, 0.14, 0.1) for s in (-1, 1)) + 0.7 * spot(across(0), 0.16, 0.06, 0.05)
        colour *= 1 + blush[..., None] * np.float32([0.03, -0.06, -0.05])
        if looks["beard"]:
            beard = smoothstep(0.18, 0.34, q + 0.25 * np.abs(p)) * (1 - spot(across(0), 0.335, 0.09, 0.035))
            colour += (looks["hair"].astype(np.float32) - colour) * (0.6 * looks["beard"] * beard)[..., None]
        dark = np.float32(looks["hair"] * 0.5 + 0.02)

        def paint(share: np.ndarray, tone) -> None:
            nonlocal colour
            colour = colour + (np.asarray(tone, np.float32) - colour) * np.clip(share, 0, 1)[..., None]

        lips = skin * np.float32([0.82, 0.52, 0.52])
        mouth = across(0)
        shape = np.clip(1 - ((p - mouth) / 0.135) ** 2, 0, 1)
        paint(looks["lips"] * 1.4 * np.clip((shape * 0.05 - np.abs(q - 0.335)) / 0.02 + 0.4, 0, 1) * (shape > 0), lips)
        paint(0.7 * np.exp(-(((q - 0.33) / 0.010) ** 2)) * shape, lips * 0.45)
        for sign in (-1, 1):
            eye = across(sign * 0.43)
            wide = 0.085 * math.cos(t + sign * 0.43)
            lid = np.clip(1 - ((p - eye) / wide) ** 2, 0, 1)
            paint(np.clip((lid * 0.032 - np.abs(q + 0.025)) / 0.012 + 0.3, 0, 1) * (lid > 0), (0.86, 0.84, 0.82))
            iris = np.hypot(p - eye, q + 0.027)
            paint(np.clip((0.030 - iris) / 0.012 + 0.5, 0, 1) * (lid > 0.02), dark * 0.8)
            paint(0.85 * np.exp(-(((q + 0.025 + lid * 0.034) / 0.011) ** 2)) * (lid > 0), dark * 0.6)
            paint(0.35 * np.exp(-(((q + 0.075 + lid * 0.02) / 0.012) ** 2)) * (lid > 0), skin * 0.55)
            brow = np.clip(1 - ((p - across(sign * 0.46)) / (wide * 1.35)) ** 2, 0, 1)
            paint(0.75 * np.exp(-(((q + 0.125 + 0.03 * brow) / 0.017) ** 2)) * brow**0.5, dark)
            paint(0.55 * spot(across(sign * 0.11), 0.205, 0.022, 0.012), skin * 0.4)
        return Shape(*self.box, (edge * scale).astype(np.float32), normal, np.clip(colour, 0, 1), "face", 0.06)

    def _strands(self, p: np.ndarray, q: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Brightness of strands (h, w), and the raggedness of an edge."""
        curl = self.looks["curl"]
        noise = fractal(self.looks["seed"] + seed, p.shape, 0.7, 9, (6 - 4.5 * curl, 1), octaves=6)
        slow = fractal(self.looks["seed"] + seed + 1, p.shape, 1.2, 5, (3 - 1.5 * curl, 1), octaves=5)
        return 1 + 0.16 * noise + 0.16 * slow, 0.014 * slow + 0.006 * noise

    def _hair(self, box, edge: np.ndarray, p: np.ndarray, q: np.ndarray, seed: int, width: float) -> Shape:
        bright, ragged = self._strands(p, q, seed)
        shine = 0.2 * np.exp(-(((q + 0.32 + 0.1 * p * p) / 0.13) ** 2)) * (self.looks["style"] != "afro")
        colour = (
            self.looks["hair"].astype(np.float32) * (bright + shine)[..., None] + np.float32(0.03) * shine[..., None]
        )
        nx = np.clip(p / width, -1, 1)
        nz = np.sqrt(np.maximum(1 - nx * nx, 0.1))
        soft = (edge + ragged) * np.float32(self.pixels) / (1 + 0.02 * self.pixels)
        return Shape(
            *box,
            soft.astype(np.float32),
            (0.7 * nx, np.clip(q, -0.8, 0.3) * 0.8, nz),
            np.clip(colour, 0, 1),
            "hair",
            0.08,
        )

    def hair_behind(self) -> Shape | None:
        """What is seen beside and below the head."""
        looks = self.looks
        if looks["length"] == 0:
            return None
        length, volume = looks["length"], looks["volume"]
        tube = Tube([self.centre, self._at(0, 0.3 + length)], [0, 1])
        box = box_of(tube, 1.0 * self.unit, self.body.size)
        p, q = self._local(box)
        if looks["style"] == "afro":
            edge = 0.62 * volume - np.hypot(p, q + 0.12)
        else:
            crown = (1 - np.hypot(p / (0.47 * volume), (q + 0.08) / (0.62 + 0.05 * volume))) * 0.45
            edge = crown
            if looks["style"] == "loose" and length > 0.5:
                wide = (0.46 + 0.06 * smoothstep(0, 1.2, q)) * volume
                edge = np.maximum(crown, np.minimum(np.minimum(wide - np.abs(p), q + 0.1), (length - q) * 0.5))
            elif looks["style"] == "tied":
                edge = np.maximum(crown, 0.2 - np.hypot(p - looks["parting"], q + 0.68))
        return self._hair(box, edge, p, q, 11, 0.55)

    def hair_front(self) -> list[Shape]:
        """The hair over forehead and temples, and strands that fall in front of the shoulders."""
        looks = self.looks
        if looks["length"] == 0:
            return []
        (p, q), t, shapes = self._local(self.box), self.turn, []
        line = -0.37 + 0.55 * np.abs(p - 0.3 * math.sin(t) - looks["parting"] * 0.3) ** 2.2 * 2.2
        if looks["style"] == "loose" and looks["length"] > 0.5:
            line = line + 0.25 * smoothstep(0.22, 0.38, np.abs(p - 0.12 * math.sin(t)))
        limit = 0.08 if looks["length"] < 0.5 else 0.55
        skull = (1 - np.hypot(p / (0.445 * looks["volume"]), (q + 0.05) / 0.64)) * 0.42
        if looks["style"] == "afro":
            skull = 0.6 * looks["volume"] - np.hypot(p, q + 0.12)
        edge = np.minimum(skull, np.minimum(line - q, limit - q))
        shapes.append(self._hair(self.box, edge, p, q, 21, 0.46))
        if looks["style"] == "loose" and looks["length"] > 0.5:
            for side, falls in zip(SIDES, looks["fall"], strict=True):
                sign = OUT[side]
                if not falls and looks["length"] > 0.9:
                    continue
                root, bottom = self._at(sign * 0.36, -0.15), self._at(sign * 0.42, 0.35 + looks["length"] * 0.75)
                tube = Tube([root, self._at(sign * 0.47, 0.45), bottom], [0, 0.6, 1.0], 0.4)
                box = box_of(tube, 0.35 * self.unit, self.body.size)
                along, across = tube.locate(self.body.x[:, box[1]], self.body.y[box[0]])
                p2, q2 = self._local(box)
                width = np.interp(along, [-0.1, 0.0, 0.5, 0.85, 1.05], [0.02, 0.08, 0.15, 0.12, 0.0]) * looks["volume"]
                edge = np.minimum(width - np.abs(across) / self.unit, (1.05 - along) * 0.4)
                shapes.append(self._hair(box, edge.astype(np.float32), p2, q2, 31 + len(side), 0.6))
        return shapes
