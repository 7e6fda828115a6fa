"""Render pairs ahead, or look at some: `python -m drawn_world.photographs render DIR --count N`.

render DIR    one file a pair (`store.py`); what is there already is kept, so a stopped run goes on
sheet FILE    a contact sheet: person, garment, worn, warped, labels, the person in the other garment, and that
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from ladivton_core.disk.writing import write_bytes

from .scene import Pair, pair
from .store import render_together


def _row(made: Pair) -> np.ndarray:
    """One line of a contact sheet (H, 7 W, 3) uint8."""
    colours = np.random.default_rng(0).integers(60, 255, (32, 3)).astype(np.uint8)
    colours[0] = 0
    shown = [
        made.persons[0],
        made.garments[0],
        made.worn[0],
        made.warped[0],
        colours[made.parse[0]],
        made.persons[1],
        made.garments[1],
    ]
    shown = [np.ascontiguousarray(picture).copy() for picture in shown]
    first = shown[0]
    for x, y, seen in made.detected:
        if seen > 0:
            cv2.circle(first, (int(x), int(y)), max(2, first.shape[0] // 170), (255, 40, 40), -1, cv2.LINE_AA)
    for picture, places in zip((shown[1], shown[2]), made.landmarks[0], strict=True):
        for x, y in places[np.isfinite(places).all(1)]:
            cv2.circle(picture, (int(x), int(y)), max(2, picture.shape[0] // 170), (40, 200, 40), -1, cv2.LINE_AA)
    return np.concatenate(shown, 1)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="drawn_world.photographs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, target in (("render", "DIR"), ("sheet", "FILE")):
        command = commands.add_parser(name)
        command.add_argument("target", type=Path, metavar=target)
        command.add_argument("--count", type=int, default=16 if name == "sheet" else 1000)
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--first", type=int, default=0, help="index of the first pair")
        command.add_argument("--size", type=int, nargs=2, default=(512, 384), metavar=("H", "W"))
        if name == "render":
            command.add_argument("--workers", type=int, default=1)
    chosen = parser.parse_args(arguments)
    if chosen.count < 1:
        parser.error("--count is at least 1")
    size = tuple(chosen.size)
    if chosen.command == "render":
        render_together(chosen.target, chosen.count, chosen.seed, size, chosen.first, max(1, chosen.workers))
        return
    rows = [_row(pair(chosen.seed, index, size)) for index in range(chosen.first, chosen.first + chosen.count)]
    sheet = np.concatenate(rows)
    write_bytes(chosen.target, cv2.imencode(chosen.target.suffix or ".png", sheet[..., ::-1])[1].tobytes())


if __name__ == "__main__":
    main()
