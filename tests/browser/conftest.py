"""ComfyUI's page in the system's Chromium: with the frontend ComfyUI brings, and with the newest one.

The newest comes from the installer (`scripts/hosting`), on a server of its own. Screenshots go to `output/browser`, to
be looked at.
"""

from __future__ import annotations

import json
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
from hosting.installation import alone

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WINDOW = {"width": 1920, "height": 1080}
PAGE_SECONDS, COVERED_SECONDS, RUN_SECONDS = 180, 30, 600
"""How long anything on a page, its cover, and a run may take before a test fails: for the slowest machine."""
PAGE_READY = """
() => Boolean(window.app?.graph && window.app?.extensionManager &&
    window.LiteGraph?.registered_node_types.LadiVTON_PoseMap)
"""
UNCOVERED = "() => !document.querySelector('.p-blockui-mask')"
SET = """
async ([name, value]) => {
    const settings = window.app.extensionManager.setting;
    const before = settings.get(name);
    await settings.set(name, value);
    return before;
}
"""
# No dialog, no message, no panel, no node: a page as it is handed on.
EMPTY = """
() => {
    const page = window.app.extensionManager;
    const dialogs = page._p._s.get("dialog");
    for (const { key } of [...dialogs.dialogStack]) dialogs.closeDialog({ key });
    const search = page._p._s.get("searchBox");
    if (search) search.visible = false;
    page.toast.removeAll?.();
    window.LiteGraph.closeAllContextMenus();
    const panel = page.sidebarTab.activeSidebarTabId;
    if (panel) page.sidebarTab.toggleSidebarTab(panel);
    window.app.graph.clear();
}
"""
# At once; the page's own command glides there.
FIT_VIEW = """
() => {
    const { canvas, graph: { nodes } } = window.app;
    const from = [0, 1].map(way => Math.min(...nodes.map(node => node.pos[way])) - 60);
    const to = [0, 1].map(way => Math.max(...nodes.map(node => node.pos[way] + node.size[way])) + 60);
    canvas.ds.fitToBounds([...from, to[0] - from[0], to[1] - from[1]], { zoom: 1 });
    canvas.setDirty(true, true);
    return new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
}
"""
# Until what is read stays the same for twenty frames: a dialog has glided to its place.
STILL = """
read => new Promise(done => {
    const [value, frames] = [new Function(`return ${read}`), { same: 0 }];
    const look = () => {
        const now = JSON.stringify(value());
        frames.same = now === frames.last ? frames.same + 1 : 0;
        frames.last = now;
        if (frames.same === 20) done();
        else requestAnimationFrame(look);
    };
    look();
})
"""
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
        before: settings that were changed, as they were.
    """

    tab: Any
    url: str
    problems: list[str] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)

    def drawn(self, on: bool) -> None:
        """Whether the canvas is drawn; one that nobody looks at takes time from the page that is worked with."""
        self.tab.evaluate("on => { window.app.canvas.pause_rendering = !on; }", on)

    def start(self) -> None:
        """Open ComfyUI and wait until it can be worked with.

        The page is covered while it loads. On a busy machine the cover may be taken away while it still comes, and then
        ComfyUI's own page keeps it for ever: it is opened again, as anybody would.
        """
        from playwright.sync_api import TimeoutError as NotInTime

        for patience in (COVERED_SECONDS, COVERED_SECONDS, PAGE_SECONDS):
            self.tab.goto(self.url)
            self.tab.wait_for_function(PAGE_READY)
            try:
                self.tab.wait_for_function(UNCOVERED, timeout=patience * 1000)
                return
            except NotInTime:
                if patience == PAGE_SECONDS:
                    raise

    def set(self, **settings: Any) -> None:
        """Change settings of the page; `empty` takes it back."""
        for name, value in settings.items():
            self.before.setdefault(name, self.tab.evaluate(SET, [name, value]))

    def speak(self, language: str) -> None:
        """Have the server keep this language for pages that are loaded from now on."""
        answer = self.tab.request.post(f"{self.url}/settings/Comfy.Locale", data=json.dumps(language))
        assert answer.ok, answer.status_text

    def empty(self) -> None:
        """As it was when it had been opened, for the next test."""
        for name, value in self.before.items():
            self.tab.evaluate(SET, [name, value])
        self.before.clear()
        self.tab.evaluate(EMPTY)
        self.tab.wait_for_function(f"() => !({ALERTS})().length")  # they fade
        self.problems.clear()

    def forget(self) -> None:
        """Leave nothing of this page in the browser's stores; a page without ComfyUI's scripts is shown."""
        self.tab.goto(f"{self.url}/system_stats")
        self.tab.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        self.tab.context.clear_cookies()

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
        self.tab.wait_for_function(f"() => window.app.graph.nodes.length === {len(workflow['nodes'])}")

    def alerts(self) -> list[str]:
        """What stands in message boxes and dialogs."""
        return self.tab.evaluate(ALERTS)

    def fit_view(self) -> None:
        """Show the whole graph."""
        self.tab.evaluate(FIT_VIEW)

    def still(self, what: str) -> None:
        """Wait until what an expression gives does not change any more."""
        self.tab.evaluate(STILL, what)

    def missing_nodes(self) -> list[str]:
        """Types in the graph that the page does not know."""
        return self.tab.evaluate(f"() => ({NODE_TYPES})().filter(type => !LiteGraph.registered_node_types[type])")

    def press_run(self, client) -> dict[str, Any]:
        """Press Run; what the nodes of that run showed. Polled here because the page's own promises lie about it."""
        deadline = time.monotonic() + RUN_SECONDS
        before = set(client.history())
        self.tab.get_by_test_id("queue-button").click()
        while time.monotonic() < deadline:
            for prompt_id, entry in client.history().items():
                if prompt_id not in before:
                    assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
                    return entry["outputs"]
            self.tab.wait_for_timeout(200)
        raise AssertionError(f"no picture within {RUN_SECONDS} s")

    def saved(self, client) -> dict[str, str]:
        """Press Run; the picture that run saved."""
        shown = [image for outputs in self.press_run(client).values() for image in outputs.get("images", ())]
        return next(image for image in shown if image["type"] == "output")

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


@pytest.fixture(scope="package")
def browser(chromium):
    """One Chromium for this folder's tests: while Playwright runs, nothing else in this process can `asyncio.run`."""
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


@pytest.fixture(scope="package")
def new_tab(browser):
    """`new_tab()`: an empty tab that shares nothing with any other."""

    def opened():
        context = browser.new_context(viewport=WINDOW)
        context.set_default_timeout(PAGE_SECONDS * 1000)
        return context.new_page()

    return opened


@pytest.fixture(scope="package")
def open_page(new_tab):
    """`open_page(server, nodes2=False)`: a server's page, ready for work and empty, that is being watched.

    Tests hand on one a server, for to load it takes longer than most of them. With `fresh` it is loaded, and looks as
    to somebody who was never there: nothing is in the browser's stores, and the first graph is shown.
    """
    pages: dict[str, Page] = {}
    last: Page | None = None

    def opened(server, nodes2: bool = False, *, fresh: bool = False, **settings) -> Page:
        nonlocal last
        page, left = pages.get(server.url), last
        if left and left is not page:
            left.empty()
            left.drawn(False)
        if page is None:
            page = pages[server.url] = Page(new_tab(), server.url)
            page.start()
            page.watch()
        elif fresh:
            page.empty()
            page.forget()
            page.start()
            page.problems.clear()
        last = page
        page.drawn(True)
        if not fresh:
            page.empty()
        page.set(**{"Comfy.VueNodes.Enabled": nodes2, **settings})
        return page

    yield opened
    for page in pages.values():
        page.empty()
        page.tab.context.close()


NEWEST = pytest.mark.long
"""On a server of its own, whose page is loaded and drawn beside the first one's: `.ci/run` looks at both."""


@pytest.fixture(params=["comfy_server", pytest.param("newest_server", marks=NEWEST)])
def frontend(request):
    """The server with the frontend that ComfyUI brings, and the one with the newest."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["classic", pytest.param("newest-nodes2", marks=NEWEST)])
def view(request):
    """A server, and whether its page draws nodes in the second way: `open_page(*view)`."""
    newest = request.param != "classic"
    return request.getfixturevalue("newest_server" if newest else "comfy_server"), newest
