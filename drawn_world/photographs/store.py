"""Pairs on disk: one file each, whole or not there, so that rendering can be shared, stopped and gone on with.

A file is NumPy's `.npz`; pictures are coded inside it (JPEG of quality 96 without colour reduction, masks and labels
PNG), so a pair takes about 1 MB at 512 x 384. `read` gives back the `Pair` without its numbers.
"""

from __future__ import annotations

import io
import multiprocessing
import os
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from ladivton_core.disk.writing import whole_file

from .frames import SIZE
from .scene import Pair, pair

_PICTURES = ("persons", "garments", "worn", "warped")
_MASKS = ("parse", "garment_masks", "silhouettes")
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 96, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


def path_of(folder: Path, index: int) -> Path:
    """File of a pair; a thousand to a folder."""
    return folder / f"{index // 1000:03d}" / f"{index:06d}.npz"


def write(made: Pair, path: Path) -> None:
    """Write a pair, whole or not at all."""
    stored: dict[str, np.ndarray] = {}
    for name in _PICTURES:
        for which, picture in enumerate(getattr(made, name)):
            stored[f"{name}_{which}"] = cv2.imencode(".jpg", picture[..., ::-1], _JPEG)[1].ravel()
    for name in _MASKS:
        for which, mask in enumerate(getattr(made, name)):
            stored[f"{name}_{which}"] = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].ravel()
    for name in ("fields", "landmarks", "joints", "detected"):
        stored[name] = getattr(made, name)
    stored["fields"] = np.where(np.isfinite(made.fields), np.round(made.fields * 8), -32768).astype(np.int16)
    stored["category"] = np.array(made.category)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **stored)
    with whole_file(path) as file:
        file.write(buffer.getbuffer())


def read(path: Path) -> Pair:
    """Read a pair.

    Raises:
        ValueError: not such a file; the message names it.
    """
    with np.load(path, allow_pickle=False) as stored:
        missing = [name for name in ("persons_0", "fields", "joints", "category") if name not in stored]
        if missing:
            raise ValueError(f"{path} is no pair of the photographs' world: it has no {missing[0]}")
        got = {name: stored[name] for name in ("landmarks", "joints", "detected")}
        places = stored["fields"]
        got["fields"] = np.where(places == -32768, np.nan, places / 8).astype(np.float32)
        for name in _PICTURES:
            got[name] = np.stack([cv2.imdecode(stored[f"{name}_{i}"], cv2.IMREAD_COLOR)[..., ::-1] for i in (0, 1)])
        for name in _MASKS:
            got[name] = np.stack([cv2.imdecode(stored[f"{name}_{i}"], cv2.IMREAD_GRAYSCALE) for i in (0, 1)])
        return Pair(category=str(stored["category"]), **got)


def render(
    folder: Path, count: int, seed: int, size: tuple[int, int] = SIZE, first: int = 0, worker: int = 0, workers: int = 1
) -> int:
    """Render a worker's share of the pairs that are not there yet; how many it made.

    Args:
        folder: where they go.
        first: index of the first of `count` pairs.
        worker, workers: this one's number, and how many share the work.
    """
    made, parent = 0, multiprocessing.parent_process()
    for index in range(first + worker, first + count, workers):
        if parent is not None and not parent.is_alive():
            break
        path = path_of(folder, index)
        if not path.is_file():
            write(pair(seed, index, size), path)
            made += 1
    return made


def _render_modestly(*arguments) -> None:
    cv2.setNumThreads(1)
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(10)
    render(*arguments)


def render_together(folder: Path, count: int, seed: int, size: tuple[int, int], first: int, workers: int) -> None:
    """`render` in several processes.

    Raises:
        RuntimeError: one of them failed.
    """
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_render_modestly, args=(folder, count, seed, size, first, worker, workers), daemon=True)
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    failed = sum(process.exitcode != 0 for process in processes)
    if failed:
        raise RuntimeError(f"{failed} of {workers} rendering processes ended with an error; see above.")
