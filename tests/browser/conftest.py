"""ComfyUI's page in a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PAGE_READY = "() => Boolean(window.app?.graph && window.app?.extensionManager)"


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
