"""JSON and plain text from anywhere: the project's one reader of both.

UTF-8 and UTF-16, with or without a byte order mark (as Windows tools write them); size, depth and number of values are
bounded before anybody walks the content. `structure.check_shape` says whether it is what was expected.
"""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Any

from .looking import open_file
from .names import printable
from .structure import StructureError, check_depth, check_shape

MAX_BYTES = 16 << 20
"""Of a document; a video's joints, 1,000 frames of a whole body with hands and face, take 7 MB."""

# Longer marks first: UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip


def read_json(path: Path, *, shape: Any = object, expected: str = "a JSON document", called: str = "") -> Any:
    """Content of a JSON file.

    Args:
        shape: see `structure.check_shape`.
        expected: what the file should be, with the way out: ends the message.
        called: what the message calls the file; the path when empty.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: not to be read, too large, no text, no JSON, nested too deep, of another shape.
    """
    called = called or str(path)
    content = _bytes(path, called, expected)
    try:
        document = json.loads(text_of(content))
        check_depth(document)
        if shape is not object:
            check_shape(document, shape)
    except StructureError as error:
        raise ValueError(printable(f"{called}: {error}; expected {expected}")) from error
    except (ValueError, RecursionError) as error:  # RecursionError: json's own, some thousand levels deep
        why = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise ValueError(printable(f"{called} is no valid JSON ({why}); expected {expected}")) from error
    return document


def read_text(path: Path, *, expected: str = "a text file", called: str = "") -> str:
    """Content of a text file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: not to be read, too large, or no text.
    """
    called = called or str(path)
    content = _bytes(path, called, expected)
    try:
        return text_of(content)
    except ValueError as error:
        raise ValueError(f"{called} is no text ({error}); expected {expected}") from error


def text_of(content: bytes) -> str:
    """Text of a file's bytes: UTF-8, or what a mark or the place of zero bytes tells.

    Byte order marks and old Windows tools' mark of the file's end are left out.

    Raises:
        ValueError: it is no text; says how to save it.
    """
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), json.detect_encoding(content))
    try:
        return content.decode(encoding).lstrip("\ufeff").rstrip("\x1a")
    except UnicodeDecodeError as error:
        raise ValueError(f"its letters are not UTF-8 or UTF-16: {error}; save it as UTF-8") from error


def _bytes(path: Path, called: str, expected: str) -> bytes:
    try:
        with open_file(path, called) as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{called} is missing; expected {expected}") from error
    except OSError as error:
        raise ValueError(f"{called} cannot be read ({error.strerror or error}); expected {expected}") from error
    except ValueError as error:
        raise ValueError(f"{error}; expected {expected}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"{called} is larger than {MAX_BYTES >> 20} MB, the most that is read; expected {expected}")
    return content
