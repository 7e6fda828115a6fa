"""Where nodes, notes and groups stand: columns from left to right, with room for both ways the page draws a node.

"Nodes 2.0" draws widgets and notes larger than the classic canvas, and pictures as wide as their node; every size here
is the larger of the two. Units are the canvas's pixels at 100 %. Read `pages.py` next.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass, field

WIDTH, NOTE_WIDTH = 230, 300
TITLE, BADGE = 30, 24  # above a node: its title, and the pack's name in the classic page
GAP, PADDING, HEADER = 30, 20, 40  # between columns; between a group's frame and its nodes; a group's title
SOCKET, WIDGET, FRAME, TEXT_BOX = 20, 28, 44, 70
PROPORTION = 4 / 3  # of the models' pictures, height to width
LETTER, LINE, PARAGRAPH = 6.7, 20, 14  # of a note's text in Nodes 2.0


@dataclass(frozen=True)
class Note:
    """A text to read on the canvas, in Markdown without tables and without code, which one page draws unreadable."""

    title: str
    text: str


@dataclass(frozen=True)
class Group:
    """A frame around columns of nodes, each from top to bottom.

    Attributes:
        columns: node ids of the workflow, and notes.
        width: of every column, or one a column.
    """

    title: str
    color: str
    columns: tuple[tuple[int | Note, ...], ...]
    width: int | tuple[int, ...] = WIDTH

    def widths(self) -> tuple[int, ...]:
        return self.width if isinstance(self.width, tuple) else (self.width,) * len(self.columns)


@dataclass(frozen=True)
class Page:
    """One workflow: rows of groups, the rows below each other; `margin` stands to the left of all rows."""

    rows: tuple[tuple[Group, ...], ...]
    margin: tuple[Group, ...] = ()


@dataclass
class Placed:
    """Boxes by what they hold: [x, y, width, height]; a node's y is below its title, as ComfyUI counts."""

    nodes: dict[int, list[int]] = field(default_factory=dict)
    notes: list[tuple[Note, list[int]]] = field(default_factory=list)
    groups: list[tuple[Group, list[int]]] = field(default_factory=list)


def note_height(note: Note, width: int) -> int:
    """Room for a note's text at this width."""
    letters = int((width - 40) / LETTER)
    height = 2 * PARAGRAPH
    for paragraph in re.sub(r"\]\(\S*\)", "]", note.text).split("\n"):
        lines = textwrap.wrap(paragraph.replace("*", ""), letters - 4 * paragraph.startswith("* "))
        height += LINE * max(1, len(lines)) if paragraph else PARAGRAPH
        height += LINE * paragraph.startswith("#")
    return math.ceil(height / 10) * 10


WORDS_ONLY = "LadiVTON_CheckInputs"
"""An output node that shows no picture."""


def node_height(kind: str, definition: dict, width: int) -> int:
    """Room for a node of this type, with its pictures where it shows some.

    Args:
        kind: class type.
        definition: its entry of `/object_info`.
        width: of its column.
    """
    specs = [spec for part in ("required", "optional") for spec in definition["input"].get(part, {}).values()]
    widgets = [spec for spec in specs if is_widget(spec)]
    options = [spec[1] if len(spec) > 1 else {} for spec in widgets]
    rows = len(widgets) + sum(bool(o.get("control_after_generate") or o.get("image_upload")) for o in options)
    height = FRAME + SOCKET * max(len(specs) - len(widgets), len(definition["output"])) + WIDGET * rows
    height += TEXT_BOX * sum(bool(o.get("multiline")) for o in options)
    if (definition.get("output_node") and kind != WORDS_ONLY) or any(o.get("image_upload") for o in options):
        height += round(PROPORTION * width)
    elif "sampler" in kind.lower():  # its live preview
        height += width
    return math.ceil(height / 10) * 10


def is_widget(spec: list) -> bool:
    """Whether an input of `/object_info` is a widget rather than a socket."""
    kind, options = spec[0], spec[1] if len(spec) > 1 else {}
    return (isinstance(kind, list) or kind in ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")) and not options.get(
        "forceInput"
    )


def place(page: Page, kinds: dict[int, str], definitions: dict[str, dict]) -> Placed:
    """Boxes for everything on a page.

    Args:
        kinds: node id -> class type.
        definitions: `/object_info`.

    Raises:
        ValueError: the page leaves a node out, or has one that the workflow does not have.
    """
    placed = Placed()
    left, bottom = _row(page.margin, 0, 0, kinds, definitions, placed)
    top = 0
    for row in page.rows:
        _, bottom = _row(row, left, top, kinds, definitions, placed)
        top = bottom + GAP
    if placed.nodes.keys() != kinds.keys():
        wrong = sorted(placed.nodes.keys() ^ kinds.keys())
        raise ValueError(f"nodes {wrong} are in the page or in workflows/api/, not in both")
    return placed


def _row(groups, left: int, top: int, kinds, definitions, placed: Placed) -> tuple[int, int]:
    """Place groups side by side; the right end and the bottom, for what comes after them."""
    bottom, first = top, len(placed.groups)
    for group in groups:
        x, end = left + PADDING, top
        for column, width in zip(group.columns, group.widths(), strict=True):
            y = top + HEADER
            for item in column:
                y += TITLE + BADGE
                if isinstance(item, Note):
                    height = note_height(item, width)
                    placed.notes.append((item, [x, y, width, height]))
                else:
                    height = node_height(kinds[item], definitions[kinds[item]], width)
                    placed.nodes[item] = [x, y, width, height]
                y += height
            x, end = x + width + GAP, max(end, y)
        right = x - GAP + PADDING
        placed.groups.append((group, [left, top, right - left, end + PADDING - top]))
        left, bottom = right + GAP, max(bottom, end + PADDING)
    for _, box in placed.groups[first:]:
        box[3] = bottom - top
    return left, bottom
