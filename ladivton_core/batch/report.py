"""The contact sheet of a run: one HTML page, errors first, then pictures by person, each with its garment.

Pictures are linked where they lie, so the page belongs into the run's folder; people and garments are small copies in
the page itself. `report.html` is the template; every name in it is escaped.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..disk.addresses import local_file
from ..disk.names import hide_secrets
from ..disk.pages import picture_address, render
from ..disk.store import Store
from .index import Index
from .items import Manifest

log = logging.getLogger(__name__)

PAGE = "index.html"
MOST_ERRORS, MOST_PICTURES, MOST_COPIES = 500, 600, 300
COPY_HEIGHT = 160


def write_page(store: Store, manifest: Manifest, index: Index) -> None:
    """Write `index.html` into the run's folder.

    Raises:
        OSError: no room is left.
    """
    store.write(PAGE, render_page(manifest, index.rows).encode("utf-8", "backslashreplace"))


def render_page(manifest: Manifest, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of the manifest's items, as far as the index knows them."""
    told = [(item, rows[item.id]) for item in manifest.items if item.id in rows]
    failed = [(item, row) for item, row in told if row["error"] is not None]
    made = [(item, row) for item, row in told if row["error"] is None]
    counted = [f"{len(made)} pictures", f"{len(failed)} errors" if failed else "no errors"]
    if len(told) < len(manifest.items):
        counted.append(f"{len(manifest.items) - len(told)} not made yet")
    shown = made
    if len(made) > MOST_PICTURES:
        shown = [made[place * len(made) // MOST_PICTURES] for place in range(MOST_PICTURES)]
    by_person: dict[str, list] = {}
    for item, row in shown:
        by_person.setdefault(item.person, []).append((item, row))
    numbers = itertools.count(1)

    @functools.cache
    def small(file: str) -> str:
        return _copy_small(file) if next(numbers) <= MOST_COPIES else ""

    return render(
        Path(__file__).with_name("report.html"),
        title=", ".join(counted), manifest=manifest, people=by_person.items(), shown=len(shown),
        failed=failed, made=made, most_errors=MOST_ERRORS, small=small,
    )  # fmt: skip


def _copy_small(file: str) -> str:
    """A picture as a data URI of a small JPEG; empty where it cannot be read."""
    from PIL import ImageOps

    from ..disk.pictures import open_picture
    from ..preprocessing.pictures import on_white

    try:
        with local_file(file) as path:
            picture = on_white(ImageOps.exif_transpose(open_picture(path)))
    except (OSError, ValueError) as error:
        log.info("no small copy of %s: %s", hide_secrets(file), error)
        return ""
    return picture_address(picture, (COPY_HEIGHT * 2, COPY_HEIGHT))
