"""Which weights a run uses, from files and presets to a pipeline, and the note that it leaves of them.

Files are told by content (`checkpoints/inventory.py`); a name only decides between several that would do. The note
keeps a folder of results to one set of settings; evaluation and batch write it before the first picture.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .checkpoints.build import check
from .checkpoints.inventory import Found, look, sources, weight_files
from .checkpoints.reading import CheckpointError, read_state_dict
from .checkpoints.unet_layout import INPAINTING_CHANNELS
from .disk.documents import read_json
from .disk.looking import file_there
from .embedded import PARTS, embedded_path
from .pipeline import TryOnPipeline
from .presets import PRESETS, SD2, TINY, Preset
from .start import command

log = logging.getLogger(__name__)
EMBEDDED = "embedded"
"""In place of a folder: the weights that ship with the pack."""

_LOOK_ALIKES = ("vae", "text_encoder")
"""Parts of Stable Diffusion that other versions have with the same names and shapes."""

NOTE = "settings.json"
"""Name of the note in a folder of results."""
_EXPECTED = "the note of a run; delete it, or choose another folder"
_VALUE = (str, float, bool, None, [(str, float, bool, None)])
_SHAPE = {"settings": {str: _VALUE}, "lists": {str: str}, "versions": {str: str}}
_SAMPLED = 64  # values of every tensor; any training changes all of them

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def choose_pipeline(
    dataset: str,
    models: str | Path | None = None,
    weights: Sequence[str] = (),
    preset: str | None = None,
    *,
    device: str | None = None,
    dtype: str = "float32",
) -> TryOnPipeline:
    """Models of a run.

    Args:
        dataset: `vitonhd` or `dresscode`; prefers a file whose name says so where two would do.
        models: folder that is searched for the parts, or `embedded`.
        weights: `PART=FILE` each; goes before the folder.
        preset: sizes; None is `sd2` where weights are given and `tiny` where they are not. With `tiny` the embedded
            weights fill what is missing.
        device: a torch device; None is the CPU.
        dtype: one of `DTYPES`.

    Raises:
        ValueError: a part is missing, or two files are as good; the message says what to do.
        CheckpointError: a file is something else.
    """
    chosen = PRESETS[preset] if preset else (SD2 if weights or models not in (None, EMBEDDED) else TINY)
    files: dict[str, Path] = {}
    for pair in weights:
        part, equals, file = pair.partition("=")
        if part not in PARTS or not equals:
            raise ValueError(f"--weights {pair}: write PART=FILE; parts are {', '.join(PARTS)}")
        files[part] = Path(file)
    if models not in (None, EMBEDDED):
        wanted = [part for part in PARTS if part not in files]
        files |= find_parts(Path(models), chosen, dataset, wanted)
    if chosen is TINY:
        files = {part: embedded_path(part) for part in PARTS} | files
    missing = [part for part in PARTS if part not in files]
    if missing:
        where = f"in {models}" if models not in (None, EMBEDDED) else "among --weights"
        raise ValueError(
            f"the preset {chosen.name} lacks {', '.join(missing)}: no such weights {where}. Name files with --weights "
            "PART=FILE, a folder with --models, or fetch them (docs/models.md): "
            + command(f"checkpoints download {dataset} sd2 --models FOLDER")
        )
    for part, file in files.items():
        log.info("%s: %s", part, file)
    return TryOnPipeline.from_files(files, chosen, device=device, dtype=DTYPES[dtype])


def find_parts(folder: Path, preset: Preset, dataset: str, parts: Sequence[str] = PARTS) -> dict[str, Path]:
    """Files below a folder that hold parts of a preset's sizes, by part; parts that none holds are left out.

    VAE and text encoder of every Stable Diffusion look alike and differ in their weights. They are taken from files
    called as in `sources.json`, or from a whole checkpoint of the inpainting model (9 input channels), never guessed.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: several files hold a part and no name says which is meant.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    found: dict[str, list[Path]] = {part: [] for part in parts}
    for path in weight_files(folder):
        content = look(path)
        for part in content.parts:
            stock = part == "unet" and content.channels == INPAINTING_CHANNELS  # to train from
            guessed = part in _LOOK_ALIKES and preset is SD2 and not _is_inpainting(part, path, content)
            if part in found and not stock and not guessed and _fits(part, path, preset):
                found[part].append(path)
    return {part: _only(part, paths, dataset) for part, paths in found.items() if paths}


def _is_inpainting(part: str, path: Path, content: Found) -> bool:
    """Whether a VAE or text encoder is surely that of Stable Diffusion 2 inpainting."""
    if content.channels == INPAINTING_CHANNELS or any(path.name == s.name for s in sources() if s.part == part):
        return True
    log.info("%s is not taken as %s: another Stable Diffusion's looks the same; name it with --weights", path, part)
    return False


def _fits(part: str, path: Path, preset: Preset) -> bool:
    """Whether a file's part has a preset's names and shapes."""
    try:
        return check(part, read_state_dict(path), path).name == preset.name
    except CheckpointError as error:
        log.info("%s is not taken: %s", path, error)
        return False


def _only(part: str, paths: list[Path], dataset: str) -> Path:
    if len(paths) > 1:  # the published sets of both data sets in one folder
        named = [path for path in paths if dataset in path.stem.lower().replace("-", "").replace("_", "")]
        paths = named or paths
    if len(paths) > 1:
        raise ValueError(
            f"{len(paths)} files hold the part {part}: {', '.join(map(str, paths))}. "
            f"Say which with --weights {part}=FILE"
        )
    return paths[0]


class OtherSettingsError(ValueError):
    """A folder holds results of other settings; the message names what differs."""


def fingerprint(module: nn.Module | None) -> str:
    """Hash of a model's weights, whatever file or layout they came from: 64 values spread over every tensor."""
    if module is None:
        return "none"
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        flat = tensor.detach().reshape(-1)
        picked = flat[:: max(1, flat.numel() // _SAMPLED)][:_SAMPLED]
        picked = picked.cpu().double()  # in two steps: Metal has no float64
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(picked.numpy().tobytes())
    return digest.hexdigest()[:16]


def describe_pipeline(pipeline: TryOnPipeline) -> dict[str, Any]:
    """What of a pipeline decides its pictures, as JSON's types."""
    return {
        "preset": pipeline.preset.name,
        "size": list(pipeline.preset.size),
        "schedule": str(pipeline.preset.schedule),
        "skip_grow": pipeline.preset.skip_grow,
        "skip_feather": pipeline.preset.skip_feather,
        "sampler": "ddim" if pipeline.scheduler is None else type(pipeline.scheduler).__name__,
        "device": pipeline.device.type,
        "dtype": str(pipeline.dtype).removeprefix("torch."),
        # the exact mode has no line, so that notes from before there was another stay valid
        **({} if pipeline.speed == "exact" else {"speed": pipeline.speed}),
        **{f"weights of {name}": fingerprint(part) for name, part in pipeline.parts.items()},
    }


def read_note(out: Path) -> dict[str, Any] | None:
    """The note of a folder; None where there is none.

    Raises:
        OtherSettingsError: it cannot be read.
    """
    path = out / NOTE
    if not file_there(path):
        return None
    try:
        note = read_json(path, shape=_SHAPE, expected=_EXPECTED)
    except ValueError as error:
        raise OtherSettingsError(f"{error} ({path} is no note of a run)") from error
    return {name: note[name] for name in _SHAPE}


def list_versions() -> dict[str, str]:
    """Versions of the libraries that take part, as far as they are installed."""
    import importlib.metadata
    import platform

    found = {"python": platform.python_version()}
    for name in ("torch", "diffusers", "open_clip_torch", "numpy", "pillow", "torchmetrics", "clean-fid", "scipy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a run's settings say otherwise than a folder's note, in words, a line each."""
    return [
        f"{name} was {before.get(name, 'not noted')}, is {now.get(name, 'not given')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]


def weight_bytes(*modules: nn.Module) -> int:
    """Bytes of parameters and buffers."""
    return sum(x.numel() * x.element_size() for m in modules for x in (*m.parameters(), *m.buffers()))
