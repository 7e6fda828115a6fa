"""Whether Check Inputs' score predicts how a try-on from a photo turns out: the area under its curve.

    python -m drawn_world.figures.score --count 400 --pose models/ladi_vton/pose --rows rows.jsonl

People of both worlds in turns, found, framed and dressed as a catalogue does it. A try-on is bad where the garment's
PSNR is in the worst quarter of its world, where the joints are off by more than a tenth of the body's size (the median
of those found), or where nobody is found. BlazePose sets some joints elsewhere than the worlds do, whoever it is: the
median of that over all people of a world and category is no error and is taken off. The area under the curve is the
share of pairs, one bad and one not, of which the bad one has the lower score.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from ladivton_core.disk.terminal import to_terminal
from ladivton_core.disk.writing import write_text
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.checks import check_garment, score_of
from ladivton_core.preprocessing.framing.fitting import Fit
from ladivton_core.preprocessing.garment.backdrop import CENTRED, centred_on_white, ground_to_white
from ladivton_core.preprocessing.people.finder import PersonFinder
from ladivton_core.preprocessing.pose.body_size import body_size
from ladivton_core.preprocessing.pose.keypoints import pose_document
from ladivton_core.preprocessing.prepare import prepare_person
from ladivton_core.runtime.process import prepare_process

from .detail import MODELS, WORLDS, Case
from .metrics import psnr

log = logging.getLogger(__name__)

OFF = 0.1
"""Body sizes by which joints are wrong."""
_SURE = 0.3


@torch.no_grad()
def row_of(case: Case, find: PersonFinder, pipeline: TryOnPipeline, seed: int) -> dict:
    """Score, PSNR of the garment (dB, None where none was made) and every joint's way from the truth in body sizes
    (18, 2), None for one that is not known, of one person; JSON."""
    white = ground_to_white(case.garment)
    garment = case.garment if white is None else white
    row = {"category": case.category, "score": 0.0, "psnr": None, "off": [None] * 18}
    people = find(case.person)
    if not people:
        return row
    joints, unit = people[0].joints, body_size(case.joints.double())
    both = (joints[:, 2] > _SURE) & (case.joints > 1).any(1)
    ways = (joints[:, :2] - case.joints) / unit
    row["off"] = [way.tolist() if known else None for way, known in zip(ways, both.tolist(), strict=True)]
    document = pose_document(torch.stack([one.points for one in people]), MODELS)
    outline = (people[0].silhouette >= 0.5).float()
    try:
        made = prepare_person(
            case.person, [document], case.category, MODELS, silhouette=outline, say=lambda _: None
        )  # fmt: skip
    except ValueError as error:  # as a catalogue leaves out whom it cannot mask
        log.info("%s", error)
        return row
    row["score"] = score_of([*made.findings, *check_garment(garment)])
    shown = centred_on_white(garment, MODELS)[None]
    if case.category not in CENTRED:
        shown = Fit.plan(tuple(garment.shape[-2:]), MODELS).apply(garment[None], fill=1.0)
    result = pipeline(made.framed, shown * 2 - 1, category=case.category, seeds=seed, paste_back=True).images.cpu()
    truth, worn = (made.fit.apply(picture[None], fill=1.0) for picture in (case.truth, case.worn))
    cloth = (worn < 0.98).any(1, keepdim=True).float()
    if cloth.any():
        row["psnr"] = float(psnr(result, truth, cloth))
    return row


def bad(rows: Sequence[dict]) -> np.ndarray:
    """Which try-ons of one world are bad (N,) bool, see above."""
    decibels = np.array([-np.inf if row["psnr"] is None else row["psnr"] for row in rows])
    ways = np.array([[(np.nan, np.nan) if way is None else way for way in row["off"]] for row in rows], float)
    categories = np.array([row["category"] for row in rows])
    off = np.full(len(rows), np.inf)
    for category in np.unique(categories):
        here = ways[categories == category]
        usual = [np.median(joint[~np.isnan(joint[:, 0])], 0) if (~np.isnan(joint)).any() else (0.0, 0.0)
                 for joint in here.swapaxes(0, 1)]  # fmt: skip
        apart = np.linalg.norm(here - np.array(usual), axis=2)
        off[categories == category] = [np.median(one[~np.isnan(one)]) if (~np.isnan(one)).any() else np.inf
                                       for one in apart]  # fmt: skip
    return (decibels <= np.quantile(decibels, 0.25)) | (off > OFF)


def area_under_curve(scores: Sequence[float], wrong: Sequence[bool]) -> float:
    """Share of the pairs of a wrong and a right one of which the wrong one scores lower; equal ones count half."""
    scores, wrong = np.asarray(scores, float), np.asarray(wrong, bool)
    below = scores[wrong][:, None] - scores[~wrong][None]
    return float((below < 0).mean() + 0.5 * (below == 0).mean())


def report(worlds: dict[str, list[dict]]) -> str:
    """Markdown: a line a world and for both, and what each score comes to."""
    judged = {name: bad(rows) for name, rows in worlds.items()}
    scores = {name: [row["score"] for row in rows] for name, rows in worlds.items()}
    lines = ["| people | bad | area under the curve |", "|---|---|---|"]
    everyone = np.concatenate(list(judged.values())), np.concatenate(list(scores.values()))
    for name, wrong, of in [*((n, judged[n], scores[n]) for n in worlds), ("both", *everyone)]:
        lines.append(f"| {len(wrong)} {name} | {wrong.mean():.0%} | {area_under_curve(of, wrong):.3f} |")
    lines += ["", "| score | people | bad |", "|---|---|---|"]
    wrong, of = everyone
    for low, high in ((0.0, 0.5), (0.5, 0.7), (0.7, 0.85), (0.85, 0.99), (0.99, 1.01)):
        here = (of >= low) & (of < high)
        if here.any():
            lines.append(f"| {low:.2f} to {min(high, 1):.2f} | {here.sum()} | {wrong[here].mean():.0%} |")
    return "\n".join(lines)


def _rows(count: int, seed: int, find: PersonFinder, kept: Path | None) -> Iterator[tuple[str, dict]]:
    pipeline = TryOnPipeline.from_embedded()
    pairs = zip(*(make((count + 1) // 2, seed, MODELS) for make in WORLDS.values()), strict=True)
    lines: list[str] = []
    for number, cases in enumerate(pairs):
        for world, case in zip(WORLDS, cases, strict=True):
            row = row_of(case, find, pipeline, number)
            lines.append(json.dumps({"world": world} | row))
            yield world, row
        if kept is not None:
            write_text(kept, "\n".join(lines) + "\n")
        log.info("%d of %d people", 2 * number + 2, count)


def main(given: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="people, half of each world (%(default)s)")
    parser.add_argument("--seed", type=int, default=612, help="of their worlds (%(default)s)")
    parser.add_argument("--pose", type=Path, required=True, help="folder of BlazePose's graphs")
    parser.add_argument("--rows", type=Path, help="write what was measured here, a line of JSON a person")
    parser.add_argument("--again", type=Path, nargs="+", help="files of --rows: report these, measure nothing")
    chosen = parser.parse_args(given)
    prepare_process()
    to_terminal()
    worlds: dict[str, list[dict]] = {}
    if chosen.again:
        lines = [json.loads(line) for file in chosen.again for line in file.read_text().splitlines()]
        measured = ((line["world"], line) for line in lines)
    else:
        measured = _rows(chosen.count, chosen.seed, PersonFinder([chosen.pose], 1), chosen.rows)
    for world, row in measured:
        worlds.setdefault(world, []).append(row)
    print(report(worlds))


if __name__ == "__main__":
    main()
