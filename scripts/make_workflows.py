"""Write the workflows of ComfyUI's Templates from `workflows/api/`: laid out, with notes, each named by its title.

The page writes every widget of a node into what it queues. So that both formats stay the same graph, widgets that have
come to a node since are first entered into the file in `workflows/api/`, with their defaults.

python scripts/make_workflows.py [--only NAME ...]

Run it after a change of a node's inputs, of a file in `workflows/api/` or of `workflow_pages/`, and look at the result
in the page (`make serve`). `make_pictures.py` makes the thumbnails. What needs a newer ComfyUI is written where
COMFYUI_PATH names one.
"""

from __future__ import annotations

import argparse
import copy
import json
from typing import Any

from hosting import installation
from hosting.server import ComfyServer
from hosting.shipped import TITLES, lacking, page_file, queue_file
from hosting.signals import exit_on_terminate
from workflow_pages.layout import is_widget
from workflow_pages.pages import PAGES
from workflow_pages.ui_format import default_of, inputs_of, ui_workflow


def completed(api: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """API format with a value for every widget of the pack's nodes, as the page would queue it.

    Args:
        api: a workflow; what it says is kept.
        definitions: `/object_info` of a server with the pack.
    """
    result = copy.deepcopy(api)
    for node in result.values():
        for name, spec in inputs_of(definitions[node["class_type"]]):
            if is_widget(spec) and name not in node["inputs"] and node["class_type"].startswith("LadiVTON_"):
                node["inputs"][name] = default_of(spec)
    return result


def text_of(name: str, definitions: dict[str, Any]) -> str:
    """The file for the page, one node or wire a line.

    Args:
        name: short name of the workflow.
        definitions: `/object_info` of a server with the pack.
    """
    workflow = ui_workflow(name, json.loads(queue_file(name).read_text("utf-8")), PAGES[name], definitions)
    parts = []
    for key, value in workflow.items():
        if isinstance(value, list) and value:
            lines = ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TITLES, help="some of them")
    wanted = parser.parse_args().only or list(TITLES)
    exit_on_terminate()
    host = installation.find_or_install()
    installation.run_inside(host)
    from hosting.client import ComfyClient

    with ComfyServer(host) as server:
        definitions = ComfyClient(server.url).object_info()
    for name in wanted:
        if there_not := lacking(name, definitions):
            print(
                f"{page_file(name).name} stays: COMFYUI_PATH has to name a newer ComfyUI, with {', '.join(there_not)}"
            )
            continue
        api = json.loads(queue_file(name).read_text("utf-8"))
        if (whole := completed(api, definitions)) != api:
            queue_file(name).write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        page_file(name).write_text(text_of(name, definitions), encoding="utf-8")
        print(page_file(name).name)


if __name__ == "__main__":
    main()
