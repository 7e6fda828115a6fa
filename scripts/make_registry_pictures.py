"""Draw what the registry shows of the pack: `docs/images/icon.jpg` (square) and `banner.jpg` (21:9).

python scripts/make_registry_pictures.py

Out of the first example of `samples/` and its result in `docs/images/demo.jpg`; run it after `make_pictures.py`.
"""

from __future__ import annotations

from hosting import installation
from hosting.places import REPOSITORY, SAMPLES

IMAGES = REPOSITORY / "docs" / "images"
ICON = 400
"""The largest square that the registry takes."""
BANNER = (1344, 576)
PAPER, INK = "#f4f1ec", "#3b3a4a"


def pictures():
    """The example's person, garment and result, 384 x 512 each."""
    from PIL import Image

    size = (384, 512)
    person, garment = (Image.open(SAMPLES / f"{name}.png").convert("RGB") for name in ("person", "garment"))
    demo = Image.open(IMAGES / "demo.jpg").convert("RGB")
    width = round(demo.height * size[0] / size[1])
    gap = (demo.width - 9 * width) // 8  # three examples of three pictures
    result = demo.crop((2 * (width + gap), 0, 2 * (width + gap) + width, demo.height))
    return person.resize(size), garment.resize(size), result.resize(size, Image.Resampling.LANCZOS)


def icon():
    """Head to hips, before on the left and after on the right, the garment in the corner."""
    from PIL import Image, ImageDraw

    person, garment, result = pictures()
    middle = 182  # where the example stands
    chosen = (middle - 150, 26, middle + 150, 326)
    drawn, after = (p.crop(chosen).resize((ICON, ICON), Image.Resampling.LANCZOS) for p in (person, result))
    seam = ICON // 2
    drawn.paste(after.crop((seam, 0, ICON, ICON)), (seam, 0))
    ImageDraw.Draw(drawn).rectangle((seam - 2, 0, seam + 1, ICON), fill="white")

    badge, margin, fine = 132, 12, 4
    disc = Image.new("L", (badge * fine, badge * fine))
    ImageDraw.Draw(disc).ellipse((0, 0, badge * fine - 1, badge * fine - 1), fill=255)
    disc = disc.resize((badge, badge), Image.Resampling.LANCZOS)
    shirt = garment.crop((2, 62, 382, 442)).resize((badge, badge), Image.Resampling.LANCZOS)
    drawn.paste(shirt, (ICON - badge - margin, ICON - badge - margin), disc)
    return drawn


def banner():
    """Person plus garment equals result."""
    from PIL import Image, ImageDraw

    drawn = Image.new("RGB", BANNER, PAPER)
    cells = pictures()
    gap = (BANNER[0] - sum(cell.width for cell in cells)) // (len(cells) + 1)
    top = (BANNER[1] - cells[0].height) // 2
    pen, middle, arm = ImageDraw.Draw(drawn), BANNER[1] // 2, 11
    for place, cell in enumerate(cells):
        left = gap + place * (cell.width + gap)
        drawn.paste(cell, (left, top))
        across = left + cell.width + gap // 2
        if place == 0:
            pen.line((across - arm, middle, across + arm, middle), fill=INK, width=4)
            pen.line((across, middle - arm, across, middle + arm), fill=INK, width=4)
        elif place == 1:
            for shift in (-6, 6):
                pen.line((across - arm, middle + shift, across + arm, middle + shift), fill=INK, width=4)
    return drawn


def main() -> None:
    installation.run_inside(installation.find_or_install())
    icon().save(IMAGES / "icon.jpg", quality=90)
    banner().save(IMAGES / "banner.jpg", quality=85)


if __name__ == "__main__":
    main()
