"""People and garments from their files to what the models take: the steps of the workflows, without ComfyUI.

With a parse map it is the paper's way (`tryon_embedded` with the photo fitted): the whole photo at the models' size.
Without one it is the photo's way (`tryon_photo`, `tryon_photo_pose_nodes`): found, framed, masked by joints, and the
result goes back into the photo. Garments are cut out and centred for photographs on models that ask for it, and else
fitted, which leaves a garment on white of the data sets' proportions as it is. docs/photos.md.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..disk.addresses import local_file
from ..disk.documents import read_json
from ..disk.names import hide_secrets_in
from ..finishing.detail import garment_detail
from ..finishing.editing import bring_back
from ..preprocessing import prepare
from ..preprocessing.checks import Finding, check_garment
from ..preprocessing.framing.fitting import Fit, fit_image
from ..preprocessing.garment.backdrop import centred_on_white, ground_to_white
from ..preprocessing.garment.collar import inside_of_collar
from ..preprocessing.garment.garment import garment_on_white
from ..preprocessing.label_pictures import read_labels
from ..preprocessing.labels import LABEL_SETS
from ..preprocessing.people.finder import PersonFinder, largest
from ..preprocessing.pictures import over_white, read_picture
from ..preprocessing.pose.keypoint_files import pose_frames
from ..preprocessing.pose.keypoints import DRESSCODE_FRAME, VITONHD_FRAME, pose_document
from ..preprocessing.prepare import FramedPerson
from .items import Garment, Person

log = logging.getLogger(__name__)

FRAMES = {"picture": None, "vitonhd": VITONHD_FRAME, "dresscode": DRESSCODE_FRAME}
FEATHER = 3
"""Pixels over which a result is blended into its photo, as in `tryon_photo`."""


class FileError(ValueError):
    """A file that will not do.

    Attributes:
        file: path or address of it.
    """

    def __init__(self, message: str, file: str) -> None:
        super().__init__(hide_secrets_in(message), file)
        self.file = file

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class PreparedPerson:
    """A person, ready to be encoded.

    Attributes:
        framed: as the models see them.
        findings: what speaks against the photo.
        fit: how it was framed, and `photo` (3, h, w) uint8 it goes back into; None where the result is the picture.
        keypoints: one document, in pixels of `person`.
    """

    framed: FramedPerson
    findings: list[Finding]
    fit: Fit | None = None
    photo: Tensor | None = None
    keypoints: list[dict] | None = None


@dataclass(frozen=True)
class PreparedGarment:
    """A garment, ready to be encoded.

    Attributes:
        garment: (1, 3, H, W) in [-1, 1], on white.
        findings: what speaks against its picture.
        large: the same in the pixels of its picture (3, n H, n W) uint8, where that was asked for.
    """

    garment: Tensor
    findings: list[Finding]
    large: Tensor | None = None


def prepare_person(
    person: Person, category: str, size: tuple[int, int], finder: Callable[[], PersonFinder]
) -> PreparedPerson:
    """Read a person's files.

    Args:
        category: what they will wear; the mask depends on it.
        size: (height, width) of the result.
        finder: gives BlazePose; asked only where joints are missing.

    Raises:
        FileError: a file is not there, damaged, or shows nobody; names it.
        FileNotFoundError, ImportError: BlazePose cannot be had; says the command that mends it.
    """
    photo = _photo(person.photo)
    source = (photo.shape[-2], photo.shape[-1])
    published = person.parse_map is not None
    painted = None if published or person.mask is None else _mask(person.mask, source)
    keypoints, silhouette = _keypoints(person, photo, source, finder)
    parse, labels = None, LABEL_SETS[person.label_set]
    if published:
        with _blaming(person.parse_map), local_file(person.parse_map) as path:
            parse = read_labels(path, labels)
    with _blaming(person.keypoints or person.photo):
        made = prepare.prepare_person(
            photo, keypoints, category, size, parse_map=parse, labels=labels, garment_mask=painted,
            silhouette=silhouette,
        )  # fmt: skip
    if not made.framed.mask.any():
        raise FileError(
            f"{person.parse_map}: it shows no {category} garment, so nothing would be repainted. Check 'label_set' "
            "and 'category'", person.parse_map,
        )  # fmt: skip
    fit, back_into = (None, None) if published else (made.fit, (photo * 255).round().byte())
    return PreparedPerson(made.framed, made.findings, fit, back_into, made.keypoints)


def prepare_garment(
    garment: Garment, size: tuple[int, int], *, centre: bool = False, open_collar: bool = False, large: bool = False
) -> PreparedGarment:
    """Read a garment's files.

    Args:
        size: (height, width) of the result.
        centre: cut out and centred, see `centred_on_white`; else fitted whole.
        open_collar: without the inside of its back, see `inside_of_collar`.
        large: also in as many pixels as its picture has.

    Raises:
        FileError: a file is not there or damaged; names it.
    """
    pixels = _photo(garment.picture)
    if garment.mask is not None:
        soft = _soft_mask(garment.mask, (pixels.shape[-2], pixels.shape[-1]))
        pixels = (garment_on_white(pixels[None] * 2 - 1, soft[None, None])[0] + 1) / 2
    with _blaming(garment.picture):
        white = ground_to_white(pixels)
        shown = pixels if white is None else white
        findings = check_garment(shown)
        if open_collar:
            shown = shown.masked_fill(inside_of_collar(shown[None])[0] > 0, 1.0)
        plan, many = Fit.plan((shown.shape[-2], shown.shape[-1]), size), None
        if large and centre:
            many = centred_on_white(shown, size, times=plan.times)
        elif large:
            many = plan.enlarged(plan.times).apply(shown[None], fill=1.0)[0]
        if centre:
            shown = centred_on_white(shown, size)
        garment = fit_image(shown[None] * 2 - 1, size, "pad", fill=1.0)[0]
        return PreparedGarment(garment, findings, None if many is None else (many * 255).round().byte())


def into_photo(
    result: Tensor, fit: Fit, photo: Tensor, mask: Tensor, *, garment: Tensor | None = None,
    grid: Tensor | None = None, laid: bool = False, **asked: Any,
) -> Tensor:  # fmt: skip
    """A result (3, H, W) in [0, 1] back in its photo (3, h, w) uint8, as `tryon_photo` does it; in [0, 1].

    Args:
        mask: (1, 1, H, W); only there the result is taken.
        garment: `PreparedGarment.large`, which gives the result its detail; None leaves it.
        grid, laid: the spline (H, W, 2) that hung it, and whether the result shows it just there, see `garment_detail`.
        asked: `register`, `only_changed`, `person` and `say` of `bring_back`, for results of other models.
    """
    back = {"mask": mask[0].cpu(), "feather": FEATHER, "match_colour": True}
    made, taken = bring_back(result.cpu(), photo.float() / 255, fit, **back, **asked)
    if garment is None:
        return made
    spline = None if grid is None else grid.cpu()
    return garment_detail(made, garment.float() / 255, fit, spline=spline, region=taken, laid=laid)[0]


def _keypoints(
    person: Person, photo: Tensor, source: tuple[int, int], finder: Callable[[], PersonFinder]
) -> tuple[list[dict], Tensor | None]:
    """Joints in pixels of the photo, and the silhouette (h, w) of the largest person where they were found in it."""
    if person.keypoints is not None:
        with _blaming(person.keypoints), local_file(person.keypoints) as path:
            document = read_json(path, called=path.name, expected="the joints of one picture, from a pose detector")
            return pose_frames(document, path.name, FRAMES[person.coordinates])[:1], None
    find = finder()
    with _blaming(person.photo):
        found = find(photo)
    if not found:
        raise FileError(
            f"{person.photo} shows nobody: BlazePose looks for a head with a body below it. Take another photo, or "
            "give the joints in a column 'keypoints'", person.photo,
        )  # fmt: skip
    one = found[largest(found)]
    if one.headless:
        log.warning(
            "%s shows no head: its joints are guesses, good enough for most trousers and skirts, seldom for tops and "
            "dresses. Joints of another pose detector go into a column 'keypoints'.", person.photo,
        )  # fmt: skip
    document = pose_document(torch.stack([one.points for one in found]), source)
    return [document], (one.silhouette >= 0.5).float()


def _photo(file: str) -> Tensor:
    """Colours (3, H, W) in [0, 1], transparency laid over white."""
    with _blaming(file), local_file(file) as path:
        colours, opaque = read_picture(path)
    return over_white(torch.cat([colours, opaque])) if bool((opaque < 1).any()) else colours


def _soft_mask(file: str, size: tuple[int, int]) -> Tensor:
    """Grey values (H, W) in [0, 1] of a mask of a picture of `size`."""
    grey = _photo(file).mean(0)
    if tuple(grey.shape) != size:
        raise FileError(
            f"{file} is {grey.shape[0]} x {grey.shape[1]} and its picture {size[0]} x {size[1]} (height x width); "
            "a mask has the size of its picture", file,
        )  # fmt: skip
    return grey


def _mask(file: str, size: tuple[int, int]) -> Tensor:
    mask = (_soft_mask(file, size) >= 0.5).float()
    if not mask.any():
        raise FileError(f"{file} is black all over; white is where the worn garment is", file)
    return mask


@contextlib.contextmanager
def _blaming(file: str) -> Iterator[None]:
    """Turn what a reader raises into a FileError that names the file as the manifest does."""
    try:
        yield
    except FileError:
        raise
    except (OSError, ValueError) as error:
        text = str(error)
        raise FileError(text if file in text else f"{file}: {text}", file) from error


def finder_in(folders: tuple[str, ...], threads: int = 1) -> Callable[[], PersonFinder]:
    """BlazePose from the first of some folders that holds it, loaded when first asked for."""
    return functools.cache(lambda: PersonFinder([Path(folder) for folder in folders], threads))
