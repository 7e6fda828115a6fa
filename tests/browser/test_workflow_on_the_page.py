"""What a person does: drop the workflow on ComfyUI's page, press Run, see the picture. Headless Chromium.

The screenshot goes to `output/browser` to be looked at.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGE_READY = "() => Boolean(window.app?.graph && window.app?.extensionManager)"
RUN_SECONDS = 600

# A drop as the desktop makes it: an event that carries the file, on the canvas.
DROP = """
([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type: "application/json" }));
    const canvas = document.querySelector("#graph-canvas");
    const box = canvas.getBoundingClientRect();
    const where = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    const event = { dataTransfer: transfer, bubbles: true, cancelable: true, ...where };
    for (const kind of ["dragenter", "dragover", "drop"]) canvas.dispatchEvent(new DragEvent(kind, event));
}
"""
NODE_TYPES = "() => window.app.graph.nodes.map(node => node.type)"
MISSING_NODES = f"() => ({NODE_TYPES})().filter(type => !LiteGraph.registered_node_types[type])"
FIT_VIEW = "() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')"
PICTURE_SHOWN = "() => window.app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.[0]?.naturalWidth)"


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; where this process may install packages (CI), it installs it."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found:
        return found
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("no Chromium on this machine: install chromium, or name one in CHROMIUM")
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
        subprocess.run(["apt-get", "-q", *command], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return shutil.which("chromium")


@pytest.fixture
def page(chromium, comfy_server):
    """ComfyUI's page, ready for work."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 2240, "height": 1260})
        page.goto(comfy_server.url)
        page.wait_for_function(PAGE_READY, timeout=120_000)
        yield page
        browser.close()


def _press_run_and_wait(client, page) -> dict:
    """The picture of the one run in the history; polled here because the page's own promises lie about it."""
    deadline = time.monotonic() + RUN_SECONDS
    before = set(client.history())
    page.get_by_test_id("queue-button").click()
    while time.monotonic() < deadline:
        for prompt_id, entry in client.history().items():
            if prompt_id in before:
                continue
            assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
            shown = [image for outputs in entry["outputs"].values() for image in outputs.get("images", ())]
            return next(image for image in shown if image["type"] == "output")
        page.wait_for_timeout(500)
    raise AssertionError(f"no picture within {RUN_SECONDS} s")


def test_dropped_workflow_has_every_node_and_gives_a_picture(page, client, repository):
    file = repository / "workflows" / "tryon_embedded.json"
    expected = sorted(node["type"] for node in json.loads(file.read_text(encoding="utf-8"))["nodes"])
    page.evaluate("() => window.app.graph.clear()")

    page.evaluate(DROP, [file.name, file.read_text(encoding="utf-8")])
    page.wait_for_function(f"() => window.app.graph.nodes.length === {len(expected)}", timeout=30_000)

    assert sorted(page.evaluate(NODE_TYPES)) == expected
    assert page.evaluate(MISSING_NODES) == []

    picture = _press_run_and_wait(client, page)

    assert len(client.view(picture)) > 10_000
    page.wait_for_function(PICTURE_SHOWN, timeout=30_000)
    page.evaluate(FIT_VIEW)
    page.wait_for_timeout(1000)  # the view glides
    target = repository / "output" / "browser" / "tryon_embedded.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(target))
