"""Weight files on the command line; see docs/models.md.

python -m ladivton_core.checkpoints list                   what lies in ComfyUI's models folder
python -m ladivton_core.checkpoints verify                 are names, shapes and known hashes right
python -m ladivton_core.checkpoints download vitonhd sd2   fetch what a try-on needs
python -m ladivton_core.checkpoints convert unet_vitonhd.pth unet.safetensors --dtype float16
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from .. import start
from ..disk.terminal import to_terminal
from .download import DownloadError, download
from .inventory import Source, chosen, sources
from .reading import CheckpointError

log = logging.getLogger(__name__)


def models_folder() -> Path:
    """ComfyUI's models folder when the pack lies in its custom_nodes, else the current folder."""
    pack = Path(__file__).absolute().parents[2]  # not resolved: the pack may be a link in there
    models = pack.parents[1] / "models"
    return models if pack.parent.name == "custom_nodes" and models.is_dir() else Path.cwd()


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parsed command line."""
    from .conversion import DTYPES, LAYOUTS

    parser = start.make_parser("checkpoints", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--models", type=Path, default=models_folder(), metavar="FOLDER", help="(%(default)s)")

    listing = commands.add_parser("list", parents=[places], help="weight files and what they hold")
    listing.add_argument("--all", action="store_true", help="files that are no part of a try-on as well")

    check = commands.add_parser("verify", parents=[places], help="exit code 1 when a file is not what it should be")
    check.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders; none: the pack's own")
    check.add_argument("--sha256", metavar="HEX", help="hash the one file has to have")

    change = commands.add_parser("convert", help="write one part as safetensors in another layout or number format")
    change.add_argument("source", type=Path, help="file or diffusers folder")
    change.add_argument("target", type=Path)
    change.add_argument("--part", choices=LAYOUTS, help="which one, when the source holds several")
    change.add_argument("--layout", choices=sorted({name for names in LAYOUTS.values() for name in names}))
    change.add_argument("--dtype", choices=DTYPES, help="number format (the source's)")
    change.add_argument("--channels", type=int, help="extend an inpainting UNet with zeros to these input channels")
    change.add_argument("--inside", metavar="KEY", help="take what lies under this key (ema), of a network held twice")
    change.add_argument("--force", action="store_true", help="replace the target")

    fetch = commands.add_parser("download", parents=[places], help="files of sources.json; without a name, their list")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="files or groups")
    fetch.add_argument("--url", action="append", default=[], help="address of the one file, in place of the known ones")
    fetch.add_argument("--sha256", metavar="HEX", help="hash the one file has to have")
    fetch.add_argument("--force", action="store_true", help="fetch again what is there")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = arguments(given)
    to_terminal(sys.stdout)
    run = {"list": _list, "verify": _verify, "convert": _convert, "download": _download}[options.command]
    try:
        return run(options)
    except (CheckpointError, DownloadError, OSError, ValueError) as error:
        log.error("%s", error)
        return 1


def _list(options: argparse.Namespace) -> int:
    from .inventory import look, weight_files

    if not options.models.is_dir():
        raise FileNotFoundError(f"there is no folder {options.models}.")
    others = 0
    for found in map(look, weight_files(options.models)):
        if found.parts or options.all:
            log.info("%s  %s MB  %s", found.path.relative_to(options.models), f"{found.size / 1e6:,.1f}", found.what)
        else:
            others += 1
    if others:
        log.info("%d other weight files in %s; --all names them.", others, options.models)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from .inventory import own_files, verify, weight_files

    files = [file for path in options.paths for file in (weight_files(path) if path.is_dir() else [path])]
    if not options.paths:
        files = own_files(options.models)
    if options.sha256 and len(files) != 1:
        raise ValueError(f"--sha256 is the hash of one file; these are {len(files)}.")
    if not files:
        raise FileNotFoundError(
            f"there is nothing to verify in {', '.join(map(str, options.paths)) or options.models}."
        )
    wrong = 0
    for file in files:
        try:
            log.info("right  %s: %s", file, verify(file, sha256=options.sha256))
        except Exception as error:  # one file, whatever it is, must not end the check of the others
            wrong += 1
            why = f"{file} cannot be checked ({type(error).__name__}: {error})"
            log.error("WRONG  %s", error if isinstance(error, CheckpointError | OSError) else why)
            log.debug("%s", file, exc_info=True)
    return 1 if wrong else 0


def _convert(options: argparse.Namespace) -> int:
    from .conversion import DTYPES, convert

    part = convert(
        options.source,
        options.target,
        options.part,
        options.layout,
        DTYPES.get(options.dtype),
        channels=options.channels,
        overwrite=options.force,
        inside=options.inside,
    )
    log.info("%s: %s, %s MB", options.target, part, f"{options.target.stat().st_size / 1e6:,.1f}")
    return 0


def _download(options: argparse.Namespace) -> int:
    if not options.names:
        for source in sources():
            size = f"{source.size / 1e6:,.0f} MB" if source.size else "size not known"
            log.info("%s  %s  models/%s  %s  %s", source.group, source.name, source.folder, size, source.licence)
        return 0
    files = chosen(options.names)
    if (options.url or options.sha256) and len(files) != 1:
        raise ValueError(f"--url and --sha256 are those of one file; these are {len(files)}.")
    wrong = 0
    for source in files:
        try:
            _fetch(source, options)
        except (DownloadError, CheckpointError) as error:  # the others may still come
            wrong += 1
            log.error("%s", error)
    return 1 if wrong else 0


def _fetch(source: Source, options: argparse.Namespace) -> None:
    """Download one file unless it is there, and check it before it gets its name."""
    from .inventory import verify

    target = options.models / source.folder / source.name
    sha256 = options.sha256 or source.sha256

    def check(file: Path) -> None:
        if source.part is not None:
            log.info("%s: %s", target, verify(file, part=source.part, sha256=sha256, source=source))

    if not options.force and target.exists():
        check(target)
    else:
        log.info("%s: licence %s", source.name, source.licence)
        found = download(options.url or source.urls, target, sha256=sha256, largest=source.bound, check=check)
        if not sha256:
            log.info("%s: no SHA-256 is known to compare with; this one has %s", source.name, found)
    log.info("%s is there.", target)


if __name__ == "__main__":
    sys.exit(main())
