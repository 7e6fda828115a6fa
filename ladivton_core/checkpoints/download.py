"""Downloading one large file: resumed where it broke off, from the first of several mirrors that has it, hash checked.

Only ever called by a person's command (`python -m ladivton_core.checkpoints download`), never by a node or at import.
A download grows as `NAME.part` beside its target and gets its name when it is whole. `sources.json` has the addresses.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import ipaddress
import logging
import os
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..disk.documents import read_json
from ..disk.locking import Locked, locked
from ..disk.names import hide_secrets, hide_secrets_in, login_in
from ..disk.tensors import require_space
from ..disk.writing import write_json

__all__ = ["DownloadError", "check_address", "download", "file_sha256", "require_space"]

log = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""

# What a broken or overloaded connection raises; the same address is asked again. Errors of the disk are not among them.
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why and what is left on the disk, and nothing secret."""

    def __init__(self, message: str) -> None:
        super().__init__(hide_secrets_in(message))


class _Refused(Exception):
    """This mirror will not do; the next one may."""


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    largest: int | None = None,
    check: Callable[[Path], None] | None = None,
    retries: int = 5,
    pause: float = 1.0,
    progress: bool = True,
) -> str:
    """Fetch a file, or the rest of it.

    Args:
        urls: mirrors, asked in this order; see `check_address`.
        target: where it goes; an existing file is replaced when the new one is whole and right.
        sha256: hexadecimal; None takes the file as it comes.
        largest: bytes; what is or claims to be larger is not fetched.
        check: looks at the whole file before it gets its name; what it raises (a ValueError) speaks against the mirror.
        retries: how often one mirror may break off without a new byte before the next is asked.
        pause: seconds before the first retry, doubled for each further one.
        progress: show a bar.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: no mirror gave the file, its hash or content is wrong (the file is kept as `NAME.wrong-sha256` or
            `NAME.wrong-content`), or the disk is full (`NAME.part` stays and the next call goes on from there).
    """
    if not urls:
        raise DownloadError(f"no address is known for {target.name}; give one with --url.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    reasons = []
    for url in urls:
        check_address(url)
    with _alone(target):
        for url in urls:
            try:
                _fetch(url, part, largest, retries, pause, progress)
                return part.finish(sha256, check)
            except _Refused as refused:
                reasons.append(f"{url}: {refused}")
                log.warning("%s", hide_secrets_in(reasons[-1]))
    raise DownloadError(f"{target.name} could not be downloaded.\n  " + "\n  ".join(reasons) + part.left())


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """While a file is fetched nobody else adds to its unfinished part.

    Raises:
        DownloadError: another command is fetching it, or its part is a link.
    """
    path = target.with_name(f"{target.name}.part.lock")
    for beside in (path, target.with_name(f"{target.name}.part")):
        if beside.is_symlink():  # what it leads to, anywhere, would be written
            raise DownloadError(f"{beside} is a link, which is not written through; take it away.")
    try:
        with locked(path):
            yield
    except Locked as error:
        raise DownloadError(
            f"{target.name} is being fetched into {target.parent} by another command ({error.strerror}); wait for it "
            "to end."
        ) from error


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def check_address(url: str) -> None:
    """Only https leads out of the machine; http reaches a server on it.

    Raises:
        DownloadError: another address; the message says which will do.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise DownloadError(f"{url!r} is no address ({error}); give one that begins with https://.") from error
    if parts.scheme not in ("http", "https") or not host:
        raise DownloadError(f"{url} is not an http or https address.")
    if parts.scheme == "http" and not _on_this_machine(host):
        raise DownloadError(f"{url} is not encrypted: anybody on the way could change the file; give an https address.")


def _on_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".").lower() == "localhost"


class _SameScheme(urllib.request.HTTPRedirectHandler):
    """Follows a redirect that stays encrypted, or on this machine."""

    def redirect_request(self, request, fp, code, message, headers, new):
        before, after = (urllib.parse.urlsplit(url).scheme for url in (request.full_url, new))
        if before != after:
            raise _Refused(f"it leads from {before} to {new}")
        try:
            check_address(new)
        except DownloadError as error:
            raise _Refused(f"it leads elsewhere: {error}") from error
        return super().redirect_request(request, fp, code, message, headers, new)


class _Part:
    """The unfinished file, and beside it which version of which address it is the beginning of."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def validator(self, url: str) -> str | None:
        """The ETag or date that proves the server still has the same file; None: start from the beginning."""
        if not self.size or not self.note.exists():
            return None
        try:
            note = read_json(self.note, shape={"url": str, "validator": (str, None)}, expected="a download's note")
        except (ValueError, FileNotFoundError) as error:  # cut short by a full disk, or somebody else's
            log.warning("%s; starting from the beginning.", error)
            return None
        validator = note["validator"]
        return validator if note["url"] == hide_secrets(url) and validator and validator.isprintable() else None

    def start(self, url: str, headers) -> None:
        """Begin anew, and remember what the server says about the file."""
        etag = headers.get("ETag", "")
        # a weak ETag does not promise equal bytes and is not allowed in If-Range
        validator = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
        self.path.write_bytes(b"")
        write_json({"url": hide_secrets(url), "validator": validator}, self.note)

    def finish(self, sha256: str | None, check: Callable[[Path], None] | None) -> str:
        """Give the file its name when it is right; the hash."""
        found = file_sha256(self.path)
        self.note.unlink(missing_ok=True)
        if sha256 and found != sha256.lower():
            aside = self._aside("wrong-sha256")
            raise _Refused(f"wrong SHA-256: {found} instead of {sha256.lower()}; the file is kept as {aside}")
        if check:
            try:
                check(self.path)
            except ValueError as error:
                aside = self._aside("wrong-content")
                said = str(error).replace(str(self.path), str(aside))
                raise _Refused(f"what came is not {self.target.name}; it is kept as {aside}. {said}") from error
        with self.path.open("rb+") as file:
            os.fsync(file.fileno())
        self.path.replace(self.target)
        return found

    def _aside(self, why: str) -> Path:
        """Nothing may take the file for the one that was meant."""
        aside = self.target.with_name(f"{self.target.name}.{why}")
        self.path.replace(aside)
        return aside

    def left(self) -> str:
        return f"\n  {self.size:,} bytes are kept in {self.path}; run the command again to go on." if self.size else ""


def _fetch(url: str, part: _Part, largest: int | None, retries: int, pause: float, progress: bool) -> None:
    """Bring `part` to its full length from one address."""
    failures = 0
    while True:
        before = part.size
        try:
            return _continue(url, part, largest, progress)
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise _Refused(f"the server answers {error.code} {error.reason}") from error
            reason = f"the server answers {error.code} {error.reason}"
        except _BROKEN as error:
            reason = f"the connection broke ({getattr(error, 'reason', error) or type(error).__name__})"
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise DownloadError(f"The disk is full: {error.strerror}.{part.left()}") from error
        failures = 0 if part.size > before else failures + 1
        if failures > retries:
            raise _Refused(reason)
        log.warning("%s: %s; trying again.", hide_secrets(url), reason)
        time.sleep(pause * 2 ** max(0, failures - 1))


def _continue(url: str, part: _Part, largest: int | None, progress: bool) -> None:
    """One connection. Raises one of `_BROKEN` when it ends early."""
    from tqdm import tqdm

    plain, login = login_in(url)
    request = urllib.request.Request(plain, headers={"User-Agent": "comfyui-ladi-vton", "Accept-Encoding": "identity"})
    for name, value in login.items():
        request.add_unredirected_header(name, value)  # not for whoever the server sends us to
    validator = part.validator(url)
    if validator:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", validator)
    try:
        # the environment's, but none for what this machine serves itself
        proxies = urllib.request.ProxyHandler({} if _on_this_machine(urllib.parse.urlsplit(url).hostname) else None)
        response = urllib.request.build_opener(_SameScheme, proxies).open(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "there is nothing after these bytes"
            raise
        if part.size and error.headers.get("Content-Range", "") == f"bytes */{part.size}":
            return
        part.path.unlink(missing_ok=True)
        raise ConnectionError("what is here does not fit the server's file any more") from error
    with response:
        goes_on = response.status == 206
        if goes_on and not (validator and _range_starts_at(response.headers, part.size)):
            part.path.unlink(missing_ok=True)
            raise ConnectionError("the server went on at another place than asked")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise _Refused(
                f"the server sends it packed ({response.headers['Content-Encoding']}), which was not asked for"
            )
        length = _length(response.headers)
        before = part.size if goes_on else 0
        if largest is not None and before + (length or 0) > largest:
            raise _Refused(f"it has {before + (length or 0):,} bytes, {largest:,} are the most this file can have")
        if length is not None:
            require_space(part.path.parent, length - (0 if goes_on else part.size))
        if not goes_on:  # no range support, or the file on the server has changed
            part.start(url, response.headers)
        total = None if length is None else before + length
        bar = tqdm(desc=part.target.name, initial=before, total=total, unit="B", unit_scale=True, disable=not progress)
        got = before
        with part.path.open("ab") as file, bar:
            while block := response.read(CHUNK):
                got += len(block)
                if largest is not None and got > largest:
                    break
                file.write(block)
                bar.update(len(block))
    if largest is not None and got > largest:
        part.path.unlink()
        raise _Refused(f"it goes on after {largest:,} bytes, the most this file can have")
    if total is not None and part.size != total:
        raise ConnectionError(f"it ended after {part.size:,} of {total:,} bytes")


def _length(headers) -> int | None:
    """The bytes that follow; None where the server does not say."""
    said = headers.get_all("Content-Length") or []
    if not said:
        return None
    if len(set(said)) > 1 or not re.fullmatch(r"[0-9]{1,15}", said[0].strip()):
        raise _Refused(f"the server gives no usable length (Content-Length: {', '.join(said)[:60]})")
    return int(said[0])


def _range_starts_at(headers, place: int) -> bool:
    """Whether a part of the file begins where it was asked for, and its length and total agree."""
    match = re.fullmatch(
        r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)", headers.get("Content-Range", "").strip()
    )
    if not match or int(match[1]) != place or int(match[2]) < place:
        return False
    length = _length(headers)
    ends = match[3] == "*" or int(match[3]) == int(match[2]) + 1
    return ends and length in (None, int(match[2]) + 1 - place)
