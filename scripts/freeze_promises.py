"""Freeze what a release promises, on the day it is released: `python scripts/freeze_promises.py VERSION`.

Writes `tests/promises/VERSION/`: `nodes.json` (ids, inputs, outputs, defaults and limits of every node) and copies of
the workflow files in both formats. From then on `make test` holds every later version to them; nothing there is edited
or written again. VERSION must be the one in pyproject.toml.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hosting import installation
from hosting.places import REPOSITORY
from hosting.shipped import TITLES, page_file, queue_file
from package import released_version

PROMISES = REPOSITORY / "tests" / "promises"


def promised(schema: Any) -> dict[str, Any]:
    """What a workflow file relies on, of a node's V3 schema."""
    return {
        "inputs": [
            {"id": part.id, "type": part.get_io_type(), "optional": bool(part.optional)}
            | {key: getattr(part, key) for key in ("default", "min", "max") if getattr(part, key, None) is not None}
            | ({"options": list(part.options)} if is_fixed(part) else {})
            for part in schema.inputs
        ],
        "outputs": [{"name": part.display_name, "type": part.get_io_type()} for part in schema.outputs],
    }


def is_fixed(part: Any) -> bool:
    """Whether a combo box offers the same on every machine: file lists hold what lies in somebody's folders."""
    return hasattr(part, "options") and not part.id.endswith("_name") and part.id not in ("image", "file", "root")


def freeze(nodes: dict, target: Path) -> None:
    """Write the promises of node classes by id, and of the workflow files, into a new folder.

    Raises:
        FileExistsError: the folder is there already: a release is frozen once.
    """

    if target.exists():
        raise FileExistsError(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as folder:
        unfinished = Path(folder, target.name)
        (unfinished / "api").mkdir(parents=True)
        for name in TITLES:  # by their short names: the titles of a later release may be others
            shutil.copyfile(page_file(name), unfinished / f"{name}.json")
            shutil.copyfile(queue_file(name), unfinished / "api" / f"{name}.json")
        promises = {name: promised(node.define_schema()) for name, node in nodes.items()}
        (unfinished / "nodes.json").write_text(json.dumps(promises, indent=1) + "\n", encoding="utf-8")
        unfinished.rename(target)  # all of it or nothing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", metavar="VERSION", help="such as 0.2.0")
    parser.add_argument("--out", type=Path, default=PROMISES, help="folder of the releases (tests/promises)")
    chosen = parser.parse_args()
    if chosen.version != released_version():
        sys.exit(f"pyproject.toml says version {released_version()}, not {chosen.version}: freeze what is released.")
    try:
        host = installation.find_or_install()
    except installation.InstallationError as error:
        sys.exit(str(error))
    installation.run_inside(host)
    from hosting import in_process

    in_process.import_comfyui(host.comfyui)
    nodes = in_process.node_classes(in_process.import_pack(REPOSITORY, "pack_to_freeze"))
    try:
        freeze(nodes, chosen.out / chosen.version)
    except FileExistsError:
        sys.exit(f"{chosen.out / chosen.version} is there already: a release is frozen once and never edited.")
    print(f"{chosen.out / chosen.version}: commit it with the release.")


if __name__ == "__main__":
    main()
