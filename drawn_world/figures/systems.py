"""Three systems to compare, on a data set's test list: embedded, embedded without EMASC, the warped garment pasted.

    python scripts/make_sample_datasets.py --seed 6007 --count 200 --out DRAWN
    python -m drawn_world.figures.systems DRAWN RESULTS --order paired

writes `RESULTS/<system>/<order>/<category>/<person>.png`, which `python -m ladivton_core.evaluation compare` reads. All
three are one run of the same warp and the same latents. A picture that is there is kept.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ladivton_core.datasets import collate, open_dataset, recognise
from ladivton_core.datasets.results import to_picture, write_pictures
from ladivton_core.decoding.paste import paste_back
from ladivton_core.disk.terminal import to_terminal
from ladivton_core.evaluation.generate import SEED
from ladivton_core.evaluation.items import item_seed, items_of
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.garment.backdrop import WHITE
from ladivton_core.runtime.process import prepare_process

log = logging.getLogger(__name__)
SYSTEMS = ("embedded", "without EMASC", "pasted garment")


def make(root: Path, out: Path, order: str, seed: int = SEED) -> None:
    """Dress everyone on the test list of a data set at `root`, in an order of which any beginning is a fair sample.

    The pasted garment lies on what the models see of the person: grey where the mask is.
    """
    pipeline = TryOnPipeline.from_embedded()
    data = open_dataset(recognise(root), root, "test", order, size=pipeline.preset.size)
    items = sorted(items_of(data), key=lambda item: item_seed(seed, item))
    for number, item in enumerate(items, 1):
        paths = [item.path(out / system, order, "png") for system in SYSTEMS]
        if all(path.exists() for path in paths):
            continue
        sample = collate([data[item.index]])
        person = pipeline.encode_person(sample.person, sample.mask.float(), sample.pose_map)
        garment = pipeline.encode_garment(sample.garment, sample.category)
        warped = pipeline.warp(garment.garment, person).warped
        result = pipeline(person, garment, warped=warped, seeds=item_seed(seed, item))
        covered = ((warped / 2 + 0.5) < WHITE).any(1, keepdim=True) & (sample.mask > 0)
        pasted = paste_back(warped, person.agnostic, covered.float()) / 2 + 0.5
        images = (result.images, pipeline.decode(result.latents), pasted)
        write_pictures([to_picture(image[0]) for image in images], paths, overwrite=True)
        log.info("%d of %d", number, len(items))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--order", choices=("paired", "unpaired"), default="paired")
    chosen = parser.parse_args()
    prepare_process()
    to_terminal()
    make(chosen.root, chosen.out, chosen.order)
