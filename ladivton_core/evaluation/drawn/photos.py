"""Figures of what a photo alone gives: masks from joints against masks from parse maps, found joints against true ones.

    python -m ladivton_core.evaluation.drawn.photos --count 200 --pose models/ladi_vton/pose

On people of the drawn world, and on the sample data sets. `docs/photos.md` shows the tables it prints. A mask is
compared with the published rule of the data set its category comes from: VITON-HD's for upper bodies, Dress Code's
for the others (with skirts repainted, which is what somebody who changes trousers wants).
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ...drawn_world.scene import DrawnWorld
from ...preprocessing.agnostic import agnostic_mask
from ...preprocessing.body_region import body_region
from ...preprocessing.labels import ATR18, CATEGORIES, LIP20, atr18_from_lip20
from ...preprocessing.modes import BODY
from ...preprocessing.people import PersonFinder, largest

SEED = 41
"""World of the people looked at; none of the training's, and not the one the shapes were fitted on (11)."""
HEAD = ("hat", "hair", "sunglasses", "face")


def mask_figures(mask: Tensor, published: Tensor, garment: Tensor, head: Tensor) -> dict[str, float]:
    """Overlap with the published mask, and how much of garment and head is repainted; all masks (H, W) bool."""

    def share(part: Tensor, whole: Tensor) -> float:
        return float(part.sum() / whole.sum().clamp_min(1))

    return {
        "iou": share(mask & published, mask | published),
        "garment": share(mask & garment, garment),
        "head": share(mask & head, head),
    }


def published_mask(parse: Tensor, joints: Tensor, category: str) -> Tensor:
    """The mask (H, W) bool of the paper's rule for a LIP20 parse map (H, W)."""
    if category == "upper_body":
        return agnostic_mask(parse[None], joints[None], category, LIP20, missing_joints="skip")[0, 0].bool()
    labels, also = atr18_from_lip20(parse)[None], ("skirt",) if category == "lower_body" else ()
    mask = agnostic_mask(labels, joints[None], category, ATR18, missing_joints="skip", also_repaint=also)
    return mask[0, 0].bool()


def figures_of(person: Tensor, parse: Tensor, joints: Tensor, category: str, find: PersonFinder | None) -> Iterator:
    """(row of the table, name, value) of one picture (3, H, W) in [0, 1] with LIP20 labels and true joints."""
    size = (parse.shape[-2], parse.shape[-1])
    ids = torch.tensor(LIP20.ids(LIP20.regions_of(category).garment))
    garment, head = torch.isin(parse, ids), torch.isin(parse, torch.tensor(LIP20.ids(HEAD)))
    published = published_mask(parse, joints, category)

    def measured(row: str, points: Tensor, silhouette: Tensor | None) -> Iterator:
        outline = None if silhouette is None else silhouette[None, None].float()
        mask = body_region(points[None], category, size, silhouette=outline)[0, 0].bool()
        yield from ((row, name, value) for name, value in mask_figures(mask, published, garment, head).items())

    yield from measured("true joints", joints, None)
    yield from measured("true joints, true silhouette", joints, parse > 0)
    if find is None:
        return
    start = time.perf_counter()
    people = find(person)
    yield "found joints", "milliseconds", (time.perf_counter() - start) * 1000
    yield "found joints", "found", float(bool(people))
    if not people:
        return
    one = people[largest(people)]
    found = torch.where(one.joints[:, 2:] > BODY.smallest_score, one.joints[:, :2], 0.0)
    both = (found > 0).any(1) & (joints > 1).any(1)
    distances = (found - joints).norm(dim=1)[both] / size[0]
    yield "found joints", "median error", float(distances.median())
    yield from measured("found joints", found, None)
    yield from measured("found joints, found silhouette", found, one.silhouette)


def tables(count: int, find: PersonFinder | None, seed: int = SEED) -> str:
    """Markdown: a table a category, over `count` people."""
    world = DrawnWorld(seed=seed)
    sums: dict[str, dict[str, dict[str, list[float]]]] = {
        category: defaultdict(lambda: defaultdict(list)) for category in CATEGORIES
    }
    for index in range(count):
        scene = world.scene([index], [index + 4])
        category = scene.category[0]
        row = (scene.person[0], scene.parse[0], scene.keypoints[0].double(), category, find)
        for name, figure, value in figures_of(*row):
            sums[category][name][figure].append(value)
    return "\n\n".join(_table(category, rows) for category, rows in sums.items() if rows)


def _table(category: str, rows: dict[str, dict[str, list[float]]]) -> str:
    columns = ("iou", "garment", "head", "found", "median error", "milliseconds")
    lines = [
        f"**{category}**, {len(rows['true joints']['iou'])} people",
        "",
        "| from | IoU | garment covered | head cut | people found | joints' median error | ms a photo |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in rows.items():
        cells = []
        for column in columns:
            values = figures.get(column)
            mean = None if not values else sum(values) / len(values)
            if mean is None:
                cells.append("")
            elif column == "milliseconds":
                cells.append(f"{sorted(values)[len(values) // 2]:.0f}")
            else:
                cells.append(f"{mean:.3f}" if column == "iou" else f"{mean:.1%}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="people of the drawn world (%(default)s)")
    parser.add_argument("--seed", type=int, default=SEED, help="of their world (%(default)s)")
    parser.add_argument("--pose", type=Path, help="folder of BlazePose's graphs; without it true joints only")
    chosen = parser.parse_args(given)
    print(tables(chosen.count, PersonFinder([chosen.pose]) if chosen.pose else None, chosen.seed))


if __name__ == "__main__":
    main()
