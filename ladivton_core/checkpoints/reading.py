"""Reading a weight file of either kind into a flat state dict.

The published LaDI-VTON files are PyTorch archives, Stable Diffusion's and ours safetensors. Nothing is
ever unpickled that is not a tensor. Both kinds are mapped into memory: a tensor is read from the disk when it is
used, so looking at names and shapes, or taking one part out of a large file, costs next to nothing. `layouts.py`
tells what the dict holds, `inventory.py` looks through whole trees of unrelated files.
"""

from __future__ import annotations

import re
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..disk.documents import read_json
from ..disk.looking import file_there
from ..disk.names import is_text
from ..disk.structure import StructureError, walk
from ..start import command
from .layouts import CheckpointError
from .other_files import ASK, TO_TENSORS, what_else
from .unwrapping import unwrapped

__all__ = ["CheckpointError", "is_mapped", "read_state_dict", "shards_of", "what_else"]

SAFE_TORCH = (2, 10)
"""First torch whose `weights_only` keeps its promise: below 2.6 a file could run code (CVE-2025-32434), below 2.10
overwrite memory (CVE-2026-24747)."""

_loading = threading.Lock()  # torch keeps one list of allowed objects a process
_SKIPPED = ("optimizer", "scheduler", "scaler", "lr_scheduler")
# Last words of the names that torch gives to the tensors of a network.
_TENSOR_NAMES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
_LONGEST_HEADER = 100_000_000  # bytes, by the format; eight letters of a JSON text would be far more
_INDEX = {"weight_map": {str: str}}
# Numbers and settings that training scripts leave beside the weights. Their places are taken by a thing that does
# nothing: neither numpy nor the script's own classes are ever called with what a file says.
_INERT = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct", "numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer",
    "numpy.ndarray", "numpy.dtype", "_codecs.encode", "argparse.Namespace",
)  # fmt: skip
_ARRAYS = tuple(name for name in _INERT if name.endswith(("_reconstruct", "_frombuffer")))


def read_state_dict(path: Path | str, inside: str | None = None) -> dict[str, Tensor]:
    """Tensors of a weight file by flat key.

    Nested dicts are flattened with dots (`warping_*.pth` becomes `tps.*` and `refinement.*`), optimiser
    states and plain numbers are dropped, what a training put around names and weights is undone (`unwrapping.py`).

    Args:
        path: safetensors, an archive of torch (`.pth`, `.pt`, `.bin`, `.ckpt`), or the index (JSON) of a model that
            diffusers or transformers split over several files; told by content, not by name.
        inside: the key whose content is meant, in a file that holds a network twice (`ema`).

    Raises:
        FileNotFoundError: no such file.
        CheckpointError: truncated, not a weight file, holds something other than tensors, or a network twice; or
            torch is too old to read an archive safely.

    Source: published §7.
    """
    path = Path(path)
    if not file_there(path):
        raise FileNotFoundError(f"there is no weight file {path}.")
    tensors = _read_any(path)
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors. {ASK}")
    return unwrapped(tensors, path, inside)


def is_mapped(path: Path | str) -> bool:
    """Whether `read_state_dict` leaves a file's tensors on the disk until they are used.

    Only torch archives from before 2020 (torch 1.5), and ones that are named `.safetensors`, are read whole.
    """
    path = Path(path)
    return _is_safetensors(path) or _is_index(path) or _can_be_mapped(path)


def shards_of(path: Path) -> list[str]:
    """Names of the files an index stands for.

    Raises:
        CheckpointError: it is no index.
    """
    try:
        document = read_json(path, shape=_INDEX, expected="the index of a split model; download it again")
    except ValueError as error:
        raise CheckpointError(f"{path} is a JSON file but not the index of a split model: {error}") from error
    return sorted(set(document["weight_map"].values()))


def _read_any(path: Path) -> dict[str, Tensor]:
    if other := what_else(path):
        raise CheckpointError(f"{path} {other}.")
    if _is_index(path):
        return _read_index(path)
    return _read_one(path)


def _read_one(path: Path) -> dict[str, Tensor]:
    tensors = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or tensor.is_complex():
            raise CheckpointError(f"{path}: {name} is sparse, quantised, complex or without values; no plain tensor.")
    return tensors


def _is_index(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"{" and not _is_safetensors(path)


def _read_index(path: Path) -> dict[str, Tensor]:
    """All files an index names, as one dict."""
    names = shards_of(path)
    tensors: dict[str, Tensor] = {}
    for name in names:
        shard = path.parent / name
        if Path(name).name != name or not file_there(shard):  # an index names files beside it, nothing elsewhere
            raise CheckpointError(f"{path} names the file {name}, which is not beside it; download all {len(names)}.")
        if other := what_else(shard):
            raise CheckpointError(f"{shard} {other}.")
        if _is_index(shard):  # itself, or one that leads back
            raise CheckpointError(f"{path} names {name}, which is an index again and no weight file; download both.")
        tensors |= _read_one(shard)
    return tensors


def _is_safetensors(path: Path) -> bool:
    """Whether a JSON header follows the 8 bytes of its length; a file that is neither kind goes by its name."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") <= _LONGEST_HEADER:
        return True
    return path.suffix == ".safetensors" and not start.startswith((b"PK", b"\x80", b"{"))  # zip, pickle, JSON


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load, load_file

    try:
        return load_file(path) if is_text(str(path)) else load(path.read_bytes())
    except Exception as error:  # the header may claim anything: KeyError for an unknown number format, for one
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as safetensors ({_first_line(error)}). "
            "It is probably cut short or not a safetensors file; download it again."
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    _require_safe_torch(path)
    try:
        mapped = _can_be_mapped(path) and is_text(str(path))  # libraries open no name that is no text
        with path.open("rb") as file, _inert_objects():
            content = torch.serialization.load(  # not torch.load, in whose place other packs put ones that unpickle
                path if mapped else file, map_location="cpu", weights_only=True, mmap=mapped
            )
        content = _tensors_of(content, path)
    except CheckpointError:
        raise
    except UnpicklingError as error:
        raise _not_plain(path, error) from _without_advice(error)
    except StructureError as error:
        raise CheckpointError(f"{path} is no weight file: {error}.") from error
    except Exception as error:  # damaged bytes lead torch's reader anywhere, AssertionError and MemoryError included
        raise CheckpointError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a torch archive ({_first_line(error)}). "
            "It is probably cut short or not a weight file; download it again."
        ) from (_without_advice(error) if "weights_only" in str(error) else error)
    return content


def _tensors_of(content: Any, path: Path) -> dict[str, Tensor]:
    """The tensors by dotted name; what else lies there is dropped when it cannot be meant as weights."""
    if isinstance(content, list | tuple):  # (weights, epoch)
        mappings = [entry for entry in content if isinstance(entry, Mapping)]
        content = mappings[0] if len(mappings) == 1 else content
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a value of the type {type(content).__name__}; names with tensors were expected. {ASK}"
        )
    values = dict(walk(content, skip=_SKIPPED))
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    arrays = [name for name, value in values.items() if isinstance(value, _InertArray)]
    if meant := [name for name in arrays if not tensors or name.rpartition(".")[2] in _TENSOR_NAMES]:
        raise CheckpointError(
            f"{path} holds {len(meant)} of its weights as numpy arrays, e.g. {meant[0]}, which are not loaded; "
            f"{TO_TENSORS}."
        )
    if not tensors:
        found = ", ".join(f"{key} ({_called(value)})" for key, value in list(content.items())[:5])
        raise CheckpointError(f"{path} holds no tensors by name{f', only {found}' if found else ''}. {ASK}")
    return tensors


def _called(value: Any) -> str:
    kind = "array" if isinstance(value, _InertArray) else type(value).__name__
    return f"{kind} of {len(value)}" if isinstance(value, Mapping | list | tuple | str) else kind


class _Inert:
    """Takes the place of what a file wants to build and the pack has no use for."""

    def __new__(cls, *_args: Any, **_options: Any) -> _Inert:
        return object.__new__(cls)

    def __setstate__(self, _state: Any) -> None:
        pass


class _InertArray(_Inert):
    """In place of an array of numpy."""


@contextmanager
def _inert_objects() -> Iterator[None]:
    """Inside, nothing beside tensors is built: what ComfyUI or other packs allowed for their files does not count.

    Nor does torch say which pickle protocols it would rather have: a file is read, or refused in our words.
    """
    with _loading, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
        before = torch.serialization.get_safe_globals()
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals([(_InertArray if name in _ARRAYS else _Inert, name) for name in _INERT])
        try:
            yield
        finally:
            torch.serialization.clear_safe_globals()
            torch.serialization.add_safe_globals(before)


def _require_safe_torch(path: Path) -> None:
    numbers = re.match(r"(\d+)\.(\d+)", torch.__version__)
    if numbers and (int(numbers[1]), int(numbers[2])) < SAFE_TORCH:
        wanted = ".".join(map(str, SAFE_TORCH))
        raise CheckpointError(
            f"{path} is an archive of torch, which torch {torch.__version__} cannot read without the danger that the "
            f"file runs code (CVE-2025-32434, CVE-2026-24747). Update torch to {wanted} or newer, or convert the file "
            f"where that is installed: {command('checkpoints convert FILE.pth FILE.safetensors')}"
        )


def _not_plain(path: Path, error: UnpicklingError) -> CheckpointError:
    """What stands in the way, in our words: torch's own end in advice to switch the protection off."""
    named = re.search(r"(?:GLOBAL|global|class|function) `?([\w.]+)`?", str(error))
    found = named[1] if named else ""
    if "." not in found:
        return CheckpointError(
            f"{path} is not a plain weight archive: it is damaged, not a torch file at all, or holds Python objects "
            "other than tensors, which are not loaded because they could run code. Download it again."
        )
    return CheckpointError(
        f"{path} holds the Python object {found} beside tensors. It is not loaded: such objects could run code. {ASK}"
    )


def _without_advice(error: Exception) -> UnpicklingError:
    """The cause as it is chained: what torch found, without how to switch its protection off."""
    found = [line for line in str(error).splitlines() if "GLOBAL" in line or "Unsupported" in line]
    text = re.sub(r"\x1b\[[0-9;]*m", "", found[0] if found else "weights only load failed")
    text = re.split(r"Please use|We recommend|but the|\(1\)", text)[0].strip()
    return UnpicklingError(text[:200]).with_traceback(error.__traceback__)


def _can_be_mapped(path: Path) -> bool:
    # Given the name of an archive that is called *.safetensors, torch would read it as such.
    return zipfile.is_zipfile(path) and path.suffix != ".safetensors"


def _first_line(error: BaseException) -> str:
    """What a reader found, without the advice that follows."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    text = re.split(r"\.\s|\n|, please |Cannot use ``weights_only", f"{text} ", maxsplit=1)[0].strip()
    return text[:200] or type(error).__name__


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
