"""HTML pages that need nothing beside them: templates by jinja2 in which every value is escaped, and pictures in them.

`page.html` is what all pages begin with: `{% extends "page.html" %}`. A page's own template lies beside its Python.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..start import installing
from .names import printable

if TYPE_CHECKING:
    from PIL.Image import Image


def render(template: Path, **values: Any) -> str:
    """A page.

    Args:
        template: its file; it may extend `page.html` of this folder.
        values: by name; a template that asks for another one is an error.

    Raises:
        ImportError: jinja2 is missing.
    """
    try:
        import jinja2
    except ImportError as error:
        raise ImportError(f"a page needs jinja2: {installing('jinja2')}") from error

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True,
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        finalize=lambda value: value if hasattr(value, "__html__") else printable(str(value)),
    )  # fmt: skip
    return environment.get_template(template.name).render(**values)


def picture_address(picture: Image, most: tuple[int, int] | None = None, quality: int = 80) -> str:
    """A picture as a data URI of a JPEG, without anything that its file said beside the pixels.

    Args:
        picture: RGB.
        most: (width, height) it is shrunk to fit in; its own size when None.
    """
    copy = picture.copy()
    copy.info = {}
    if most:
        copy.thumbnail(most)
    buffer = io.BytesIO()
    copy.save(buffer, "JPEG", quality=quality)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
