"""A small classifier of the drawn world: which pattern a worn garment has, and which two colours.

It looks at a picture inside the inpaint mask only. Colours are not guessed but read off the picture, by two
learned attention maps. It learns from rendered truths (`classifier_training.py`), never from generated pictures.
Its weights belong to the tests (`PATH`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..world.patterns import PATTERNS

PATH = Path(__file__).parents[2] / "tests" / "data" / "garment_classifier.safetensors"
"""Where the weights lie in the repository."""
SIZE = (128, 96)
"""(height, width) it looks at: patterns are coarse enough for it, and a sampler's grain is not."""
SAME_COLOUR = 15.0
"""CIEDE2000 distance up to which two colours count as the same: about what one would give the same name."""
SHARING = tuple(PATTERNS.index(name) for name in ("stripes", "bars", "checks", "gradient", "blocks"))
"""Patterns whose two colours cover about as much of the cloth: neither is the main one."""
_GREY, _WIDTHS, _GROUPS = 0.5, (16, 32, 48, 64, 96), 8
_CELL = 4  # pixels a cell of the fine features


class GarmentClassifier(nn.Module):
    """Picture and mask to pattern class and cloth colours; 0.10 M parameters."""

    def __init__(self):
        super().__init__()
        a, b, c, d, e = _WIDTHS
        self.fine = nn.Sequential(_block(4, a, 2), _block(a, b, 2), _block(b, c, 1))  # 32 x 24
        self.coarse = nn.Sequential(_block(c, d, 2), _block(d, e, 1))  # 16 x 12
        # as many logits a cell as it has pixels: lines of a pattern are narrower than a cell
        self.fine_attention = nn.Sequential(nn.Conv2d(c, 2 * _CELL**2, 1), nn.PixelShuffle(_CELL))
        self.coarse_attention = nn.Conv2d(e, 2, 1)
        self.pattern = nn.Linear(2 * e, len(PATTERNS))

    def forward(self, pictures: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Judge pictures.

        Args:
            pictures: (B, 3, 128, 96) in [0, 1].
            mask: (B, 1, 128, 96) in {0, 1}; 1 is looked at.

        Returns:
            logits of `PATTERNS` (B, 8) and two colours (B, 2, 3) in [0, 1], the main one first.
        """
        seen = pictures * mask + _GREY * (1 - mask)
        fine = self.fine(torch.cat([seen * 2 - 1, mask], dim=1))
        coarse = self.coarse(fine)
        attention = self.fine_attention(fine) + F.interpolate(
            self.coarse_attention(coarse), size=SIZE, mode="bilinear", align_corners=False
        )
        attention = attention.masked_fill(mask < 0.5, -1e4).flatten(2).softmax(-1)
        colours = attention @ seen.flatten(2).transpose(1, 2)
        features = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], dim=1)
        return self.pattern(features), colours


def _block(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.GroupNorm(_GROUPS, outputs), nn.SiLU()
    )


@dataclass(frozen=True)
class Cloth:
    """Pattern classes and colours of a batch of garments, as shown or as seen.

    Attributes:
        patterns: indices into `PATTERNS` (B,), int64.
        colours: (B, 2, 3) in [0, 1], the main one first; twice the same on plain cloth.
    """

    patterns: Tensor
    colours: Tensor


def shown(garments: Sequence[dict]) -> Cloth:
    """What garments of the world show."""
    patterns, colours = [], []
    for garment in garments:
        pattern = int(garment["pattern"])
        second = garment["colour" if pattern == PATTERNS.index("solid") else "colour_2"]
        patterns.append(pattern)
        colours.append(torch.stack([torch.as_tensor(colour).float() for colour in (garment["colour"], second)]))
    return Cloth(torch.tensor(patterns), torch.stack(colours))


def load_classifier(path: Path = PATH) -> GarmentClassifier:
    """The trained classifier, float32, in eval mode.

    Raises:
        FileNotFoundError: the file is not there; says where it belongs and how it is made.
    """
    from safetensors.torch import load_file

    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing. It belongs to the repository (not to an installed package); to make it: "
            "python -m drawn_world.figures train-classifier"
        )
    model = GarmentClassifier()
    model.load_state_dict({name: value.float() for name, value in load_file(path).items()})
    return model.eval()


@torch.no_grad()
def look(model: GarmentClassifier, pictures: Tensor, mask: Tensor) -> Cloth:
    """What the classifier sees in pictures (B, 3, H, W) in [0, 1], inside a mask (B, 1, H, W); any size."""
    logits, colours = model(*shrunk(pictures, mask))
    return Cloth(logits.argmax(1), colours)


def shrunk(pictures: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures and mask at `SIZE`; cells that the mask covers in part are left out."""
    small = F.interpolate(pictures, size=SIZE, mode="bilinear", align_corners=False, antialias=True)
    return small.clamp(0, 1), (F.interpolate(mask, size=SIZE, mode="area") > 0.99).to(mask)


def colour_distances(seen: Cloth, garments: Cloth) -> Tensor:
    """CIEDE2000 distance (B, N) between B seen cloths and N garments.

    It is the distance of the two main colours. Where a garment's colours share the cloth (`SHARING`) the order of
    the seen ones means nothing: both orders are tried, and the distance is the larger of the two colours'.

    Raises:
        ImportError: scikit-image is not installed.
    """
    try:
        from skimage.color import deltaE_ciede2000, rgb2lab
    except ImportError as error:
        raise ImportError("colour distances need scikit-image: pip install 'ladi-vton[eval]'") from error

    mine, theirs = rgb2lab(seen.colours.numpy()), rgb2lab(garments.colours.numpy())
    # (B, N, 2, 2): seen colour, then the garment's
    pairs = torch.from_numpy(deltaE_ciede2000(mine[:, None, :, None], theirs[None, :, None, :])).float()
    either = torch.minimum(
        torch.maximum(pairs[..., 0, 0], pairs[..., 1, 1]), torch.maximum(pairs[..., 0, 1], pairs[..., 1, 0])
    )
    return torch.where(torch.isin(garments.patterns, torch.tensor(SHARING)), either, pairs[..., 0, 0])


def right(seen: Cloth, asked: Cloth) -> dict[str, Tensor]:
    """1 where the `pattern`, or the `colour`, is that of the garment asked for (B,), by name."""
    return {
        "pattern": (seen.patterns == asked.patterns).float(),
        "colour": (colour_distances(seen, asked).diagonal() <= SAME_COLOUR).float(),
    }
