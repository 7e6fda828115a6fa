"""Figures of what a photo alone gives: masks from joints against masks from parse maps, found joints against true ones.

    python -m drawn_world.figures.photos --count 200 --pose models/ladi_vton/pose
    python -m drawn_world.figures.photos --dataset dresscode --root samples/datasets/dresscode

On people of the drawn world, or on a data set in the paper's layout. `docs/photos.md` shows the tables it prints. A
drawn person's mask is compared with the published rule of the data set its category comes from: VITON-HD's for upper
bodies, Dress Code's for the others (with skirts repainted, which is what somebody who changes trousers wants); a data
set's person with that data set's own rule.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from ladivton_core.datasets.layouts import DATASETS, open_dataset
from ladivton_core.preprocessing.labels import ATR18, CATEGORIES, LIP20, LabelSet, atr18_from_lip20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.masks.body_mask import body_mask
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.modes import BODY
from ladivton_core.preprocessing.people.finder import PersonFinder, largest
from ladivton_core.preprocessing.pose.dialects import JOINTS
from ladivton_core.preprocessing.pose.keypoints import people_in_frames, pose_document

from ..world.scene import DrawnWorld

SEED = 41
"""World of the people looked at; none of the training's, and not the one the shapes were fitted on (11)."""
HEAD = ("hat", "hair", "sunglasses", "face")


def head_names(labels: LabelSet) -> tuple[str, ...]:
    """Labels of the head in LIP20, or in ATR18, whose face is called head."""
    return tuple("head" if name == "face" and labels is ATR18 else name for name in HEAD)


def mask_figures(mask: Tensor, published: Tensor, garment: Tensor, head: Tensor) -> dict[str, float]:
    """Overlap with the published mask, and how much of garment and head is repainted; all masks (H, W) bool."""

    def share(part: Tensor, whole: Tensor) -> float:
        return float(part.sum() / whole.sum().clamp_min(1))

    return {
        "iou": share(mask & published, mask | published),
        "garment": share(mask & garment, garment),
        "head": share(mask & head, head),
    }


def published_mask(parse: Tensor, joints: Tensor, category: str, labels: LabelSet = LIP20) -> Tensor:
    """The mask (H, W) bool of the paper's rule for a parse map (H, W) of LIP20 or ATR18."""
    if category == "upper_body" or labels is ATR18:
        return agnostic_mask(parse[None], joints[None], category, labels, missing_joints="skip")[0, 0].bool()
    also = ("skirt",) if category == "lower_body" else ()
    atr = atr18_from_lip20(parse)[None]
    return agnostic_mask(atr, joints[None], category, ATR18, missing_joints="skip", also_repaint=also)[0, 0].bool()


def figures_of(
    person: Tensor, parse: Tensor, joints: Tensor, category: str, find: PersonFinder | None, labels: LabelSet = LIP20
) -> Iterator[tuple[str, str, float]]:
    """(row of the table, name, value) of one picture (3, H, W) in [0, 1] with labels and true joints."""
    size = (parse.shape[-2], parse.shape[-1])
    ids = torch.tensor(labels.ids(labels.regions_of(category).garment))
    garment, head = torch.isin(parse, ids), torch.isin(parse, torch.tensor(labels.ids(head_names(labels))))
    published = published_mask(parse, joints, category, labels)
    if labels is ATR18:
        head = head & ~published  # its head includes the neck, which Dress Code's rule repaints

    def measured(row: str, points: Tensor, silhouette: Tensor | None) -> Iterator:
        given = {"silhouette": None if silhouette is None else silhouette[None, None].float(), "picture": person[None]}
        # a drawn person's LIP20 is the vocabulary alone; a data set's ATR18 is its rule
        rule = ATR18 if labels is ATR18 else None
        masks = {row: body_region(points[None], category, size, labels=rule, **given)}
        if silhouette is not None:
            masks[f"{row}: the body's"] = body_mask(category, size, keypoints=points[None], **given)
        for name, mask in masks.items():
            figures = mask_figures(mask[0, 0].bool(), published, garment, head)
            figures["outside"] = float(mask[0, 0][parse == 0].sum() / mask.sum().clamp_min(1))
            yield from ((name, figure, value) for figure, value in figures.items())

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
    document = pose_document(one.points[None], size)
    points = people_in_frames([document], size, 0, BODY, hands=True)[0][0, :, :2]
    found = points[:JOINTS]
    both = (found > 0).any(1) & (joints > 1).any(1)
    distances = (found - joints).norm(dim=1)[both] / size[0]
    yield "found joints", "median error", float(distances.median())
    yield from measured("found joints", points, None)
    yield from measured("found joints, found silhouette", points, one.silhouette)


Row = tuple[Tensor, Tensor, Tensor, str, LabelSet]
"""Picture, labels, joints, category, vocabulary of the labels."""


def drawn_people(count: int, seed: int = SEED) -> Iterator[Row]:
    """People of the drawn world."""
    world = DrawnWorld(seed=seed)
    for index in range(count):
        scene = world.scene([index], [index + 4])
        yield scene.person[0], scene.parse[0], scene.keypoints[0].double(), scene.category[0], LIP20


def dataset_people(name: str, root: Path) -> Iterator[Row]:
    """Everybody of a data set's paired test list.

    Raises:
        ValueError, FileNotFoundError: see `open_dataset`.
    """
    dataset = open_dataset(name, root)
    for index in range(len(dataset)):
        sample = dataset[index]
        yield (sample.person + 1) / 2, sample.parse, sample.keypoints, sample.category, dataset.labels


def tables(people: Iterable[Row], find: PersonFinder | None) -> str:
    """Markdown: a table a category."""
    sums: dict[str, dict[str, dict[str, list[float]]]] = {
        category: defaultdict(lambda: defaultdict(list)) for category in CATEGORIES
    }
    for person, parse, joints, category, labels in people:
        for name, figure, value in figures_of(person, parse, joints, category, find, labels):
            sums[category][name][figure].append(value)
    return "\n\n".join(_table(category, rows) for category, rows in sums.items() if rows)


def _table(category: str, rows: dict[str, dict[str, list[float]]]) -> str:
    columns = ("iou", "garment", "head", "outside", "found", "median error", "milliseconds")
    lines = [
        f"**{category}**, {len(rows['true joints']['iou'])} people",
        "",
        "| from | IoU | garment covered | head cut | of it background | people found | joints' median error | ms |",
        "|---|---|---|---|---|---|---|---|",
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
    parser.add_argument("--dataset", choices=tuple(DATASETS), help="this data set's people instead")
    parser.add_argument("--root", type=Path, help="its folder")
    chosen = parser.parse_args(given)
    if (chosen.dataset is None) != (chosen.root is None):
        parser.error("--dataset and --root go together: which data set, and its folder")
    people = dataset_people(chosen.dataset, chosen.root) if chosen.dataset else drawn_people(chosen.count, chosen.seed)
    print(tables(people, PersonFinder([chosen.pose]) if chosen.pose else None))


if __name__ == "__main__":
    main()
