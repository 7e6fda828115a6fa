"""Where the shipped tiny weights lie. `checkpoints/build.py` fills modules with them; CARD.md describes them."""

from __future__ import annotations

from pathlib import Path

EMBEDDED_DIR = Path(__file__).parent
"""This folder."""

PARTS = ("unet", "vae", "text_encoder", "vision", "inversion_adapter", "warping", "emasc")
"""One safetensors file a part, float16 on disk."""


def embedded_path(part: str) -> Path:
    """File of a part.

    Raises:
        ValueError: unknown part.
        FileNotFoundError: the file is missing from the installation.
    """
    if part not in PARTS:
        raise ValueError(f"there is no embedded part {part!r}; parts are {', '.join(PARTS)}.")
    path = EMBEDDED_DIR / f"{part}.safetensors"
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing: the pack was installed without its embedded weights; install it again."
        )
    return path
