"""Finding people in a photo: joints with scores, silhouette and box of everyone, with BlazePose.

The graphs (`blazepose.py`) run on this machine through `ai-edge-litert`; nothing of the photo leaves it. BlazePose
looks for a head with a body below it. Where the first look finds nobody, a second one looks at a dark photo in more
light, then at a turned one, then for people who are small in it. A photo wider than high is looked at in parts as well:
groups stand in it. Somebody whose head the photo cuts off is looked for where their silhouette says that a body may
hang, also in place of somebody of whom the first look is not sure, and is said to be one by `Person.headless`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..modes import BODY
from ..pose.dialects import blazepose_hands, coco18
from ..pose.keypoints import largest_person
from .blazepose import (
    DETECTOR,
    FOLDER,
    LANDMARKS,
    SILHOUETTE,
    Graph,
    Region,
    cut_out,
    find_graphs,
    landmarks,
    paste,
    region_between,
    regions,
)
from .chosen import own_territory

SMALLEST_SCORE = 0.35
"""Of the detector; the landmarks have the last word, at 0.5."""
_CERTAIN = 0.5
_HEAD = (0, 14, 15, 16, 17)
_TRUNK_AND_LEGS = ((2, 8), (5, 11), (2, 11), (5, 8), (8, 9), (11, 12), (9, 10), (12, 13))
_HIP_JOINTS, _KNEES = [8, 11], [9, 12]
_LEGS = ((8, 11), (8, 9), (11, 12), (9, 10), (12, 13))
_SHOULDERS, _HIPS = 11, 23
"""BlazePose's landmarks before these are of the head, or of head and arms."""
_GUESSED = 0.05
"""Shoulders and arms nearer to a cut than this share of the photo's height are guesses."""
# Below it the silhouette graph saw nobody there.
_LOWEST_LEVEL = 0.25
# The same person seen twice: their joints lie within this share of their size of each other.
_SAME_PERSON = 0.15
# Around a detector's box: BlazePose looks for a whole person with some ground around.
_AROUND_BOX = 0.2
# The detector saw one person in two squares: how far apart their middles lie, and by how much one is larger, at most.
_ONE_REGION = (0.25, 1.5)
_TILES = (0.5, 0.25)
"""Sides of the squares in which people are looked for who are small, as shares of the photo's longer side."""
_SMALLEST_TILE = 160
_SURE, _SURE_OF_MORE = 0.8, 0.75
"""Cats, cups, coins and clothes lying flat reach .6, whoever is there .85 and more in one of the squares around."""
_HEAD_ABOVE = 0.35
"""Share of a garment's picture in which the nose of whoever wears it lies; that of a print lies on the chest."""
# A photo is dark where nine tenths of it lie below this, and is lit until a tenth lies above the other.
_DARK, _LIT = 0.35, 0.75

_CUT_OFF = 0.2
"""Whose silhouette comes this near to the photo's upper border (share of its height) may go on above it."""
_WHOLE = (1.6, 1.3, 1.0)
"""How much taller whoever is cut off may be than what the photo shows of them, before they are followed."""
_WEAK = 0.75
"""Whose head is in the photo, if only up to the eyes, is found surer than this; a headless body seldom is."""
_PART = 0.6
"""Of the silhouette's height somebody has to span, else they were found in a print, or in part of the person."""
_FOLLOWED = 3
_BORNE_OUT = 0.8
"""Of hips and legs has to lie in the silhouette, else the joints are nobody's."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; right and bottom excluded."""


@dataclass(frozen=True)
class Person:
    """One person of a photo.

    Attributes:
        joints: COCO-18 (18, 3) float64, x, y in pixels and score in [0, 1] (BlazePose's visibility).
        hands: right and left (2, 21, 3), alike: knuckles of first and little finger, and the thumb's joint.
        silhouette: (H, W) float32 in [0, 1].
        score: how sure the detector is that there is somebody.
    """

    joints: Tensor
    hands: Tensor
    silhouette: Tensor
    score: float

    @property
    def points(self) -> Tensor:
        """Joints, then hands (60, 3)."""
        return torch.cat([self.joints, *self.hands])

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in pixels (right and bottom excluded): the silhouette's, else the joints'."""
        height, width = self.silhouette.shape
        inside = self.silhouette >= 0.5
        rows, columns = inside.any(1).nonzero().flatten(), inside.any(0).nonzero().flatten()
        if len(rows):
            return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
        points = self.joints[self.joints[:, 2] > 0, :2]
        left, top = points.amin(0).floor().int().tolist()
        right, bottom = points.amax(0).ceil().int().tolist()
        return max(left, 0), max(top, 0), min(right, width), min(bottom, height)

    @property
    def wears_the_picture(self) -> bool:
        """Whether a garment's picture, in which this is who was found, shows it worn: no print, no folds like limbs."""
        return self.score >= _SURE and 0 <= float(self.joints[0, 1]) < _HEAD_ABOVE * self.silhouette.shape[0]

    @property
    def headless(self) -> bool:
        """Whether no part of the head lies in the photo: joints of such a photo are guesses."""
        height, width = self.silhouette.shape
        head = self.joints[list(_HEAD)]
        inside = (head[:, :2] >= 0).all(1) & (head[:, 0] < width) & (head[:, 1] < height) & (head[:, 2] > 0.3)
        return not bool(inside.any())


class PersonFinder:
    """BlazePose, loaded.

    Args:
        folders: where its graphs may lie, e.g. `models/ladi_vton/pose`.
        threads: how many the graphs may use.

    Raises:
        FileNotFoundError: a graph is missing.
        ImportError: `ai-edge-litert` is missing.
    """

    def __init__(self, folders: Sequence[Path] = (Path("models/ladi_vton") / FOLDER,), threads: int = 2) -> None:
        graphs = {name: Graph(path, threads) for name, path in find_graphs(folders).items()}
        self._detector, self._landmarks, self._silhouette = (graphs[n] for n in (DETECTOR, LANDMARKS, SILHOUETTE))

    def __call__(self, photo: Tensor, smallest_score: float = SMALLEST_SCORE, twice: bool = True) -> list[Person]:
        """Everyone in a photo, the largest first.

        Args:
            photo: (3, H, W) in [0, 1], any size.
            smallest_score: of the detector; what the landmarks then find unlikely is dropped.
            twice: look a second time where the first look finds nobody, or in a wide photo.

        Returns:
            A list, empty when nobody is found.

        Raises:
            ValueError: not such a picture.
        """
        if photo.ndim != 3 or photo.shape[0] != 3 or min(photo.shape[-2:]) < 1:
            raise ValueError(f"the photo has the shape {tuple(photo.shape)}; expected (3, height, width) in [0, 1]")
        photo = photo.detach().float().cpu()
        size = (photo.shape[-2], photo.shape[-1])
        whole = _whole(photo)
        found = self._seen(photo, [whole], smallest_score)
        if twice and not found:
            if (lit := _in_more_light(photo)) is not photo:
                photo, found = lit, self._seen(lit, [whole], smallest_score)
            turned = [replace(whole, angle=quarters * math.pi / 2) for quarters in (1, 2, 3)]
            found = found or self._seen(photo, turned, max(smallest_score, _SURE))
            for share in _TILES:
                if not found and share * max(size) >= _SMALLEST_TILE:
                    found = self._seen(photo, _tiles(size, share), max(smallest_score, _SURE))
        if twice and len(found) <= 1 and not (found and self._stands(photo, *found[0])):
            found = self._cut_off(photo) or found
        if twice and found and size[1] > size[0] and _TILES[0] * size[1] >= _SMALLEST_TILE:
            found = self._seen(photo, _tiles(size, _TILES[0]), max(smallest_score, _SURE_OF_MORE), found)
        people = sorted(self._people(photo, found), key=lambda person: -_spread(person))
        return _apart(people)

    def inside(self, photo: Tensor, boxes: Sequence[Box], smallest_score: float = SMALLEST_SCORE) -> list[Person]:
        """The largest person in each box, in the boxes' order: also those who are too small in the whole photo.

        Args:
            photo, smallest_score: as for the whole photo.
            boxes: where somebody is, in pixels; looked at with a margin around, as BlazePose wants to see a person.

        Returns:
            As many as boxes hold somebody; each person once.
        """
        size, people = (photo.shape[-2], photo.shape[-1]), []
        for left, top, right, bottom in boxes:
            margin = _AROUND_BOX * max(right - left, bottom - top)
            first, last = max(math.floor(left - margin), 0), min(math.ceil(right + margin), size[1])
            upper, lower = max(math.floor(top - margin), 0), min(math.ceil(bottom + margin), size[0])
            found = self(photo[:, upper:lower, first:last], smallest_score) if upper < lower and first < last else []
            if not found:
                continue
            one, moved = found[largest(found)], torch.tensor([first, upper, 0.0], dtype=torch.float64)
            joints = one.joints + moved
            if any(float((joints - other.joints)[:, :2].norm(dim=1).median()) < margin / 2 for other in people):
                continue
            outline = torch.zeros(size)
            outline[upper:lower, first:last] = one.silhouette
            hands = torch.where(one.hands[..., 2:] > 0, one.hands + moved, 0.0)
            people.append(replace(one, joints=joints, hands=hands, silhouette=outline))
        return _apart(people)

    def _seen(
        self, photo: Tensor, squares: Sequence[Region], smallest_score: float,
        known: Sequence[tuple[np.ndarray, Region]] = (),
    ) -> list[tuple[np.ndarray, Region]]:  # fmt: skip
        """Landmarks of everyone in these squares of a photo, and where the detector saw them: those who are known, then
        the surest."""
        seen = []
        for square in squares:
            boxes, scores = self._detector(cut_out(photo, square, self._detector.side) * 2 - 1)
            seen += regions(boxes, scores, square, smallest_score)
        found: list[tuple[np.ndarray, Region]] = [*known]
        for region in sorted(seen, key=lambda region: -region.score):
            if any(_near(region, other) for _, other in found):
                continue
            values, sure = self._landmarks(cut_out(photo, region, self._landmarks.side))[:2]
            points = landmarks(values, region)
            if float(sure[0]) >= _CERTAIN and not any(_same(points, other) for other, _ in found):
                found.append((points, region))
        return found

    def _stands(self, photo: Tensor, points: np.ndarray, region: Region) -> bool:
        """Whether somebody was found for certain: surely, and not in part of what the silhouette shows."""
        if region.score < _WEAK:
            return False
        drawn, seen = self._drawn(photo), points[:33][points[:33, 2] > _CERTAIN, 1]
        rows = (drawn >= 0.5).any(1).nonzero()[0] * (_whole(photo).side / len(drawn))
        tall = np.ptp(seen.clip(0, photo.shape[-2])) if len(seen) else 0
        return not len(rows) or tall > _PART * np.ptp(rows)

    def _drawn(self, photo: Tensor) -> np.ndarray:
        """Where the silhouette graph sees somebody in the square around a photo (side, side), in [0, 1]."""
        return self._silhouette(cut_out(photo, _whole(photo), self._silhouette.side))[0][..., 0]

    def _cut_off(self, photo: Tensor) -> list[tuple[np.ndarray, Region]]:
        """The same of somebody from the front whose head lies above the photo, without head and shoulders there."""
        height, width = photo.shape[-2:]
        drawn = paste(self._drawn(photo), _whole(photo), (height, width)) >= 0.5
        rows, columns = drawn.nonzero().T.numpy()
        if not len(rows) or rows.min() > _CUT_OFF * height:
            return []
        best: tuple[float, float, np.ndarray] | None = None
        for taller in _WHOLE:
            middle = np.array([np.median(columns), rows.max() - (half := np.ptp(rows) * taller / 2)])
            points, sure = self._followed(photo, region_between(middle, middle - [0, half]))
            joints = coco18(torch.from_numpy(points[:33]))
            legs = bool((joints[_KNEES, 2] > _CERTAIN).all() and joints[_KNEES, 1].min() > joints[_HIP_JOINTS, 1].max())
            borne_out = round(_share_inside(joints, drawn), 2)
            # a cup or a cat that fills the photo has no knees
            if legs and sure >= _CERTAIN and borne_out >= _BORNE_OUT and (best is None or (borne_out, sure) > best[:2]):
                best = borne_out, sure, points
        if best is None:
            return []
        points = best[2]
        points[:_SHOULDERS, 2] = 0
        points[:_HIPS, 2] *= points[:_HIPS, 1] > _GUESSED * height
        return [(points, replace(_whole(photo), score=best[1]))]

    def _followed(self, photo: Tensor, region: Region) -> tuple[np.ndarray, float]:
        """Landmarks of somebody from the front, followed from a region as BlazePose does it through a video."""
        for _ in range(_FOLLOWED):
            values, sure = self._landmarks(cut_out(photo, region, self._landmarks.side))[:2]
            points = landmarks(values, region)
            region = region_between(points[33, :2], points[34, :2])
        return _from_the_front(points), float(sure[0])

    def _people(self, photo: Tensor, found: Sequence[tuple[np.ndarray, Region]]) -> list[Person]:
        people = []
        for points, region in found:
            body = torch.from_numpy(points[:33])
            joints = coco18(body)
            outline = self._outline(photo, region, (photo.shape[-2], photo.shape[-1]), joints)
            people.append(Person(joints, blazepose_hands(body), outline, region.score))
        return people

    def _outline(self, photo: Tensor, region: Region, size: tuple[int, int], joints: Tensor) -> Tensor:
        quarter = round(region.angle / (math.pi / 2)) * math.pi / 2  # the graph knows people who stand
        upright = replace(region, angle=quarter, side=region.side * 1.1)
        drawn = self._silhouette(cut_out(photo, upright, self._silhouette.side))[0]
        soft = paste(drawn[..., 0], upright, size).clamp(0, 1)
        return (soft / _level(soft, joints)).clamp(0, 1)


def _whole(photo: Tensor) -> Region:
    """The square around a photo (3, H, W)."""
    height, width = photo.shape[-2:]
    return Region((width / 2, height / 2), float(max(height, width)), 0.0)


def _from_the_front(points: np.ndarray) -> np.ndarray:
    """BlazePose's landmarks (39, 3) of somebody who faces the camera: without a head it takes many for turned away."""
    if points[24, 0] < points[23, 0]:  # right hip, left hip
        return points.copy()
    order = np.arange(len(points))
    order[:33] = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9, *(one for k in range(11, 33, 2) for one in (k + 1, k))]
    return points[order]


def _share_inside(joints: Tensor, silhouette: Tensor) -> float:
    """How much of hips and legs (18, 3), as far as they lie in the photo, the silhouette (H, W) bears out."""
    shares = torch.linspace(0, 1, 24, dtype=torch.float64)[:, None]
    places = torch.cat([joints[a, :2] + (joints[b, :2] - joints[a, :2]) * shares for a, b in _LEGS]).long()
    within = ((places >= 0) & (places < torch.tensor([silhouette.shape[1], silhouette.shape[0]]))).all(1)
    return float(silhouette[places[within, 1], places[within, 0]].double().mean()) if within.any() else 0.0


def _tiles(size: tuple[int, int], share: float) -> list[Region]:
    """Squares that cover a photo of `size` (height, width), each over half of the next."""
    side = share * max(size)

    def centres(length: int) -> np.ndarray:
        count = max(math.ceil((length - side) / (side / 2)), 0) + 1
        return np.linspace(side / 2, length - side / 2, count) if count > 1 else np.array([length / 2])

    return [Region((float(x), float(y)), side, 0.0) for y in centres(size[0]) for x in centres(size[1])]


def _in_more_light(photo: Tensor) -> Tensor:
    """A dark photo brightened; any other as it is."""
    grey = photo.mean(0).flatten()
    level = float(grey[:: max(len(grey) // 100_000, 1)].quantile(0.9))
    return (photo * (_LIT / max(level, 1e-3))).clamp(0, 1) if level < _DARK else photo


def _near(region: Region, other: Region) -> bool:
    """Whether two regions, of the detector in overlapping squares, are of one person."""
    small, large = sorted((region.side, other.side))
    return math.dist(region.centre, other.centre) < _ONE_REGION[0] * small and large < _ONE_REGION[1] * small


def _spread(person: Person) -> float:
    """Area of the box around the joints that are sure."""
    points = person.joints[person.joints[:, 2] > BODY.smallest_score, :2]
    return float((points.amax(0) - points.amin(0)).prod()) if len(points) else 0.0


def largest(people: Sequence[Person]) -> int:
    """Index of the person whose joints span the largest box: the sure ones, the same that `body` mode looks at."""
    joints = torch.stack([person.joints for person in people])
    return largest_person(torch.where(joints[..., 2:] > BODY.smallest_score, joints, 0.0))


def _level(soft: Tensor, joints: Tensor) -> float:
    """What the silhouette graph says of trunk and legs, where they lie for certain: half of it is the person's edge.

    1 nearly always; a pale dress on white is seen whole, but no surer than 0.3 to 0.5.
    """
    pairs = [(joints[a], joints[b]) for a, b in _TRUNK_AND_LEGS if min(joints[a, 2], joints[b, 2]) > _CERTAIN]
    if not pairs:
        return 1.0
    shares = torch.linspace(0, 1, 24, dtype=torch.float64)[:, None]
    places = torch.cat([a[:2] + (b[:2] - a[:2]) * shares for a, b in pairs]).long()
    inside = ((places >= 0) & (places < torch.tensor([soft.shape[1], soft.shape[0]]))).all(1)
    seen = soft[places[inside, 1], places[inside, 0]]
    return max(float(seen.median()), _LOWEST_LEVEL) if len(seen) else 1.0


def _same(points: np.ndarray, other: np.ndarray) -> bool:
    body = max(float(np.ptp(other[:33, :2], axis=0).max()), 1.0)
    return float(np.median(np.linalg.norm(points[:33, :2] - other[:33, :2], axis=1))) < _SAME_PERSON * body


def _apart(people: list[Person]) -> list[Person]:
    """The same people, each silhouette without the pixels that are nearer to somebody else's joints."""
    if len(people) < 2:
        return people
    joints = torch.stack([torch.where(p.joints[:, 2:] > 0.3, p.joints[:, :2], 0.0) for p in people])
    result = []
    for index, person in enumerate(people):
        others = torch.cat([joints[:index], joints[index + 1 :]])
        own = own_territory(joints[index], others, tuple(person.silhouette.shape))
        result.append(replace(person, silhouette=person.silhouette * own))
    return result


def boxes_in(boxes: Any, pictures: int) -> list[list[Box]]:
    """Boxes of every picture.

    Args:
        boxes: {"x", "y", "width", "height"} in pixels: one box for all pictures, a box a picture, several boxes of one
            picture, or a list of boxes a picture, whose last one serves the pictures that are left.
        pictures: how many there are.

    Returns:
        A list of boxes a picture, without empty ones.

    Raises:
        ValueError: these are no boxes, or a list that belongs to other pictures.
    """
    if isinstance(boxes, Mapping):
        return [_read([boxes])] * pictures
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise ValueError(f"the boxes are {type(boxes).__name__}; expected a BOUNDING_BOX: x, y, width and height")
    flat = [item is None or isinstance(item, Mapping) for item in boxes]
    if not boxes or not any(flat):
        frames = [_read(frame) for frame in boxes] or [[]]
        return [frames[min(place, len(frames) - 1)] for place in range(pictures)]
    if not all(flat):
        raise ValueError("the boxes are a list of boxes and of lists; expected a list of boxes a picture")
    if pictures == 1:
        return [_read(boxes)]
    if len(boxes) not in (1, pictures):
        raise ValueError(f"there are {len(boxes)} boxes for {pictures} pictures; expected a list of boxes a picture")
    return [_read([box]) for box in (boxes if len(boxes) > 1 else [*boxes] * pictures)]


def _read(boxes: Any) -> list[Box]:
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise ValueError(f"the boxes of a picture are {type(boxes).__name__}; expected a list")
    found = []
    for box in boxes:
        if box is None:
            continue
        try:
            left, top, width, height = (float(box[side]) for side in ("x", "y", "width", "height"))
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise ValueError(f"{box!r:.80} is no box; expected x, y, width and height in pixels") from error
        if not all(map(math.isfinite, (left, top, width, height))):
            raise ValueError(f"the box {box!r:.80} holds values that are no numbers")
        if width > 0 and height > 0:
            found.append((left, top, left + width, top + height))
    return found
