"""Which files a loader may offer, where a chosen one lies, and what to say when it is not there.

A list shows what fits by content: a file's names and shapes are looked at once, never its values. `../models.py` holds
the loaders.
"""

from __future__ import annotations

import functools
import logging
from pathlib import Path

import folder_paths
from torch import Tensor

from ...ladivton_core.checkpoints.build import check, module_names
from ...ladivton_core.checkpoints.inventory import LADI_FOLDER, Found, look
from ...ladivton_core.checkpoints.layouts import check_values
from ...ladivton_core.checkpoints.reading import read_state_dict
from ...ladivton_core.checkpoints.sources import sources
from ...ladivton_core.presets import Preset
from ...ladivton_core.start import command
from .listing import Listed, can_be_chosen

FOLDER = LADI_FOLDER
"""Folder below ComfyUI's `models` (and key in extra_model_paths.yaml) for the published files."""

PUBLISHED = "https://github.com/miccunifi/ladi-vton/releases"
CHANNELS = 31
"""Input channels of the try-on UNet; Stable Diffusion's own, in the same folders, have 4 or 9."""

log = logging.getLogger(__name__)


def register_folder(name: str, endings: set[str]) -> None:
    """Tell ComfyUI about `models/<name>`, so that its own file lists and extra_model_paths.yaml cover it.

    Args:
        endings: of the files that ComfyUI lists there, beside those known before.
    """
    folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
    paths, known = folder_paths.folder_names_and_paths[name]
    folder_paths.folder_names_and_paths[name] = (paths, known | endings)


def files_with(part: str, *folders: str) -> Listed:
    """Names of the files in some model folders that hold a part (`embedded.PARTS`), whatever they are called.

    Archives that would have to be read whole to be looked into are offered as well.
    """

    def offer(*folders: str) -> list[str]:
        names = {name for folder in folders for name in folder_paths.get_filename_list(folder)}
        return sorted(name for name in names if can_be_chosen(name) and _fits(part, _path(name, *folders)))

    return Listed.by(lambda file: find(part, file, *folders), offer, *folders)


def _fits(part: str, path: str | None) -> bool:
    if path is None:  # deleted since ComfyUI made its list
        return False
    try:
        stat = Path(path).stat()
    except (OSError, ValueError):
        return False
    try:
        found = _look(path, stat.st_size, stat.st_mtime_ns)
    except Exception:  # whatever lies in that folder must not take ComfyUI's list of nodes down with it
        log.exception("LaDI-VTON cannot look into %s and does not offer it", path)
        return False
    return found.unread or (part in found.parts and (part != "unet" or found.channels == CHANNELS))


@functools.lru_cache(maxsize=4096)
def _look(path: str, size: int, modified: int) -> Found:
    """`look`, once a version of a file."""
    found = look(Path(path))
    if not found.parts:
        log.debug("LaDI-VTON does not offer %s: %s", path, found.what)
    return found


def _path(file: str, *folders: str) -> str | None:
    paths = (folder_paths.get_full_path(folder, file) for folder in folders if file)
    return next((path for path in paths if path), None)


def weights(part: str, file: str, *folders: str) -> tuple[dict[str, Tensor], Preset, str]:
    """A part's tensors in the core's names, the preset whose sizes they have, and where they were found.

    Everything is compared before ComfyUI fills a model with it: its own loaders leave at random what a file lacks.

    Raises:
        ValueError: no such file.
        CheckpointError: another kind, another size, missing or surplus tensors, or values that are no numbers.
    """
    path = find(part, file, *folders)
    state = read_state_dict(path)
    preset = check(part, state, path)
    state = module_names(part, state, path)
    check_values(state, path)
    return state, preset, path


def find(part: str, file: str, *folders: str) -> str:
    """Full path of a model file.

    Raises:
        ValueError: no such file; the message says which file to put where, how large it is and under which licence.
    """
    if path := _path(file, *folders):
        return path
    where = " or ".join(f"models/{folder}" for folder in folders)
    found = f"There is no file {file!r} in {where}." if file else f"No file is chosen: nothing in {where} fits."
    fitting_here = [source for source in sources() if source.part == part and source.folder in folders]
    # LaDI-VTON's own where there are such: the UNet of Stable Diffusion that training starts from is no try-on model.
    wanted = [source for source in fitting_here if source.folder == FOLDER] or fitting_here
    names, groups = (sorted({getattr(source, field) for source in wanted}) for field in ("name", "group"))
    published = f"from {PUBLISHED}, or " if wanted[0].folder == FOLDER else ""
    raise ValueError(
        f"{found} Put {' or '.join(names)} into {folder_paths.get_folder_paths(folders[0])[0]} "
        f"({wanted[0].size_in_words}; licence {wanted[0].licence}): {published}"
        f"with `{'` or `'.join(command(f'checkpoints download {group}') for group in groups)}`. "
        "Then press R to refresh the lists."
    )


def fingerprint(part: str, file: str, *folders: str) -> str:
    """For `fingerprint_inputs`: another one when the file was replaced."""
    stat = Path(find(part, file, *folders)).stat()
    return f"{file} {stat.st_size} {stat.st_mtime_ns}"
