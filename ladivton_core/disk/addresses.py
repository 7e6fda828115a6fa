"""Files of a manifest, wherever they are: paths, and addresses through fsspec.

An address is fetched because the manifest's author wrote it, and never for another reason. What comes is bounded in
size and time and goes through the same readers as a file. `memory://` and `http://` are tested; the others are fsspec's
and are not. Nothing is unpacked and no addresses in addresses (`zip://...::http://...`) are followed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import posixpath
import re
import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ..start import installing
from .looking import require_file, spelled_otherwise
from .names import BEYOND_LOCALE, can_be_encoded, fault_of_name, hide_secrets, hide_secrets_in

PROTOCOLS = ("http", "https", "memory", "s3", "gs", "gcs", "az", "abfs", "abfss", "hdfs", "file")
"""What may stand before `://`; others run programs, read code hosts or wrap each other."""

MAX_BYTES = 256 << 20
"""Of a picture, a joint file or a label picture."""
SECONDS = 60.0
"""Without a byte, after which a web server counts as gone."""

_ADVICE = {
    401: "it wants a login: write user and password into the address",
    403: "it does not give this file to you: allow it there, or take an address with a token",
    407: "a proxy on the way wants a login",
    429: "too many requests: try again later, or copy the files first",
}
"""What to do about an answer; what is 500 and more is the server's own fault."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head)\b", re.IGNORECASE)


class Unreachable(OSError):
    """A file that is not there or does not come; the message names it, without its address's secrets, and says why."""


def is_address(text: str) -> bool:
    """Whether it is an address and not a path."""
    return _ADDRESS.match(text) is not None


def fault_of_address(text: str) -> str | None:
    """What is wrong with a path or an address as it is written; None when it may be asked for."""
    if "\x00" in text or "\n" in text:
        return "it holds characters that no path has"
    if not is_address(text) and not can_be_encoded(text):
        return BEYOND_LOCALE
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
        return f"{posixpath.dirname(re.split('[?#]', base)[0])}/{text}" if not text.startswith("/") else text
    return str((Path(base).absolute().parent / Path(text).expanduser()).resolve())


@functools.lru_cache(1024)
def is_this_machine(host: str) -> bool:
    """Whether a host's name or number is this machine's own."""
    if host.lower() in ("localhost", socket.gethostname().lower()):
        return True
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        for family, _, _, _, address in found:
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((address[0], 0))  # nobody can be bound to an address of somewhere else
        return bool(found)
    except (OSError, UnicodeError):
        return False


def proxy_for(address: str) -> str | None:
    """The proxy that the environment names for an address; none is asked for what this machine serves itself."""
    try:
        parts, named = urlsplit(address), getproxies()
        host, proxy = parts.hostname, named.get(parts.scheme) or named.get("all")
    except ValueError:  # it is none
        return None
    if parts.scheme not in ("http", "https") or not host or not proxy or proxy_bypass(host) or is_this_machine(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def say_proxy(address: str) -> str:
    """Which proxy an address is asked through, behind a message; empty where there is none."""
    if not (proxy := proxy_for(address)):
        return ""
    return f" (asked through the proxy {hide_secrets(proxy)}; no_proxy={urlsplit(address).hostname} asks it directly)"


def open_filesystem(address: str) -> tuple[Any, str]:
    """fsspec's file system of an address, and the path in it.

    Raises:
        ImportError: fsspec, or what it needs for this protocol, is missing; says how to install it.
    """
    what = f"the address {hide_secrets(address)}"
    fsspec = require_package("fsspec", what, "fsspec[http]")
    options: dict[str, Any] = {}
    if address.lower().startswith("http"):
        aiohttp = require_package("aiohttp", what, "fsspec[http]")
        limits = aiohttp.ClientTimeout(total=None, sock_connect=SECONDS, sock_read=SECONDS)
        options = {"client_kwargs": {"timeout": limits}} | ({"proxy": proxy} if (proxy := proxy_for(address)) else {})
    try:
        return fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise ImportError(f"{what}: {error}. Install what fsspec asks for with {sys.executable}") from error


def read_bytes(address: str, largest: int = MAX_BYTES) -> bytes:
    """Content of a path or an address.

    Raises:
        Unreachable: it is not there, does not come in time, or is larger than `largest` bytes.
    """
    content = bytearray()
    with _telling(address), _opened(address) as file:
        while len(content) <= largest and (part := file.read(min(1 << 20, largest + 1 - len(content)))):
            content += part
        _require_no_page(address, file, content)
    if len(content) > largest:
        raise Unreachable(f"{hide_secrets(address)} is larger than {largest >> 20} MB, the most that is read")
    return bytes(content)


def require_there(address: str) -> None:
    """Make sure that a file can be read, without reading it; asks its server for an address.

    Raises:
        Unreachable: it cannot; says why.
    """
    with _telling(address):
        if not is_address(address):
            require_file(Path(address))
        elif address.lower().startswith("http"):  # asked for as it will be when it is read: not every server knows HEAD
            with _opened(address) as file:
                _require_no_page(address, file, file.read(256))
        else:
            system, path = open_filesystem(address)
            system.info(path)


def _opened(address: str) -> IO[bytes]:
    if not is_address(address):
        return open(address, "rb")
    system, path = open_filesystem(address)
    if not address.lower().startswith("http"):
        return system.open(path, "rb")
    # with a size fsspec asks no questions before, whose errors would all be "not found"
    file = system.open(path, "rb", block_size=0, size=1)
    if file.r.status not in (200, 203):  # an answer, and not the file: nothing new, nothing at all, many to choose from
        file.close()
        raise Unreachable(
            f"{hide_secrets(address)} cannot be read: {_explain_answer(file.r.status)}{say_proxy(address)}"
        )
    return file


def _require_no_page(address: str, file: IO[bytes], start: bytes) -> None:
    """A page to log in at comes with an answer of 200, in the file's place."""
    if is_address(address) and _PAGE.match(start):
        shown, led = hide_secrets(address), hide_secrets(str(getattr(getattr(file, "r", None), "url", address)))
        raise Unreachable(
            f"{shown} cannot be read: a web page came in its place{'' if led == shown else f', from {led}'}: "
            "it wants a login, or the file has moved"
        )


@contextlib.contextmanager
def _telling(address: str) -> Iterator[None]:
    """Whatever goes wrong while a file is asked for, as `Unreachable`: "there is no file" where that is known."""
    shown = hide_secrets(address)
    try:
        yield
    except (ImportError, Unreachable):
        raise
    except FileNotFoundError as error:
        near = "" if is_address(address) else spelled_otherwise(Path(address))
        raise Unreachable(f"there is no file {shown}{near}") from error
    except Exception as error:  # every store has errors of its own: botocore's, aiohttp's, ...
        words = f"{shown} cannot be read: {hide_secrets_in(_find_reason(error))}{say_proxy(address)}"
        raise Unreachable(words) from error


def _find_reason(error: BaseException) -> str:
    """What a person can act upon, of an error of any store."""
    kind, status = type(error).__name__, getattr(error, "status", None)
    broken = any(cause.__name__ == "HttpProcessingError" for cause in type(error.__cause__).__mro__)
    if broken and "Payload" not in kind:  # aiohttp calls it 400; a payload cut short is told below
        return "what answers there does not speak HTTP, or breaks off: is the port right, and https:// or http://?"
    if isinstance(status, int) and status >= 300:
        return _explain_answer(status)
    reason = getattr(error, "os_error", None) or error
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    if "DNS" in kind or isinstance(reason, socket.gaierror):
        return f"the name {getattr(error, 'host', 'of its host')} cannot be resolved ({text}); look for a typing error"
    if "SSL" in kind or "Certificate" in kind or isinstance(reason, ssl.SSLError):
        return f"no secure connection (TLS): {reason}"
    if "Redirect" in kind:
        return f"it leads elsewhere, which is not followed ({text})"
    if "Timeout" in kind:
        return f"no answer within {SECONDS:.0f} s"
    if isinstance(reason, ConnectionRefusedError):
        return "nobody answers there (connection refused): is the server running, and the port right?"
    return f"the connection ended before all had come ({text})" if "Payload" in kind else text


def _explain_answer(status: int) -> str:
    """An answer that is not the file, and what to do."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    advice = _ADVICE.get(status, "the fault is the server's: try again later" if status >= 500 else "")
    return f"the server answered {status} {phrase}".rstrip() + (f"; {advice}" if advice else "")


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
            + installing(install)
        ) from error
