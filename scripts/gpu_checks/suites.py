"""The parity command and the node tests, in ComfyUI's interpreter on the GPU."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys

from hosting.places import REPOSITORY

from .page import Page, Setting

QUICK = ("test_native_models.py", "test_memory_states.py")
_ENDING = r"(?P<ending>PASSED|FAILED|ERROR|SKIPPED)"
ALONE, SEVERAL = re.compile(rf"(?P<test>\S+::\S.*?) {_ENDING}"), re.compile(rf"\[gw\d+\].* {_ENDING} (?P<test>\S+::.*)")
"""A line of `pytest -v`, of one process and of several."""


def run(setting: Setting, page: Page) -> None:
    """Counts, and the name of everything that failed; both go on being counted when the time ends."""
    golden = REPOSITORY / "tests" / "golden"
    command = [sys.executable, "-m", "ladivton_core.parity", str(golden)]
    result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    last = (result.stdout.strip().splitlines() or ["nothing was said"])[-1]
    page.say(f"\nParity with `tests/golden` (computed on the CPU): {last}\n")
    failed = [line for line in result.stdout.splitlines() if "FAIL" in line][:10]
    page.expect(result.returncode == 0, f"parity: {'; '.join(failed) or result.stderr[-600:]}")

    where = REPOSITORY / "tests" / "nodes"
    tests = [str(where / name) for name in QUICK] if setting.rehearse else [str(where)]
    environment = os.environ | {
        "COMFYUI_PATH": str(setting.host.comfyui), "COMFYUI_PYTHON": str(setting.host.python), "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    several = ["-n", "4", "--dist", "loadfile"] if importlib.util.find_spec("xdist") and not setting.rehearse else []
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider", *several, *tests],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    counts: dict[str, int] = {}
    last = ""
    for line in process.stdout:
        last = line.strip() or last
        found = ALONE.match(line) or SEVERAL.match(line)
        if found:
            ending = found["ending"]
            counts[ending] = counts.get(ending, 0) + 1
            if ending in ("FAILED", "ERROR"):
                page.problem(f"{found['test'].partition('tests/')[2]} {ending.lower()}")
            elif sum(counts.values()) % 50 == 0:
                page.say(f"so far: {said(counts)}")
    page.say(f"\nNode tests: {said(counts)}. Last line of pytest: {last}\n")
    page.expect(process.wait() in (0, 1) and bool(counts), f"pytest did not run: {last}")


def said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what.lower()}" for what, count in sorted(counts.items())) or "none"
