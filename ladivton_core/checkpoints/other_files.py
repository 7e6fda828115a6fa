"""What lies under a weight file's name and is none: told from the first bytes, with the way out.

`reading.py` asks before it reads, `inventory.py` before it lists.
"""

from __future__ import annotations

import codecs
import re
import zipfile
from pathlib import Path

from ..disk.looking import open_file
from .layouts import CheckpointError

ASK = "Ask whoever made the file for the weights alone (a state dict, best as safetensors)."
TO_TENSORS = "save them as tensors (torch.from_numpy) where they come from, best as safetensors"

_PACKED = "a packed file ({}), no weight file; unpack it and take the weight file inside"
_STARTS = {
    b"\x1f\x8b": _PACKED.format("gzip"),
    b"BZh": _PACKED.format("bzip2"),
    b"\xfd7zXZ": _PACKED.format("xz"),
    b"(\xb5/\xfd": _PACKED.format("zstd"),
    b"7z\xbc\xaf": _PACKED.format("7-Zip"),
    b"Rar!": _PACKED.format("RAR"),
    b"\x93NUMPY": "an array of numpy, no weight file; take the model's own file",
    b"GGUF": "a GGUF file, quantised for another program; take the model's .safetensors or .pth",
    b"\x89HDF": "an HDF5 file (Keras, TensorFlow); take the model's .safetensors or .pth",
    b"\x89PNG": "a picture (PNG), no weight file; download the weights again",
    b"\xff\xd8\xff": "a picture (JPEG), no weight file; download the weights again",
    b"%PDF": "a PDF, no weight file; download the weights again",
}


def what_else(path: Path) -> str | None:
    """What a file is that was saved in place of the one that was meant, with the way out; None where nothing shows.

    Raises:
        FileNotFoundError: there is none.
        CheckpointError: it may not be read, or is a pipe or a folder.
    """
    try:
        file = open_file(path)
    except ValueError as error:
        raise CheckpointError(f"{error}.") from error
    with file:
        start = file.read(1024)
    if not start:
        return "is empty (0 bytes); download it again"
    if len(start) > 8 and not start.strip(b"\0"):
        return "begins with nothing but zeros: room taken by a download that was not finished; download it again"
    for first, what in _STARTS.items():
        if start.startswith(first):
            return f"is {what}"
    if start[257:262] == b"ustar":
        return f"is {_PACKED.format('tar')}"
    if start.startswith(b"PK"):
        return _other_zip(path)
    return _other_text(start)


def _other_zip(path: Path) -> str | None:
    """What a zip file is that torch did not write; it stores without compression, its content in `<name>/data.pkl`."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except Exception:  # damaged or cut short, in as many ways as zipfile has errors: torch's reader says so
        return None
    names = [member.filename for member in members]
    last = {name.rpartition("/")[2] for name in names}
    if names and all(name.endswith(".npy") for name in last):
        return f"is an archive of numpy arrays (.npz); {TO_TENSORS}"
    if "constants.pkl" in last:
        return f"is a TorchScript program, which is not run. {ASK.removesuffix('.')}"
    if "data.pkl" not in last:
        inside = f"with {', '.join(names[:3])}{', ...' if len(names) > 3 else ''} inside" if names else "with nothing"
        return f"is a zip file {inside}, no weight file; unpack it and take the weight file inside"
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):  # can be a thousand times larger
        return (
            "is a compressed zip file; torch writes its archives without compression. "
            "Unpack it and take the weight file inside, or download it again"
        )
    return None


def _other_text(start: bytes) -> str | None:
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer, a few lines in place of the file; run `git lfs pull`, or download it again"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        start = start.decode("utf-16", "replace").encode("ascii", "backslashreplace")
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return "is a web page, not a weight file: the address asks for a log-in or has moved; download it again"
    if not re.search(rb"[^\t\r\n\x20-\x7e]", start) and not text.startswith(b"{"):
        said = repr(text[:40].decode().strip()) if text else "blank lines"
        return f"is a text ({said}), no weight file, or one cut short; download it again"
    return None
