"""The three BlazePose graphs that `people.py` runs, and the interpreter they run in.

They are Google's (MediaPipe, Apache-2.0), are never shipped here and never fetched unasked. They run on this machine;
nothing of a photo leaves it.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...start import command, installing

FOLDER = "pose"
"""Folder of the graphs under `models/ladi_vton`."""

DETECTOR, LANDMARKS, SILHOUETTE = "pose_detection.tflite", "pose_landmark_full.tflite", "selfie_segmentation.tflite"
GRAPHS = (DETECTOR, LANDMARKS, SILHOUETTE)

DOWNLOAD = command("checkpoints download pose")


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
    wanted = [f"the package {PACKAGE}"] * package + [f"the files {', '.join(missing)}"] * bool(missing)
    lines = [f"Finding people needs {' and '.join(wanted)}."]
    lines.append("To get it: " + " && ".join([INSTALL] * package + [DOWNLOAD] * bool(missing)))
    if missing:
        places = " or ".join(map(str, folders)) or f"models/ladi_vton/{FOLDER}"
        lines.append(f"The files (10 MB, Google, Apache-2.0; {SOURCE}) belong into {places}.")
    lines.append("Then run again. Or do without: another pose detector's POSE_KEYPOINT, or a painted mask.")
    raise (ImportError if package else FileNotFoundError)("\n".join(lines))


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
                f"{path} is no graph that ai-edge-litert reads ({error}). Fetch it again: {DOWNLOAD}"
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
