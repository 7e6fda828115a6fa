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
from ...ladivton_core.checkpoints.inventory import LADI_FOLDER, Found, Source, look, sources
from ...ladivton_core.checkpoints.layouts import check_values
from ...ladivton_core.checkpoints.reading import read_state_dict
from ...ladivton_core.preprocessing.people.blazepose import FOLDER as POSE
from ...ladivton_core.presets import Preset
from ...ladivton_core.start import fetching
from .listing import Listed, can_be_chosen

FOLDER = LADI_FOLDER
"""Folder below ComfyUI's `models` (and key in extra_model_paths.yaml) for the published files."""

PUBLISHED = "https://github.com/miccunifi/ladi-vton/releases"
MORE_FOLDERS = {
    "unet": ("diffusion_models",), "vae": ("vae",), "text_encoder": ("text_encoders",), "vision": ("clip_vision",)
}  # fmt: skip
"""Part -> ComfyUI's own folders in which its files may lie as well."""
PUBLISHED_SETS = {"VITON-HD": "vitonhd", "Dress Code": "dresscode"}
"""What a person reads -> group of `checkpoints/sources.json`."""
STOCK = "sd2"
"""Group of `sources.json` with what every published try-on takes from others."""
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


def folders_of(part: str) -> tuple[str, ...]:
    """Folders below ComfyUI's `models` in which files of a part may lie, ours first."""
    return (FOLDER, *MORE_FOLDERS.get(part, ()))


def graph_folders() -> list[Path]:
    """Where BlazePose's graphs may lie: `pose` under every folder of models/ladi_vton."""
    return [Path(folder) / POSE for folder in folder_paths.get_folder_paths(FOLDER)]


def files_with(part: str) -> Listed:
    """Names of the files in the part's folders that hold it (`embedded.PARTS`), whatever they are called.

    Archives that would have to be read whole to be looked into are offered as well.
    """

    def offer(*folders: str) -> list[str]:
        names = {name for folder in folders for name in folder_paths.get_filename_list(folder)}
        return sorted(name for name in names if can_be_chosen(name) and _fits(part, _path(name, *folders)))

    return Listed.by(lambda file: find(part, file), offer, *folders_of(part))


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
        log.exception("LaDI-VTON cannot look into %a and does not offer it", path)
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


def weights_at(part: str, path: str) -> tuple[dict[str, Tensor], Preset]:
    """A part's tensors in the core's names, and the preset whose sizes they have.

    Everything is compared before ComfyUI fills a model with it: its own loaders leave at random what a file lacks.

    Raises:
        CheckpointError: another kind, another size, missing or surplus tensors, or values that are no numbers.
    """
    state = read_state_dict(path)
    preset = check(part, state, path)
    state = module_names(part, state, path)
    check_values(state, path)
    return state, preset


def find(part: str, file: str) -> str:
    """Full path of a model file.

    Raises:
        ValueError: no such file; the message says which file to put where, how large it is and under which licence.
    """
    folders = folders_of(part)
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
        f"with the command {' or '.join(fetching(group, folder_paths.models_dir) for group in groups)}. "
        "Then press R to refresh the lists."
    )


def files_of(group: str) -> dict[str, str]:
    """The seven files of a published try-on, by part: of their names in `sources.json`, with any ending.

    Args:
        group: `vitonhd` or `dresscode`; Stable Diffusion 2's own parts serve both.

    Raises:
        ValueError: some are not there; the message names all of them, where each belongs, and the way to get them.
    """
    wanted = {source.part: source for source in sources() if source.group in (group, STOCK)}
    there: dict[str, str] = {}
    for part, source in wanted.items():
        stem = Path(source.name).stem
        named = [source.name, *(name for name in files_with(part) if Path(name).stem == stem)]
        if path := next(filter(None, (_path(name, *folders_of(part)) for name in named)), None):
            there[part] = path
    missing = [source for part, source in wanted.items() if part not in there]
    if missing:
        names = ", ".join(source.name for source in missing)
        places = "\n".join(
            f"- {source.name} into {folder_paths.get_folder_paths(source.folder)[0]} "
            f"({source.size_in_words}; licence {source.licence}; {_page_of(source)})"
            for source in missing
        )
        raise ValueError(
            f"{len(missing)} of the {len(wanted)} model files are missing: {names}.\n"
            f"All of them at once, with ComfyUI's own Python: {fetching(f'{group} {STOCK}', folder_paths.models_dir)}\n"
            f"Or put them there yourself:\n{places}\nThen press Run again. "
            "'embedded' needs no files; files under other names load with the loader of each part."
        )
    return there


def _page_of(source: Source) -> str:
    """Where a person finds a file."""
    return PUBLISHED if source.folder == FOLDER else source.urls[0]


def fingerprint(*paths: str) -> str:
    """For `fingerprint_inputs`: another one when a file was replaced."""
    stats = [Path(path).stat() for path in paths]
    return " ".join(f"{path} {stat.st_size} {stat.st_mtime_ns}" for path, stat in zip(paths, stats, strict=True))
