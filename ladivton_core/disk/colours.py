"""What a picture's numbers mean, and the same picture in sRGB: colour profiles, and what stands in their place.

PNG has four ways to say it and AVIF two. They count in the order of the PNG specification (third edition): code points
(cICP), a profile (iCCP), sRGB, then primaries and gamma (cHRM, gAMA); in AVIF a profile counts first.
"""

from __future__ import annotations

import io
import logging
import re
import struct
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from .names import printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

log = logging.getLogger(__name__)

DESCRIBED = ("icc_profile", "cicp", "srgb", "gamma", "chromaticity")
"""Keys of a Pillow picture's `info` that say what its numbers mean; all of them go once they are applied."""

_HEAD = 1 << 20
"""Bytes of a file in which code points are looked for: they stand before the pixels."""
_POINTS = {"PNG": rb"\x00\x00\x00\x04cICP(.)(.)", "AVIF": rb"colrnclx\x00(.)\x00(.)", "JPEG2000": rb"colr[\x02\x03].."}

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: (*_D65, 0.640, 0.330, 0.300, 0.600, 0.150, 0.060),
    5: (*_D65, 0.640, 0.330, 0.290, 0.600, 0.150, 0.060),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
"""x and y of white, red, green and blue by ITU-T H.273's number; 1 is sRGB's, 12 Display P3's."""
_SRGB_CURVES = (1, 2, 6, 13, 14, 15)
"""Transfer characteristics of H.273 that viewers show as sRGB's: its own, unknown, and those of video."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_HIGH_RANGE = {16: "PQ", 18: "HLG"}


def say_colours(picture: Image, source: Path | IO[bytes]) -> None:
    """Enter what Pillow passes over into a picture's `info`: code points (H.273's numbers for primaries and transfer)
    where they count, and the profile of JPEG 2000.

    Args:
        picture: opened by Pillow, not decoded yet.
        source: what it was opened from; a stream stays where it is.
    """
    if picture.format not in _POINTS or (picture.format == "AVIF" and "icc_profile" in picture.info):
        return
    if isinstance(source, Path):
        with source.open("rb") as file:
            head = file.read(_HEAD)
    else:
        place = source.tell()
        source.seek(0)
        head = source.read(_HEAD)
        source.seek(place)
    found = re.search(_POINTS[picture.format], head.partition(b"IDAT")[0], re.DOTALL)
    if found and picture.format == "JPEG2000":
        size = int.from_bytes(head[found.end() : found.end() + 4], "big")
        picture.info.setdefault("icc_profile", head[found.end() : found.end() + size])
    elif found:
        picture.info["cicp"] = found[1][0], found[2][0]


def colours_shown(picture: Image, called: str) -> Image:
    """The picture in sRGB, as a viewer shows it; unchanged where its file says nothing else of its colours.

    CMYK becomes RGB, and opacity stays. For pictures only: the numbers of label pictures are no colours. A profile that
    is damaged, or of another kind of pixels, is ignored with a word, as viewers do.

    Raises:
        ValueError: the picture has a high dynamic range (PQ or HLG), whose numbers are not brightness as shown.
    """
    from PIL import ImageCms

    curve = _HIGH_RANGE.get(picture.info.get("cicp", (0, 0))[1])
    if curve:
        raise ValueError(f"{called} has a high dynamic range ({curve}), which is not read. Save it again as sRGB.")
    try:
        found = way_to_srgb(picture)
        if found is None:
            return picture
        way, mode = found
        if picture.mode in ("P", "PA"):
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        rgba = picture.convert("RGBA") if picture.has_transparency_data else None
        shown = ImageCms.applyTransform(picture.convert(mode), way)
    except Exception as error:  # as many kinds as LittleCMS and Pillow have
        log.warning(
            "%s has a colour profile that cannot be used (%s); its colours are taken as sRGB.",
            called,
            printable(str(error) or type(error).__name__),
        )
        return picture
    if rgba is not None:
        shown.putalpha(rgba.getchannel("A"))
    shown.info = {key: value for key, value in picture.info.items() if key not in (*DESCRIBED, "transparency")}
    return shown


def way_to_srgb(picture: Image) -> tuple[ImageCmsTransform, str] | None:
    """What turns a picture's numbers, in the mode that comes with it, into sRGB; None where they are. Decodes no pixel.

    Raises:
        Exception: of many kinds, where the profile is damaged or for other pixels.
    """
    from PIL import ImageCms

    profile = _profile_of(picture)
    if not profile:
        return None
    own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = own.profile.xcolor_space.strip()
    mode = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space)
    kinds = {"RGB": ("RGB", "RGBA", "RGBX", "YCbCr", "P", "PA"), "L": ("1", "L", "LA"), "CMYK": ("CMYK",)}
    if picture.mode not in kinds.get(mode, ()):
        raise ValueError(f"it is for {space} and the pixels are {picture.mode}")
    way = ImageCms.buildTransform(own, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode != "CMYK" and _alike(probe := _probe(), ImageCms.applyTransform(probe.convert(mode), way), mode):
        return None
    return way, mode


def colours_of_file(shown: np.ndarray, picture: Image, called: str) -> tuple[np.ndarray, bytes | None]:
    """A changed copy of a picture in the colours of the picture's own file, which may hold more than sRGB.

    Args:
        shown: (H, W, 3) uint8 in sRGB: the picture as `colours_shown` gives it, changed in places.
        picture: as its file has it, upright.
        called: what messages call the file.

    Returns:
        The picture's own numbers where nothing was changed and the changes in its colours, with the profile that says
        so; `shown` and None where the file is sRGB, not RGB, or of another size.
    """
    from PIL import Image, ImageCms

    if picture.mode != "RGB" or picture.has_transparency_data or picture.size != shown.shape[1::-1]:
        return shown, None
    before = colours_shown(picture, called)
    if before is picture:
        return shown, None
    profile = _profile_of(picture)
    try:
        way = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), io.BytesIO(profile), "RGB", "RGB")
    except ImageCms.PyCMSError as error:
        log.warning("%s has a colour profile that knows no way back (%s); the result is sRGB.", called, error)
        return shown, None
    there = np.asarray(ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(shown)), way))
    changed = (np.asarray(before) != shown).any(-1, keepdims=True)
    return np.where(changed, there, np.asarray(picture)), profile


def _profile_of(picture: Image) -> bytes | None:
    """The file's colour profile, or one of what the file says in its place; None where that is sRGB or nothing.

    Raises:
        ValueError: numbers that are nobody's.
    """
    said = picture.info
    profile, points = said.get("icc_profile"), said.get("cicp")
    grey = picture.mode in ("1", "L", "LA")
    if points:
        primaries, transfer = points
        gamma = None if transfer in _SRGB_CURVES else _GAMMAS.get(transfer)
        if primaries != 2 and primaries not in _PRIMARIES or gamma is None and transfer not in _SRGB_CURVES:
            raise ValueError(f"its code points {primaries} and {transfer} are unknown")
        if primaries in (1, 2) and gamma is None:
            return None
        return _make_profile(_PRIMARIES[1 if primaries == 2 else primaries], gamma, grey)
    if profile or "srgb" in said or not said.get("gamma"):
        return profile
    gamma = 1 / said["gamma"]
    # what most programs write for sRGB, whose curve it comes near
    return _make_profile(said.get("chromaticity", _PRIMARIES[1]), None if abs(gamma - 2.2) < 0.1 else gamma, grey)


def _make_profile(places: tuple[float, ...], gamma: float | None, grey: bool) -> bytes:
    """An ICC profile.

    Args:
        places: x and y of white, red, green and blue.
        gamma: of the curve; None is sRGB's.
        grey: of one channel, for which the primaries do not count.

    Source: ICC.1:2010 (parametric curves of section 10.16, adaptation of annex E).
    """
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in zip(places[::2], places[1::2], strict=True)])
    white, columns = xyz[0], xyz[1:].T
    adapted = np.linalg.solve(_BRADFORD, np.diag(_BRADFORD @ _D50 / (_BRADFORD @ white)) @ _BRADFORD)
    matrix = adapted @ columns * np.linalg.solve(columns, white)
    if gamma is None:
        curve = _numbers(b"para", (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045), b"\0\3\0\0")
    else:
        curve = _numbers(b"para", (gamma,), b"\0\0\0\0")
    tags = {b"wtpt": _numbers(b"XYZ ", _D50)}
    for letter, column in zip((b"r", b"g", b"b"), matrix.T, strict=True):
        tags |= {b"kTRC": curve} if grey else {letter + b"XYZ": _numbers(b"XYZ ", column), letter + b"TRC": curve}
    place, table, body = 132 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += name + struct.pack(">II", place + len(body), len(content))
        body += content
    head = struct.pack(">I4xI4s4s4s12x4s28x", place + len(body), 0x04300000, b"mntr", b"GRAY" if grey else b"RGB ",
                       b"XYZ ", b"acsp")  # fmt: skip
    return (head + _numbers(b"", _D50)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def _numbers(kind: bytes, values: tuple[float, ...] | np.ndarray, form: bytes = b"") -> bytes:
    """A tag of ICC's fixed-point numbers."""
    fixed = struct.pack(f">{len(values)}i", *(round(float(value) * 65536) for value in values))
    return (kind + b"\0\0\0\0" if kind else b"") + form + fixed


def _probe() -> Image:
    """Colours from all over, 9 levels a channel."""
    from PIL import Image

    levels = [round(step * 255 / 8) for step in range(9)]
    probe = Image.new("RGB", (27, 27))
    probe.putdata([(red, green, blue) for red in levels for green in levels for blue in levels])
    return probe


def _alike(before: Image, after: Image, mode: str) -> bool:
    """Whether a profile changes no colour by more than rounding: sRGB by any name, to the bit as it was."""
    from PIL import ImageChops

    change = ImageChops.difference(before.convert(mode).convert("RGB"), after)
    return max(high for _, high in change.getextrema()) <= 2
