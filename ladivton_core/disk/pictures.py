"""Opening a picture from anywhere: its size is looked at before a pixel is decoded, and every failure names the file.

Pillow's decoders raise a dozen kinds of errors on damaged files; here all of them become one. `colours.py` says what
the numbers mean.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .colours import say_colours, way_to_srgb
from .looking import open_file
from .names import printable

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

MAX_PIXELS = 50_331_648
"""Of a picture: 8192 x 6144, above what cameras and phones give; as float32 RGB it takes 600 MB."""

MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
"""Kinds of pixels that Pillow turns into grey and colours; not LAB, nor colours multiplied by their opacity."""

FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "PPM", "JPEG2000")
"""Pillow's decoders that are asked; others start programs (EPS runs Ghostscript) or are rarely tried."""


@functools.cache
def endings() -> tuple[str, ...]:
    """Endings of the names of pictures that are read here, in lower case with their dot: what lists offer."""
    from PIL import Image

    Image.init()
    return tuple(sorted(ending for ending, kind in Image.EXTENSION.items() if kind in FORMATS and kind in Image.OPEN))


def open_picture(
    path: Path, *, advice: str = "Save it again as PNG or JPEG", called: str = "", max_pixels: int | None = None
) -> Image:
    """A decoded picture, in its own mode.

    Args:
        advice: the way out, a sentence without its full stop, which ends the message.
        called: what the message calls the file; the path when empty.
        max_pixels: in place of `MAX_PIXELS`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no picture, damaged, not to be read, or larger than `max_pixels`.
    """
    called = printable(called or str(path))
    open_file(path, called).close()
    return decoded(path, called, advice=advice, max_pixels=max_pixels)


def decoded(
    source: Path | IO[bytes],
    called: str,
    *,
    advice: str = "Save it again as PNG or JPEG",
    max_pixels: int | None = None,
) -> Image:
    """The same of a file that is in memory, for instance; see `open_picture`."""
    from PIL import Image

    limit = max_pixels or MAX_PIXELS
    Image.init()
    try:
        with _whole():
            picture = Image.open(source, formats=[kind for kind in FORMATS if kind in Image.OPEN])
            if picture.width * picture.height <= limit:
                say_colours(picture, source)
                picture.load()
    except FileNotFoundError:
        raise
    except Image.DecompressionBombError as error:
        raise ValueError(
            f"{called} is larger than the decoder allows ({error}); at most {limit / 1e6:.0f} megapixels are read. "
            "Save a smaller copy of it."
        ) from error
    except Exception as error:  # decoders raise SyntaxError, struct.error, zlib.error, IndexError, ...
        why = printable(str(error) or type(error).__name__)
        raise ValueError(f"{called} cannot be read as a picture ({why}). {advice}.") from error
    if picture.width * picture.height > limit:
        raise ValueError(
            f"{called} has {picture.width} x {picture.height} pixels, {picture.width * picture.height / 1e6:.0f} "
            f"megapixels; at most {limit / 1e6:.0f} are read. Save a smaller copy of it."
        )
    if picture.mode not in MODES:
        raise ValueError(f"{called} has pixels of the kind {picture.mode}, which are not read. {advice}.")
    return picture


def is_srgb(path: Path) -> bool:
    """Whether the numbers of a picture file are sRGB, or taken as such: a damaged profile is. Decodes no pixel.

    Raises:
        OSError: no such file, or no picture.
    """
    from PIL import Image

    with Image.open(path, formats=[kind for kind in FORMATS if kind in Image.OPEN]) as picture:
        say_colours(picture, path)
        try:
            return way_to_srgb(picture) is None
        except Exception:  # of as many kinds as `colours_shown` knows
            return True


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Inside, Pillow refuses what is cut short, whatever another library of this process has told it."""
    from PIL import ImageFile

    global _inside, _theirs
    with _lock:
        if not _inside:
            _theirs, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                ImageFile.LOAD_TRUNCATED_IMAGES = _theirs


_lock, _inside, _theirs = threading.Lock(), 0, False
"""Of `_whole`: how many threads are in there, and what Pillow was told before the first."""


def upright(picture: Image, called: str) -> Image:
    """The picture as the camera was held, told from its EXIF data; as it lies in the file where those are damaged."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception as error:  # as many kinds as the decoders have; every viewer shows such a picture
        log.warning("%s has damaged EXIF data (%s) and is taken as it lies.", called, printable(str(error)))
        return picture
