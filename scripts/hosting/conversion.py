"""UI-format workflow to API format, as the web page does it, with comfy-cli in an environment of its own."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from .installation import comfy_cli_python

_CODE = """
import json, sys
from comfy_cli.workflow_to_api import convert_ui_to_api
given = json.load(sys.stdin)
json.dump(convert_ui_to_api(given["workflow"], given["object_info"]), sys.stdout)
"""


def ui_to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """Convert a workflow saved by the web page to the format that /prompt takes.

    Args:
        workflow: UI format: `nodes`, `links`, ...
        object_info: the server's `/object_info`; widgets are matched to inputs by it.

    Raises:
        RuntimeError: comfy-cli could not convert it; its message is included.
    """
    given = json.dumps({"workflow": workflow, "object_info": object_info})
    result = subprocess.run([str(comfy_cli_python()), "-c", _CODE], input=given, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"comfy-cli could not convert the workflow:\n{result.stderr}")
    return json.loads(result.stdout)
