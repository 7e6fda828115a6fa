"""The contact sheet of a run: one HTML page, errors first, then pictures by person, each with its garment.

Pictures are linked where they lie, so the page belongs into the run's folder; people and garments are small copies in
the page itself. Every name in it is escaped.
"""

from __future__ import annotations

import base64
import html
import io
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from ..disk.names import printable
from .addresses import local_file
from .index import Index
from .items import Item, Manifest
from .store import Store

log = logging.getLogger(__name__)

PAGE = "index.html"
MOST_ERRORS, MOST_PICTURES, MOST_COPIES = 500, 600, 300
COPY_HEIGHT = 160


def write_page(store: Store, manifest: Manifest, index: Index) -> None:
    """Write `index.html` into the run's folder.

    Raises:
        OSError: no room is left.
    """
    store.write(PAGE, html_page(manifest, index.rows).encode("utf-8", "backslashreplace"))


def html_page(manifest: Manifest, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of the manifest's items, as far as the index knows them."""
    told = [(item, rows[item.id]) for item in manifest.items if item.id in rows]
    failed = [(item, row) for item, row in told if row["error"] is not None]
    made = [(item, row) for item, row in told if row["error"] is None]
    missing = len(manifest.items) - len(told)
    counted = [f"{len(made)} pictures", f"{len(failed)} errors" if failed else "no errors"]
    if missing:
        counted.append(f"{missing} not made yet")
    shown = _spread(made, MOST_PICTURES)
    copies = _Copies()
    parts = [f"<h1>{_e(', '.join(counted))}</h1>"]
    if failed:
        parts.append(_errors(failed))
    parts += [_person(manifest, person, group, copies) for person, group in _by_person(shown)]
    if len(shown) < len(made):
        parts.append(f"<p>{len(shown)} of {len(made)} pictures are shown, spread evenly; index.parquet lists all.</p>")
    if made:
        parts.append(_how(made[0][1]))
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{_e(', '.join(counted))}</title>"
        f'<meta name=viewport content="width=device-width"><style>{_STYLE}</style></head>\n<body>'
        + "\n".join(parts)
        + "</body></html>\n"
    )


def _errors(failed: list[tuple[Item, Mapping[str, Any]]]) -> str:
    lines = "".join(
        f"<tr><td>{_e(item.id)}<td>{_e(row['error'])}<td>{_e(row['error_file'] or '')}<td>{_e(item.where)}</tr>"
        for item, row in failed[:MOST_ERRORS]
    )
    rest = f"<p>{len(failed) - MOST_ERRORS} more are in index.parquet.</p>" if len(failed) > MOST_ERRORS else ""
    head = "<tr><th>item<th>what is wrong<th>file<th>manifest</tr>"
    return (
        "<section class=errors><h2>Errors</h2><p>Mend the files, then run the same command with --retry-errors.</p>"
        f"<div class=wide><table><thead>{head}</thead><tbody>{lines}</tbody></table></div>{rest}</section>"
    )


def _person(manifest: Manifest, name: str, group: list[tuple[Item, Mapping[str, Any]]], copies: _Copies) -> str:
    """One person in everything."""
    cards = "".join(_card(manifest, item, row, copies) for item, row in group)
    photo = copies.picture(manifest.persons[name].photo, f"photo of {name}")
    return f"<section><h2>{_e(name)}</h2><div class=row><figure class=source>{photo}</figure>{cards}</div></section>"


def _card(manifest: Manifest, item: Item, row: Mapping[str, Any], copies: _Copies) -> str:
    garment = copies.picture(manifest.garments[item.garment].picture, f"picture of {item.garment}")
    check = "" if row["check"] is None else f"check {row['check']:.2f}<br>"
    address = _e(quote(item.file))
    return (
        f"<figure><a href='{address}'><img loading=lazy src='{address}' alt='{_e(item.person)} in {_e(item.garment)}'>"
        f"</a><span class=small>{garment}</span><figcaption>{_e(item.garment)}"
        f"<br><small>{check}seed {item.seed}</small></figcaption></figure>"
    )


def _how(row: Mapping[str, Any]) -> str:
    told = f"{_e(row['settings'])}\n{_e(row['models'])}"
    return f"<details><summary>settings and models</summary><pre>{told}</pre></details>"


def _by_person(made: Iterable[tuple[Item, Mapping[str, Any]]]) -> list[tuple[str, list]]:
    groups: dict[str, list] = {}
    for item, row in made:
        groups.setdefault(item.person, []).append((item, row))
    return [*groups.items()]


def _spread(things: list, most: int) -> list:
    return things if len(things) <= most else [things[place * len(things) // most] for place in range(most)]


class _Copies:
    """Small pictures of people and garments as data URIs, each made once, up to a number."""

    def __init__(self) -> None:
        self._made: dict[str, str] = {}

    def picture(self, file: str, what: str) -> str:
        """An `img`, or nothing where the file cannot be read or there are too many."""
        if file not in self._made:
            self._made[file] = self._copy(file) if len(self._made) < MOST_COPIES else ""
        address = self._made[file]
        return f"<img src='{address}' alt='{_e(what)}'>" if address else ""

    def _copy(self, file: str) -> str:
        from PIL import ImageOps

        from ..disk.pictures import open_picture
        from ..preprocessing.pictures import on_white

        try:
            with local_file(file) as path:
                picture = on_white(ImageOps.exif_transpose(open_picture(path)))
        except (OSError, ValueError) as error:
            log.info("no small copy of %s: %s", file, error)
            return ""
        picture.thumbnail((COPY_HEIGHT * 2, COPY_HEIGHT))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=80)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _e(value: Any) -> str:
    return html.escape(printable(str(value)), quote=True)


_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 80rem; margin: 2rem auto; padding: 0 1rem; }
h2 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
.row { display: flex; flex-wrap: wrap; gap: .8rem; align-items: flex-start; }
figure { margin: 0; width: 168px; position: relative; }
figure img { width: 100%; height: auto; display: block; border-radius: 4px; }
.source { width: 120px; opacity: .9; }
.small { position: absolute; right: 4px; top: 4px; width: 44px; box-shadow: 0 0 3px #0008; }
figcaption { overflow-wrap: anywhere; line-height: 1.3; padding-top: .2rem; }
small { opacity: .7; }
.errors { border-left: 4px solid #c33; padding-left: .8rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #8884; }
td { overflow-wrap: anywhere; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
"""
