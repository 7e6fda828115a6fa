"""Where in a folder a part's weights lie: a diffusers model, one of its subfolders, or a Hugging Face CLIP model.

`reading.py` reads the file that is found; `inventory.py` looks through whole trees of unrelated files.
"""

from __future__ import annotations

from pathlib import Path

from .reading import CheckpointError

_SUBFOLDERS = {"vision": "image_encoder"}
_NAMES = ("diffusion_pytorch_model", "model", "pytorch_model", "open_clip_model", "open_clip_pytorch_model")
# full precision before half, safetensors before torch archives, one file before an index of several
_ENDINGS = (
    ".safetensors",
    ".safetensors.index.json",
    ".bin",
    ".bin.index.json",
    ".fp16.safetensors",
    ".safetensors.index.fp16.json",
    ".fp16.bin",
    ".bin.index.fp16.json",
)


def part_file(path: Path | str, part: str) -> Path:
    """The file a part is in: `path` itself, or in a folder the part's weights or their index.

    Args:
        path: a file of any layout; a diffusers folder (`unet/diffusion_pytorch_model.safetensors` is found in it); or
            the folder of one part.
        part: one of `embedded.PARTS`.

    Raises:
        FileNotFoundError: no such path.
        CheckpointError: the folder has no weights of that part; the message says which names were looked for.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path}.")
    if not path.is_dir():
        return path
    subfolder = _SUBFOLDERS.get(part, part)
    inside = path / subfolder
    # A whole model without that subfolder must not answer with a file of another part that lies on top.
    folder = inside if inside.is_dir() or (path / "model_index.json").exists() else path
    for ending in _ENDINGS:
        for name in _NAMES:
            if (folder / f"{name}{ending}").is_file():
                return folder / f"{name}{ending}"
    raise CheckpointError(
        f"{path} has no weights of the part {part!r}: neither in {subfolder}/ nor on top is there a file "
        f"{' or '.join(_NAMES[:3])} with the ending .safetensors or .bin, .fp16 before it or an index after it."
    )
