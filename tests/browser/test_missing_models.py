"""Templates whose models are not there: Run ends in an error that names the files, and the page lists them before."""

from __future__ import annotations

import json

import pytest
from hosting import pose
from hosting.client import ComfyClient
from hosting.shipped import page_file

FILES = {
    "tryon_ksampler": ["unet_vitonhd.pth"],
    "tryon_dresscode": ["unet_dresscode.pth"],
    "tryon_photo_vitonhd": ["pose_detection.tflite", "unet_vitonhd.pth"],
}
# What the page says before anything is pressed: its own dialog, and what stands on the node that failed.
SAID = """
() => [...document.querySelectorAll(".p-dialog, .ladi-vton-notes")].map(box => box.innerText).join("\\n")
"""


def shown(name: str) -> dict:
    return json.loads(page_file(name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FILES)
def test_run_ends_in_an_error_that_names_the_files(request, open_page, view, name):
    page = open_page(*view, **{"Comfy.Workflow.ShowMissingModelsWarning": False})
    client = ComfyClient(view[0].url)
    page.load(shown(name))
    before = set(client.history())
    with pose.withheld(view[0].base):
        page.tab.get_by_test_id("queue-button").click()
        page.tab.wait_for_function(f"names => names.every(name => ({SAID})().includes(name))", arg=FILES[name])
    page.screenshot(f"missing_models_{name}_{request.node.callspec.id}")
    (ended,) = [entry for key, entry in client.history().items() if key not in before]
    assert ended["status"]["status_str"] == "error"
