"""BlazePose: its graphs, where its detector looks, what its numbers mean, which square a person is cut out of.

Bazarevsky et al., "BlazePose: On-device Real-time Body Pose Tracking" (arXiv 2006.10204), and the graphs' model card.
The three graphs are Google's (MediaPipe, Apache-2.0), are never shipped here and never fetched unasked; they run on
this machine, and nothing of a photo leaves it. `finder.py` runs them. Points are (x, y) in pixels of the photo.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...start import fetching, installing

DETECTOR_SIDE, LANDMARK_SIDE, _ROWS = 224, 256, 39
_LAYERS = ((28, 2), (14, 2), (7, 6))
"""Cells a side and anchors a cell of the detector's three feature maps: 2254 anchors."""

_REGION_SCALE = 1.25
"""The square around a person is this much larger than the circle the detector saw them in."""
_OVERLAP = 0.3


@dataclass(frozen=True)
class Region:
    """A square of the photo, turned so that the person in it stands upright.

    Attributes:
        centre: (x, y) in pixels.
        side: in pixels.
        angle: by which the person is turned clockwise, in radians.
        score: how sure the detector is.
    """

    centre: tuple[float, float]
    side: float
    angle: float
    score: float = 1.0

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Points (N, 2) that count from 0 to 1 in the square, in pixels of the photo."""
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        return (points - 0.5) * self.side @ np.array([[cosine, sine], [-sine, cosine]]) + np.array(self.centre)


def anchors() -> np.ndarray:
    """Centres of the detector's anchors (2254, 2), (x, y) from 0 to 1, in the order of its outputs."""
    found = []
    for cells, count in _LAYERS:
        centres = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(centres, centres)
        found.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), count, axis=0))
    return np.concatenate(found)


def regions(boxes: np.ndarray, scores: np.ndarray, square: Region, smallest: float) -> list[Region]:
    """People the detector saw, the surest first.

    Args:
        boxes: its first output (2254, 12): box, and four points of which the first two are hip centre and the rim of
            a circle around the body, as offsets from the anchors in pixels of its picture.
        scores: its second output (2254, 1), before the sigmoid.
        square: what part of the photo its picture showed.
        smallest: score below which a box is nothing.
    """
    sure = 1 / (1 + np.exp(-np.clip(scores[:, 0].astype(np.float64), -100, 100)))
    kept = sure >= smallest
    offsets, centres, sure = boxes[kept].astype(np.float64) / DETECTOR_SIDE, anchors()[kept], sure[kept]
    points = offsets[:, 4:8].reshape(-1, 2, 2) + centres[:, None]
    middles, halves = offsets[:, :2] + centres, offsets[:, 2:4] / 2
    corners = np.concatenate([middles - halves, middles + halves], 1)
    people = []
    while len(sure):
        # weighted suppression, as BlazePose does: what overlaps the surest box is averaged with it
        same = _overlap(corners[sure.argmax()], corners) > _OVERLAP
        weights = sure[same] / sure[same].sum()
        hip, rim = square.to_photo((points[same] * weights[:, None, None]).sum(0))
        people.append(region_between(hip, rim, float(sure.max())))
        corners, points, sure = corners[~same], points[~same], sure[~same]
    return people


def region_between(centre: np.ndarray, rim: np.ndarray, score: float = 1.0) -> Region:
    """The square around a circle given by its centre and the point of its rim above the person's head."""
    across, up = rim[0] - centre[0], centre[1] - rim[1]
    radius = max(float(np.hypot(across, up)), 1e-3)
    return Region(
        (float(centre[0]), float(centre[1])), 2 * radius * _REGION_SCALE, float(np.arctan2(across, up)), score
    )


def cut_out(photo: Tensor, region: Region, side: int) -> np.ndarray:
    """A square of a photo (3, H, W) in [0, 1] as (side, side, 3) float32; black beyond the photo."""
    steps = (np.arange(side) + 0.5) / side
    x, y = np.meshgrid(steps, steps)
    places = region.to_photo(np.stack([x.ravel(), y.ravel()], 1))
    step = region.side / side
    first, last = places.min(0) - 2 * step, places.max(0) + 2 * step
    left, top = np.clip(first, 0, None).astype(int)
    photo = photo[:, top : max(int(last[1]) + 1, top), left : max(int(last[0]) + 1, left)]
    height, width = photo.shape[-2:]
    if not height or not width:
        return np.zeros((side, side, 3), dtype=np.float32)
    places = places - [left, top]
    picture = photo[None].float()
    if step > 2:  # a large photo: shrunk first, so that no pixel is skipped
        size = (max(round(height / step * 1.5), 1), max(round(width / step * 1.5), 1))
        picture = F.interpolate(picture, size, mode="area")
    grid = torch.from_numpy(places / [width, height] * 2 - 1).view(1, side, side, 2).float()
    return F.grid_sample(picture, grid, align_corners=False)[0].movedim(0, -1).numpy()


def paste(mask: np.ndarray, region: Region, size: tuple[int, int]) -> Tensor:
    """What a graph drew in a square (side, side), at its place in a photo of `size`: (height, width) float32."""
    rows, columns = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float64), torch.arange(size[1], dtype=torch.float64), indexing="ij"
    )
    x, y = columns + 0.5 - region.centre[0], rows + 0.5 - region.centre[1]
    cosine, sine = np.cos(region.angle), np.sin(region.angle)
    grid = torch.stack([x * cosine + y * sine, y * cosine - x * sine], -1) * (2 / region.side)
    return F.grid_sample(torch.from_numpy(mask)[None, None].float(), grid[None].float(), align_corners=False)[0, 0]


def landmarks(values: np.ndarray, region: Region) -> np.ndarray:
    """The landmark graph's first output (195,) as (39, 3): x, y in pixels of the photo, and visibility in [0, 1]."""
    rows = values.reshape(_ROWS, 5).astype(np.float64)
    visibility = 1 / (1 + np.exp(-np.clip(rows[:, 3], -100, 100)))
    return np.concatenate([region.to_photo(rows[:, :2] / LANDMARK_SIDE), visibility[:, None]], 1)


def _overlap(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Intersection over union of one box (4,) with many (N, 4), as left, top, right, bottom."""
    shared = np.clip(np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2]), 0, None).prod(1)
    area, areas = (box[2:] - box[:2]).prod(), (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / np.maximum(area + areas - shared, 1e-9)


FOLDER = "pose"
"""Folder of the graphs under `models/ladi_vton`."""

DETECTOR, LANDMARKS, SILHOUETTE = "pose_detection.tflite", "pose_landmark_full.tflite", "selfie_segmentation.tflite"
GRAPHS = (DETECTOR, LANDMARKS, SILHOUETTE)

PACKAGE = "ai-edge-litert"
INSTALL = installing(PACKAGE)
SOURCE = "https://storage.googleapis.com/mediapipe-assets"
"""Where Google keeps the graphs; `checkpoints/sources.json` has their full addresses."""


def find_graphs(folders: Sequence[Path]) -> dict[str, Path]:
    """The graphs by name, each in the first folder that has it, once the package that runs them is there as well.

    Raises:
        ImportError, FileNotFoundError: something is missing. The first line names all of it, the second is the one
            command for all of it; then where each belongs, and what does without.
    """
    found = {name: path for name in GRAPHS for folder in reversed(folders) if (path := folder / name).is_file()}
    missing = [name for name in GRAPHS if name not in found]
    package = importlib.util.find_spec("ai_edge_litert") is None
    if not (missing or package):
        return {name: found[name] for name in GRAPHS}
    files = "file" if len(missing) == 1 else "files"
    wanted = [f"the package {PACKAGE}"] * package + [f"the {files} {', '.join(missing)}"] * bool(missing)
    lines = [f"Finding people needs {' and '.join(wanted)}."]
    it = "it" if package + len(missing) == 1 else "them"
    lines.append(f"To get {it}: " + " && ".join([INSTALL] * package + [_fetching(*folders)] * bool(missing)))
    if missing:
        places = " or ".join(map(str, folders)) or f"models/ladi_vton/{FOLDER}"
        lines.append(f"The files (10 MB, Google, Apache-2.0; {SOURCE}) belong into {places}.")
    lines.append("Then run again. Or do without: another pose detector's POSE_KEYPOINT, or a painted mask.")
    raise (ImportError if package else FileNotFoundError)("\n".join(lines))


def _fetching(*folders: Path) -> str:
    """The command that fetches the graphs into the first of these folders that lies in a models folder."""
    return fetching("pose", next((one.parents[1] for one in folders if one.parts[-2:] == ("ladi_vton", FOLDER)), None))


class Graph:
    """One graph, ready to run; one call at a time.

    Args:
        path: a `.tflite` file with one picture in.
        threads: how many it may use.

    Raises:
        ValueError: the file is no such graph; names it.
    """

    def __init__(self, path: Path, threads: int = 2) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]
            self._outputs = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path} is no graph that ai-edge-litert reads ({error}). Fetch it again: {_fetching(path.parent)}"
            ) from error
        self._busy = threading.Lock()

    @property
    def side(self) -> int:
        """Side in pixels of the square picture it takes."""
        return int(self._input["shape"][1])

    def __call__(self, picture: np.ndarray) -> list[np.ndarray]:
        """Run on a picture (side, side, 3) float32; its outputs without the batch axis."""
        with self._busy:
            self._interpreter.set_tensor(self._input["index"], picture[None].astype(np.float32))
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(output["index"])[0].copy() for output in self._outputs]
