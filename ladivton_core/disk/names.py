"""File names that hold on every system, and texts that are safe to show in a terminal.

Names come out of workflows, pair lists and archives; `writing.py` writes under them.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from urllib.parse import unquote, urlsplit

MAX_NAME = 255
"""Bytes of a file name on every file system in common use."""

_RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{device}{digit}" for device in ("com", "lpt") for digit in "123456789¹²³"
}
_FORBIDDEN = re.compile(r'[/\\:"*?<>|\x00-\x1f\x7f\ud800-\udfff]')
_OF_SYSTEMS = {
    "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "__macosx", "icon\r",
    "@eadir", "#recycle", "#snapshot",
}  # fmt: skip
"""What Windows, macOS and network disks keep among a person's files, in lower case."""

BEYOND_LOCALE = (
    "this process cannot write its letters as the name of a file, by its language setting (LC_ALL, LANG); "
    "start it with PYTHONUTF8=1"
)
# Everything a terminal may take for an order, and halves of surrogate pairs, which no stream can encode.
_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def is_plain_name(name: str) -> bool:
    """Whether a file name stays in its folder: no separators, drives, wildcards, control characters or `..`."""
    return bool(name) and not _FORBIDDEN.search(name) and name not in (".", "..")


def is_text(name: str) -> bool:
    """Whether a name found on a disk is text here: bytes of another encoding cannot travel to a page and back."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is not a person's: what begins with a dot (macOS's `._name`), and `_OF_SYSTEMS`."""
    return name.startswith(".") or name.lower() in _OF_SYSTEMS


def can_be_encoded(name: str) -> bool:
    """Whether this process can open a file of that name or path: an ASCII locale has no accents."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def fault_of_name(name: str) -> str | None:
    """What is wrong with a name for a new file, in words; None when it can be written and read on every system.

    Windows refuses device names (`NUL.jpg`, `com1`), and drops blanks and dots at the end.
    """
    if not is_plain_name(name):
        return "it must be a plain file name, like 00001_00.jpg, without folders or special characters"
    if name != name.rstrip(" .") or name != name.lstrip(" "):
        return "it must not begin with a blank or end with a blank or a dot: Windows would take them away"
    if name.split(".")[0].rstrip().lower() in _RESERVED:
        return "Windows keeps that name for a device"
    if not can_be_encoded(name):
        return BEYOND_LOCALE
    if len(os.fsencode(name)) > MAX_NAME:
        return f"it is too long: {len(os.fsencode(name))} bytes, {MAX_NAME} are the most a file name may have"
    return None


def same_everywhere(name: str) -> str:
    """What a name counts as where letter case and the spelling of accents make no difference (Windows, macOS)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def printable(text: str) -> str:
    """The text with everything escaped that a terminal would obey or a stream could not encode; lines stay lines."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def in_one_line(text: str) -> str:
    """`printable`, with line breaks and tabs escaped as well: for names in a list."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def hide_secrets(address: str) -> str:
    """An address as it may be printed or written: without user, password, query and fragment, where tokens stand.

    What is no address (a path, `host:port`) comes back as it is.
    """
    scheme, mark, rest = address.partition("://")
    if not mark or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return address
    host, after = re.match(r"([^/?#]*)(.*)", rest, re.DOTALL).groups()
    if "@" not in host and "@" in after and re.search(r"^[^[].*:(?!\d*$)", host):  # a password with / ? or # in it
        host, after = re.match(r"(.*@[^/?#]*)(.*)", rest, re.DOTALL).groups()
    return f"{scheme}://{host.rpartition('@')[2]}{re.split(r'[?#]', after, maxsplit=1)[0]}"


def login_in(address: str) -> tuple[str, dict[str, str]]:
    """An address without its user and password, and the header that says them to a server in their place."""
    parts = urlsplit(address)
    login, _, host = parts.netloc.rpartition("@")
    if not login:
        return address, {}
    name, _, password = login.partition(":")
    code = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    return parts._replace(netloc=host).geturl(), {"Authorization": f"Basic {code}"}


def hide_secrets_in(text: str) -> str:
    """The same for every address in a text; punctuation behind one stays."""

    def hidden(found: re.Match) -> str:
        end = re.search(r"[)\]}>.,:;'\"]*$", found[0])[0]
        return hide_secrets(found[0][: len(found[0]) - len(end)]) + end

    return _ADDRESS.sub(hidden, text)
