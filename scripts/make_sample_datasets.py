"""Write `samples/datasets/`: a few drawn people and garments in the layouts of VITON-HD and Dress Code.

python scripts/make_sample_datasets.py [--out FOLDER] [--seed N --count N]

With a count: so many people of a world in Dress Code's layout, half of them upper bodies. The samples come from the
drawn world, outside the seeds it is trained on, so that the `paper_*` workflows run at once. Nothing in them comes from
the data sets whose layouts they have.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from make_samples import SEED, label_picture, openpose_document  # noqa: E402

VITONHD = (20, 12, 22, 14)
"""People of the world's upper bodies; unpaired, each gets the next one's garment."""
DRESSCODE = {"dresses": (7, 43), "upper_body": (24, 6), "lower_body": (41, 1)}
QUALITY = 92


def garment_mask(garment: dict, size: tuple[int, int]):
    """Where the flat garment is drawn: a grey picture, white is garment."""
    import torch
    from PIL import Image

    from drawn_world.world.body import Body
    from drawn_world.world.garments import draw_flat
    from drawn_world.world.people import mannequin

    covered = torch.zeros(1, *size)
    for _, alpha in draw_flat(garment, Body(mannequin(garment), size)):
        covered = torch.maximum(covered, alpha.reshape(1, *size))
    return Image.fromarray((covered[0] > 0.02).byte().mul(255).numpy())


def save(picture, path: Path, **options) -> None:
    """Write a picture, a tensor (3, H, W) in [0, 1] or Pillow's."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray((picture.movedim(0, -1) * 255).round().byte().numpy())
    picture.save(path, **options)


def write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def write_vitonhd(out: Path, world) -> None:
    """The test split: pictures half as large as the data set's, joints counted in its frame."""
    from ladivton_core.preprocessing.labels import LIP20

    names = [f"{number:05d}_00" for number in range(1, len(VITONHD) + 1)]
    following = [*names[1:], names[0]]
    write_text(out / "test_pairs.txt", "\n".join(f"{a}.jpg {b}.jpg" for a, b in zip(names, following, strict=True)))
    for name, index in zip(names, VITONHD, strict=True):
        scene = world.scene([index], [index])
        save(scene.person[0], out / "test" / "image" / f"{name}.jpg", quality=QUALITY)
        save(scene.garment[0], out / "test" / "cloth" / f"{name}.jpg", quality=QUALITY)
        save(garment_mask(world.garment(index), world.size), out / "test" / "cloth-mask" / f"{name}.jpg")
        save(label_picture(scene.parse[0], LIP20), out / "test" / "image-parse-v3" / f"{name}.png")
        document = openpose_document(scene.keypoints[0] * (1024 / world.size[0]))
        write_text(out / "test" / "openpose_json" / f"{name}_keypoints.json", json.dumps(document))


def write_dresscode(out: Path, world, chosen: dict[str, Sequence[int]]) -> None:
    """The test split of every category; unpaired, each of its people gets the next one's garment."""
    from ladivton_core.preprocessing.labels import ATR18, atr18_from_lip20

    for number, (category, people) in enumerate(chosen.items(), 1):
        folder = out / category
        names = [f"{number:02d}{row:04d}" for row in range(1, len(people) + 1)]
        for order, worn in (("paired", names), ("unpaired", [*names[1:], names[0]])):
            lines = (f"{a}_0.jpg {b}_1.jpg" for a, b in zip(names, worn, strict=True))
            write_text(folder / f"test_pairs_{order}.txt", "\n".join(lines))
        for name, index in zip(names, people, strict=True):
            if world.category(index) != category:
                raise ValueError(f"person {index} wears {world.category(index)}, not {category}")
            scene = world.scene([index], [index])
            save(scene.person[0], folder / "images" / f"{name}_0.jpg", quality=QUALITY)
            save(scene.garment[0], folder / "images" / f"{name}_1.jpg", quality=QUALITY)
            save(garment_mask(world.garment(index), world.size), folder / "masks" / f"{name}_1.png")
            save(label_picture(atr18_from_lip20(scene.parse[0]), ATR18), folder / "label_maps" / f"{name}_4.png")
            joints = [[round(x, 2), round(y, 2), 1.0, float(i)] for i, (x, y) in enumerate(scene.keypoints[0].tolist())]
            write_text(folder / "keypoints" / f"{name}_2.json", json.dumps({"keypoints": joints}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "samples" / "datasets")
    parser.add_argument("--seed", type=int, default=SEED, help="of the world (%(default)s)")
    parser.add_argument("--count", type=int, help="the first people of the world, in Dress Code's layout")
    chosen = parser.parse_args()

    from drawn_world.world.scene import DrawnWorld

    world = DrawnWorld(chosen.seed)
    if chosen.count:
        by_category = {name: [i for i in range(chosen.count) if world.category(i) == name] for name in DRESSCODE}
        write_dresscode(chosen.out, world, by_category)
        return
    write_vitonhd(chosen.out / "vitonhd", world)
    write_dresscode(chosen.out / "dresscode", world, DRESSCODE)


if __name__ == "__main__":
    main()
