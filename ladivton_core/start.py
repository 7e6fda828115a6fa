"""The library's commands by this file's own path, from any folder: `python start.py checkpoints list`.

`python -m ladivton_core.checkpoints` needs the pack's folder to be where one stands, and a Python that looks there;
ComfyUI's portable one does not. Messages print `command` and `installing`, which need neither.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

COMMANDS = ("batch", "checkpoints", "datasets", "evaluation", "memory_plan", "parity", "training")


def command(words: str) -> str:
    """A command line that runs as it is printed, such as of `checkpoints list`: this Python, this file, the words."""
    return f'"{sys.executable}" "{Path(__file__).resolve()}" {words}'


def fetching(groups: str, models: Path | str | None = None) -> str:
    """A command line that fetches groups of `checkpoints/sources.json`.

    Args:
        models: ComfyUI's models folder, where it is known: the command cannot tell where the pack is a link, or where
            ComfyUI keeps its models elsewhere.
    """
    return command(f"checkpoints download {groups}" + (f' --models "{Path(models).absolute()}"' if models else ""))


def installing(packages: str = "", *, extra: str = "") -> str:
    """A command line that installs packages, or one of this pack's extras, for the Python that runs this."""
    own = f'-e "{Path(__file__).resolve().parents[1]}[{extra}]"'
    return f'"{sys.executable}" -m pip install {own if extra else packages}'


def repository_only(what: str) -> str:
    """What an error says of a part that the ComfyUI registry's package leaves out (`.comfyignore`)."""
    project = Path(__file__).resolve().parents[1] / "pyproject.toml"
    try:
        address = re.search(r'^Repository = "(.+)"$', project.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        address = None
    place = address[1] if address else "the project's repository"
    return f"{what} is not in the ComfyUI registry's package; clone {place} and run it there."


def make_parser(name: str, description: str) -> argparse.ArgumentParser:
    """The command line of one of `COMMANDS`, whose help shows it as it runs here.

    Args:
        description: its module's docstring, in which lines begin with `python -m ladivton_core.NAME`.
    """
    return argparse.ArgumentParser(
        command(name),
        description=description.replace(f"python -m ladivton_core.{name}", command(name)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def main() -> None:
    """Run the command that the arguments name."""
    import runpy

    here = Path(__file__).resolve().parent
    name, *rest = sys.argv[1:] or [""]
    if name not in COMMANDS:
        sys.exit(
            f"usage: {command('COMMAND ...')}\nCOMMAND is one of {', '.join(COMMANDS)}; --help after it says more."
        )
    if not any((here / f"{name}{ending}").is_file() for ending in (".py", "/__main__.py")):
        sys.exit(repository_only(f"The command {name}"))
    # the file's own folder, which Python may have put there, holds modules of common names
    sys.path[:] = [str(here.parent), *(place for place in sys.path if not place or Path(place).resolve() != here)]
    sys.argv = [sys.argv[0], *rest]
    runpy.run_module(f"{here.name}.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
