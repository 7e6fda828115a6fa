"""ComfyUI's page in the system's Chromium: with the frontend ComfyUI brings, and with the newest one.

The newest comes from the installer (`scripts/hosting`), on a server of its own. Screenshots go to `output/browser`, to
be looked at.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hosting.alone import alone

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WINDOW = {"width": 1920, "height": 1080}
PAGE_SECONDS, COVERED_SECONDS, RUN_SECONDS = 180, 30, 600
PAGE_READY = "() => Boolean(window.app?.graph && window.app?.extensionManager)"
UNCOVERED = "() => !document.querySelector('.p-blockui-mask')"
SET = "([name, value]) => window.app.extensionManager.setting.set(name, value)"
FIT_VIEW = "() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')"
NODE_TYPES = "() => window.app.graph.nodes.map(node => node.type)"
ALERT_BOXES = ".p-toast-message-error, .p-toast-message-warn, .p-dialog, [data-toast-dock] [role=alert]"
ALERTS = f"() => [...document.querySelectorAll('{ALERT_BOXES}')].map(box => box.innerText.trim())"
# Another origin's registry: the page asks it about every pack, here and everywhere.
LOOK_UPS = re.compile(r"https://api\.comfy\.org")


@dataclass
class Page:
    """A page and what went wrong on it.

    Attributes:
        tab: Playwright's page.
        problems: errors that have to do with the pack, and every picture that could not be had. The rest is the host's
            (look-ups that are blocked here, routes a newer page expects of a newer server).
    """

    tab: Any
    url: str
    problems: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Open ComfyUI and wait until it can be worked with.

        The page is covered while it loads. On a busy machine the cover may be taken away while it still comes, and then
        ComfyUI's own page keeps it for ever: it is opened again, as anybody would.
        """
        from playwright.sync_api import TimeoutError as NotInTime

        for attempt in range(3):
            self.tab.goto(self.url, timeout=PAGE_SECONDS * 1000)
            self.tab.wait_for_function(PAGE_READY, timeout=PAGE_SECONDS * 1000)
            try:
                self.tab.wait_for_function(UNCOVERED, timeout=COVERED_SECONDS * 1000)
                return
            except NotInTime:
                if attempt == 2:
                    raise

    def watch(self) -> None:
        """Collect problems from now on."""
        self.tab.on("console", lambda message: self._note(message.text, message.type == "error"))
        self.tab.on("pageerror", lambda error: self._note(f"{error} {error.stack}"))
        self.tab.on("response", lambda answer: self._note(f"{answer.status} {answer.url}", answer.status >= 400))

    def _note(self, text: str, wrong: bool = True) -> None:
        ours = re.search(r"ladi.?vton|/view\?", text, re.IGNORECASE)
        if wrong and ours and not LOOK_UPS.search(text):
            self.problems.append(text)

    def load(self, workflow: dict) -> None:
        """Load a workflow, as a dropped file is."""
        self.tab.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
        self.tab.wait_for_function(f"() => window.app.graph.nodes.length === {len(workflow['nodes'])}", timeout=60_000)

    def alerts(self) -> list[str]:
        """What stands in message boxes and dialogs."""
        return self.tab.evaluate(ALERTS)

    def fit_view(self) -> None:
        """Show the whole graph."""
        self.tab.evaluate(FIT_VIEW)
        self.tab.wait_for_timeout(1000)  # the view glides

    def missing_nodes(self) -> list[str]:
        """Types in the graph that the page does not know."""
        return self.tab.evaluate(f"() => ({NODE_TYPES})().filter(type => !LiteGraph.registered_node_types[type])")

    def press_run(self, client) -> dict:
        """Press Run; the saved picture of that run. Polled here because the page's own promises lie about it."""
        deadline = time.monotonic() + RUN_SECONDS
        before = set(client.history())
        self.tab.get_by_test_id("queue-button").click()
        while time.monotonic() < deadline:
            for prompt_id, entry in client.history().items():
                if prompt_id in before:
                    continue
                assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
                shown = [image for outputs in entry["outputs"].values() for image in outputs.get("images", ())]
                return next(image for image in shown if image["type"] == "output")
            self.tab.wait_for_timeout(500)
        raise AssertionError(f"no picture within {RUN_SECONDS} s")

    def screenshot(self, name: str) -> None:
        """Write what is seen to `output/browser`."""
        target = Path(__file__).parents[2] / "output" / "browser" / f"{name}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        self.tab.screenshot(path=str(target))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The system's Chromium; where this process may install packages (CI), it installs it."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if found:
        return found
    if sys.platform != "linux" or os.geteuid() != 0 or not shutil.which("apt-get"):
        pytest.skip("no Chromium on this machine: install chromium, or name one in CHROMIUM")
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]  # another apt may be running
    with alone():
        for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
            subprocess.run([*apt, *command], check=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})
    return shutil.which("chromium")


@pytest.fixture(scope="module")
def browser(chromium):
    """One Chromium for the tests of a file: while Playwright runs, nothing else in this process can `asyncio.run`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def newest_server(comfy_host):
    """The same ComfyUI under the newest frontend; nothing is in its input folder."""
    from hosting.installation import newest_frontend
    from hosting.server import ComfyServer

    with ComfyServer(comfy_host, ("--front-end-root", str(newest_frontend()))) as server:
        yield server


@pytest.fixture
def open_page(browser):
    """`open_page(server, nodes2=False)`: a fresh session on its page, ready for work, that is being watched."""
    contexts = []

    def opened(server, nodes2: bool = False, **settings) -> Page:
        context = browser.new_context(viewport=WINDOW)
        contexts.append(context)
        page = Page(context.new_page(), server.url)
        page.start()
        for name, value in {"Comfy.VueNodes.Enabled": nodes2, **settings}.items():
            page.tab.evaluate(SET, [name, value])
        page.watch()
        return page

    yield opened
    for context in contexts:
        context.close()
