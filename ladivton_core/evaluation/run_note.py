"""The note in a folder of results: with which settings they were made, so that no folder ever mixes two.

`generate.py` writes it before the first picture and compares it on every later start.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from ..disk.documents import read_json
from ..disk.looking import file_there
from ..disk.writing import write_json
from ..pipeline import TryOnPipeline
from .items import results_in

NOTE = "settings.json"
_EXPECTED = "the note of a run; delete it, or choose another folder"
_VALUE = (str, float, bool, None, [(str, float, bool, None)])
_SHAPE = {"settings": {str: _VALUE}, "lists": {str: str}, "versions": {str: str}}
_SAMPLED = 64  # values of every tensor; any training changes all of them


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


def pipeline_settings(pipeline: TryOnPipeline) -> dict[str, Any]:
    """What of a pipeline decides its pictures, as JSON's types."""
    parts = {
        "unet": pipeline.unet,
        "vae": pipeline.vae,
        "text_encoder": pipeline.text_encoder,
        "vision": pipeline.vision,
        "inversion_adapter": pipeline.adapter,
        "warping": pipeline.warper,
        "emasc": pipeline.emasc,
    }
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
        **{f"weights of {name}": fingerprint(part) for name, part in parts.items()},
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


def claim(out: Path, settings: Mapping[str, Any], lists: Mapping[str, str], *, force: bool = False) -> None:
    """Make sure that everything in a folder has been made with these settings, and note them.

    Args:
        out: folder of the results.
        settings: by name, JSON's types.
        lists: hash of every pair list of this run, by `<order>/<category>`.
        force: delete the pictures that other settings, or another pair list, made.

    Raises:
        OtherSettingsError: they differ, or pictures lie there without a note.
    """
    changed: list[str] = []
    try:
        note = read_note(out)
        differences = _differences(note, settings) if note else _unknown(out)
        changed = [name for name, mark in lists.items() if note and note["lists"].get(name, mark) != mark]
    except OtherSettingsError:
        if not force:
            raise
        note, differences = None, ["its note cannot be read"]
    if (differences or changed) and not force:
        said = [*differences, *(f"the pair list {name} has changed" for name in changed)]
        raise OtherSettingsError(
            f"{out} holds pictures made otherwise: {'; '.join(said)}. Use these settings, choose another "
            "folder, or discard those pictures with --force"
        )
    # the pictures first: stopped in between, the old note still refuses them
    for picture in _pictures(out) if differences else [p for name in changed for p in results_in(out / name)]:
        picture.unlink()
    if differences:
        note = None
    lists = (note["lists"] if note else {}) | dict(lists)
    write_json({"settings": dict(settings), "lists": lists, "versions": versions()}, out / NOTE)


def versions() -> dict[str, str]:
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


def _differences(note: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    there = note["settings"]
    return [
        f"{name} was {there.get(name, 'not noted')}, is {settings.get(name, 'not given')}"
        for name in dict.fromkeys([*there, *settings])
        if there.get(name) != settings.get(name)
    ]


def _unknown(out: Path) -> list[str]:
    return ["they have no note"] if _pictures(out) else []


def _pictures(out: Path) -> list[Path]:
    folders = [folder for order in ("paired", "unpaired") for folder in sorted((out / order).glob("*"))]
    return [picture for folder in folders if folder.is_dir() for picture in results_in(folder)]
