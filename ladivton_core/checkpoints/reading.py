"""Reading a weight file of either kind into a flat state dict.

The published LaDI-VTON files are PyTorch archives, Stable Diffusion's and ours safetensors. Nothing is
ever unpickled that is not a tensor. Both kinds are mapped into memory: a tensor is read from the disk when it is
used, so looking at names and shapes, or taking one part out of a large file, costs next to nothing. `layouts.py`
tells what the dict holds, `folders.py` where in a folder the file is.
"""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_SKIPPED = ("optimizer", "scheduler", "scaler", "lr_scheduler")
_WRAPPERS = ("state_dict", "model_state_dict", "model")


class CheckpointError(ValueError):
    """A weight file that cannot be used; the message says what it is and what was expected."""


def read_state_dict(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a weight file by flat key.

    Nested dicts are flattened with dots (`warping_*.pth` becomes `tps.*` and `refinement.*`), optimiser
    states and plain numbers are dropped, a `module.` prefix of parallel training is removed.

    Args:
        path: safetensors, an archive of torch (`.pth`, `.pt`, `.bin`, `.ckpt`), or the index (JSON) of a model that
            diffusers or transformers split over several files; told by content, not by name.

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated, not a weight file, or holds something other than tensors.

    Source: SPEC section 7.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no weight file {path}.")
    tensors = _read_any(path)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors.")
    if all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
    return tensors


def is_mapped(path: Path | str) -> bool:
    """Whether `read_state_dict` leaves a file's tensors on the disk until they are used.

    Only torch archives from before 2020 (torch 1.5), and ones that are named `.safetensors`, are read whole.
    """
    path = Path(path)
    return _is_safetensors(path) or _is_index(path) or _can_be_mapped(path)


def _read_any(path: Path) -> dict[str, Tensor]:
    if _is_safetensors(path):
        return _read_safetensors(path)
    return _read_index(path) if _is_index(path) else _read_torch(path)


def _is_index(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"{" and not _is_safetensors(path)


def _read_index(path: Path) -> dict[str, Tensor]:
    """All files an index names, as one dict."""
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
        names = [str(Path(name)) for name in names]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is a JSON file but not the index of a split model.") from error
    tensors = {}
    for name in names:
        shard = path.parent / name
        if Path(name).name != name or not shard.is_file():  # an index names files beside it, nothing elsewhere
            raise CheckpointError(f"{path} names the file {name}, which is not beside it; download all {len(names)}.")
        tensors |= _read_any(shard)
    return tensors


def _is_safetensors(path: Path) -> bool:
    """Whether a JSON header follows the 8 bytes of its length; a file that is neither kind goes by its name."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{":
        return True
    return path.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80"))  # zip and pickle


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as safetensors ({error}). "
            "It is probably cut short or not a safetensors file; download it again."
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    try:
        mapped = _can_be_mapped(path)
        with path.open("rb") as file:
            content = torch.load(path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a plain weight archive: it is damaged, not a torch file at all, or holds Python "
            f"objects other than tensors, which are not loaded because they could run code ({_first_line(error)})."
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a torch archive ({_first_line(error)}). "
            "It is probably cut short or not a weight file; download it again."
        ) from error
    if isinstance(content, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
                break
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; a state dict (names to tensors) was expected.")
    return dict(_flat(content))


def _can_be_mapped(path: Path) -> bool:
    # Given the name of an archive that is called *.safetensors, torch would read it as such.
    return zipfile.is_zipfile(path) and path.suffix != ".safetensors"


def _flat(content: Mapping[Any, Any], prefix: str = ""):
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping) and not str(key).startswith(_SKIPPED):
            yield from _flat(value, f"{name}.")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
