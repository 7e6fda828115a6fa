"""Write `samples/`: for every category a person, a garment, keypoints and parse maps (VITON-HD's labels and Dress
Code's) of the drawn world, outside the seeds it is trained on; and the first person once more with a mask painted
over the garment, as ComfyUI's mask editor stores it.

python scripts/make_samples.py [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SEED = 2026
SAMPLES = {"": (6, 0), "lower_body_": (21, 1), "dresses_": (11, 15)}
"""Person and garment by file name prefix; the upper body has none."""


def openpose_document(points) -> dict:
    """COCO-18 joints (18, 2) as OpenPose's BODY_25 JSON, the form VITON-HD ships; hips give the middle one."""
    from ladivton_core.preprocessing.pose.keypoints import BODY25_TO_COCO18

    body = [[0.0, 0.0, 0.0] for _ in range(25)]
    for coco, index in enumerate(BODY25_TO_COCO18):
        x, y = (round(float(v), 2) for v in points[coco])
        body[index] = [x, y, 1.0 if x > 0 or y > 0 else 0.0]
    right, left = body[9], body[12]
    body[8] = [round((right[0] + left[0]) / 2, 2), round((right[1] + left[1]) / 2, 2), 1.0]
    flat = [value for joint in body for value in joint]
    return {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat}]}


def label_picture(values, labels):
    """A label map (H, W) as a palette picture in which neighbouring labels have colours of their own."""
    from PIL import Image

    picture = Image.fromarray(values.byte().numpy(), mode="P")
    picture.putpalette([(i * step) % 256 for i in range(len(labels.labels)) for step in (67, 131, 199)])
    return picture


BRUSH = 7
"""Radius in pixels of the painted mask's round brush."""


def painted(pixels, values, labels):
    """A person with the worn garment painted over: transparent there, the colours below kept, as the editor does.

    Args:
        pixels: (H, W, 3), uint8.
        values: label map (H, W).
        labels: its label set.
    """
    from PIL import Image, ImageDraw

    picture = Image.fromarray(pixels).convert("RGBA")
    opacity = Image.new("L", picture.size, 255)
    draw = ImageDraw.Draw(opacity)
    garment = values == labels.id("upper_clothes")
    for y in range(0, garment.shape[0], BRUSH):
        for x in garment[y].nonzero()[:, 0].tolist()[::BRUSH]:
            draw.ellipse((x - BRUSH, y - BRUSH, x + BRUSH, y + BRUSH), fill=0)
    picture.putalpha(opacity)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "samples")
    out: Path = parser.parse_args().out

    from PIL import Image

    from drawn_world.world.scene import DrawnWorld
    from ladivton_core.preprocessing.labels import ATR18, LIP20, atr18_from_lip20

    out.mkdir(exist_ok=True)
    world = DrawnWorld(SEED)
    for prefix, (person, garment) in SAMPLES.items():
        worn = world.scene([person], [person])
        flat = world.scene([person], [garment]).garment
        for name, picture in (("person", worn.person), ("garment", flat)):
            pixels = (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()
            Image.fromarray(pixels).save(out / f"{prefix}{name}.png")
        if not prefix:
            person_pixels = (worn.person[0].permute(1, 2, 0) * 255).round().byte().numpy()
            painted(person_pixels, worn.parse[0], LIP20).save(out / "person_painted.png")
        maps = {"parse": (worn.parse[0], LIP20), "parse_atr18": (atr18_from_lip20(worn.parse[0]), ATR18)}
        for name, (values, labels) in maps.items():
            label_picture(values, labels).save(out / f"{prefix}{name}.png")
        document = json.dumps(openpose_document(worn.keypoints[0]), indent=1)
        (out / f"{prefix}keypoints.json").write_text(document + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
