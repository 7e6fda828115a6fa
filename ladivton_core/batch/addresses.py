"""Files of a manifest, wherever they are: paths, and addresses through fsspec.

An address is fetched because the manifest's author wrote it, and never for another reason. What comes is bounded in
size and time and goes through the same readers as a file. `memory://` and `http://` are tested; the others are fsspec's
and are not. Nothing is unpacked and no addresses in addresses (`zip://...::http://...`) are followed.
"""

from __future__ import annotations

import contextlib
import importlib
import posixpath
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit

from ..disk.names import fault_of_name

PROTOCOLS = ("http", "https", "memory", "s3", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "file")
"""What may stand before `://`; others run programs, read code hosts or wrap each other."""

MAX_BYTES = 256 << 20
"""Of a picture, a joint file or a label picture."""
SECONDS = 60.0
"""Without a byte, after which a web server counts as gone."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class Unreachable(OSError):
    """A file that is not there or does not come; the message names it."""


def is_address(text: str) -> bool:
    """Whether it is an address and not a path."""
    return _ADDRESS.match(text) is not None


def fault_of_address(text: str) -> str | None:
    """What is wrong with a path or an address as it is written; None when it may be asked for."""
    if "\x00" in text or "\n" in text:
        return "it holds characters that no path has"
    if "::" in text and _ADDRESS.search(text):
        return "addresses in addresses (`a::b`) are not followed"
    protocol = _ADDRESS.match(text)
    if protocol and protocol[1].lower() not in PROTOCOLS:
        return f"{protocol[1]}:// is not among {', '.join(PROTOCOLS)}"
    return None


def resolve(text: str, base: str) -> str:
    """A cell as an absolute path or an address.

    Args:
        text: as it stands in the manifest.
        base: the manifest itself; what is relative counts from its folder.
    """
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text).path)
    if is_address(text):
        return text
    if is_address(base):
        return f"{posixpath.dirname(base)}/{text}" if not text.startswith("/") else text
    return str((Path(base).absolute().parent / Path(text).expanduser()).resolve())


def open_filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it.

    Raises:
        ImportError: fsspec, or what it needs for this protocol, is missing; says how to install it.
    """
    fsspec = require_package("fsspec", f"the address {address}", "fsspec[http]")
    options: dict[str, Any] = {}
    if address.lower().startswith("http"):
        aiohttp = require_package("aiohttp", f"the address {address}", "fsspec[http]")
        limits = aiohttp.ClientTimeout(total=None, sock_connect=SECONDS, sock_read=SECONDS)
        options = {"client_kwargs": {"timeout": limits}}
    try:
        system, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise ImportError(f"{address}: {error}. Install what fsspec asks for with {sys.executable}") from error
    return system, path


def read_bytes(address: str, largest: int = MAX_BYTES) -> bytes:
    """Content of a path or an address.

    Raises:
        Unreachable: it is not there, does not come in time, or is larger than `largest` bytes.
    """
    content = bytearray()
    try:
        with _opened(address) as file:
            while len(content) <= largest and (part := file.read(min(1 << 20, largest + 1 - len(content)))):
                content += part
    except ImportError:
        raise
    except Exception as error:  # every store has errors of its own: botocore's, aiohttp's, ...
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"{address} cannot be read: {why}") from error
    if len(content) > largest:
        raise Unreachable(f"{address} is larger than {largest >> 20} MB, the most that is read")
    return bytes(content)


def _opened(address: str) -> IO[bytes]:
    if not is_address(address):
        return open(address, "rb")
    system, path = open_filesystem(address)
    return system.open(path, "rb", **({"block_size": 0} if address.lower().startswith("http") else {}))


@contextlib.contextmanager
def local_file(address: str) -> Iterator[Path]:
    """The file as a path for the readers: itself, or a copy for as long as the block lasts.

    Raises:
        Unreachable: see `read_bytes`.
    """
    if not is_address(address):
        yield Path(address)
        return
    content = read_bytes(address)
    name = posixpath.basename(unquote(urlsplit(address).path)) or "file"
    with tempfile.TemporaryDirectory(prefix="ladivton-") as folder:
        path = Path(folder) / (name if fault_of_name(name) is None else "file")
        path.write_bytes(content)
        yield path


def is_there(address: str) -> bool:
    """Whether a file is there; asks its server for an address."""
    if not is_address(address):
        return Path(address).is_file()
    try:
        system, path = open_filesystem(address)
        return bool(system.exists(path))
    except ImportError:
        raise
    except Exception:  # as in `read_bytes`
        return False


def require_package(name: str, what: str, install: str) -> Any:
    """A module of the extra `batch`.

    Raises:
        ImportError: it is missing; says what needs it and how to install it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(
            f"{what} needs {name} ({error}; extra `batch`). Install it with the Python that runs this: "
            f'"{sys.executable}" -m pip install {install}'
        ) from error
