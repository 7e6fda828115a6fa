"""Downloading one large file: resumed where it broke off, from the first of several mirrors that has it, hash checked.

Only ever called by a person's command (`python -m ladivton_core.checkpoints download`), never by a node or at import.
A download grows as `NAME.part` beside its target and gets its name when it is whole. `sources.py` knows the addresses.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import logging
import shutil
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

CHUNK = 1 << 20
TIMEOUT = 60.0
"""Seconds without a byte after which a connection counts as broken."""

# What a broken or overloaded connection raises; the same address is asked again. Errors of the disk are not among them.
_BROKEN = (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, ConnectionError, TimeoutError)


class DownloadError(RuntimeError):
    """A file that could not be downloaded; the message says why and what is left on the disk."""


class _Refused(Exception):
    """This mirror will not do; the next one may."""


def download(
    urls: Sequence[str],
    target: Path,
    *,
    sha256: str | None = None,
    retries: int = 5,
    pause: float = 1.0,
    progress: bool = True,
) -> str:
    """Fetch a file, or the rest of it.

    Args:
        urls: mirrors, asked in this order; http or https.
        target: where it goes; an existing file is replaced when the new one is whole.
        sha256: hexadecimal; None takes the file as it comes.
        retries: how often one mirror may break off without a new byte before the next is asked.
        pause: seconds before the first retry, doubled for each further one.
        progress: show a bar.

    Returns:
        The SHA-256 of the file.

    Raises:
        DownloadError: no mirror gave the file, its hash is wrong (the file is kept as `NAME.wrong-sha256`), or the disk
            is full (`NAME.part` stays and the next call goes on from there).
    """
    if not urls:
        raise DownloadError(f"no address is known for {target.name}; give one with --url.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(target)
    reasons = []
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise DownloadError(f"{url} is not an http or https address.")
        try:
            _fetch(url, part, retries, pause, progress)
            return part.finish(sha256)
        except _Refused as refused:
            reasons.append(f"{url}: {refused}")
            log.warning("%s", reasons[-1])
    raise DownloadError(f"{target.name} could not be downloaded.\n  " + "\n  ".join(reasons) + part.left())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def require_space(folder: Path, size: int) -> None:
    """Raise an OSError (ENOSPC) when a folder's disk has less than `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(
            errno.ENOSPC, f"{size / 1e6:,.0f} MB are needed in {folder} and {free / 1e6:,.0f} MB are free on its disk"
        )


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
            note = json.loads(self.note.read_text(encoding="utf-8"))
        except ValueError:  # cut short by a full disk
            return None
        return note["validator"] if note["url"] == url else None

    def start(self, url: str, headers) -> None:
        """Begin anew, and remember what the server says about the file."""
        etag = headers.get("ETag", "")
        # a weak ETag does not promise equal bytes and is not allowed in If-Range
        validator = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
        self.path.write_bytes(b"")
        self.note.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")

    def finish(self, sha256: str | None) -> str:
        found = file_sha256(self.path)
        self.note.unlink(missing_ok=True)
        if sha256 and found != sha256.lower():
            aside = self.target.with_name(f"{self.target.name}.wrong-sha256")
            self.path.replace(aside)
            raise _Refused(f"wrong SHA-256: {found} instead of {sha256.lower()}; the file is kept as {aside}")
        self.path.replace(self.target)
        return found

    def left(self) -> str:
        return f"\n  {self.size:,} bytes are kept in {self.path}; run the command again to go on." if self.size else ""


def _fetch(url: str, part: _Part, retries: int, pause: float, progress: bool) -> None:
    """Bring `part` to its full length from one address."""
    failures = 0
    while True:
        before = part.size
        try:
            return _continue(url, part, progress)
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
        log.warning("%s: %s; trying again.", url, reason)
        time.sleep(pause * 2 ** max(0, failures - 1))


def _continue(url: str, part: _Part, progress: bool) -> None:
    """One connection. Raises one of `_BROKEN` when it ends early."""
    from tqdm import tqdm

    request = urllib.request.Request(url, headers={"User-Agent": "comfyui-ladi-vton", "Accept-Encoding": "identity"})
    validator = part.validator(url)
    if validator:
        request.add_header("Range", f"bytes={part.size}-")
        request.add_header("If-Range", validator)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # "there is nothing after these bytes"
            raise
        if error.headers.get("Content-Range", "") == f"bytes */{part.size}":
            return
        part.path.unlink()
        raise ConnectionError("what is here does not fit the server's file any more") from error
    with response:
        goes_on = response.status == 206
        if goes_on and not response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-"):
            part.path.unlink()
            raise ConnectionError("the server went on at another place than asked")
        length = response.headers.get("Content-Length")
        if length is not None:
            require_space(part.path.parent, int(length) - (0 if goes_on else part.size))
        if not goes_on:  # no range support, or the file on the server has changed
            part.start(url, response.headers)
        total = None if length is None else part.size + int(length)
        bar = tqdm(
            desc=part.target.name, initial=part.size, total=total, unit="B", unit_scale=True, disable=not progress
        )
        with part.path.open("ab") as file, bar:
            while block := response.read(CHUNK):
                file.write(block)
                bar.update(len(block))
    if total is not None and part.size != total:
        raise ConnectionError(f"it ended after {part.size:,} of {total:,} bytes")
