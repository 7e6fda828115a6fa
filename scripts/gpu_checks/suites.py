"""The parity command and the node tests, in ComfyUI's interpreter on the GPU."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from hosting.places import REPOSITORY

from .page import Page, Setting

QUICK = ("test_native_models.py", "test_memory_states.py")


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
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-v", "--tb=line", "-p", "no:cacheprovider", *tests],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
    )  # fmt: skip
    counts: dict[str, int] = {}
    last = ""
    for line in process.stdout:
        last = line.strip() or last
        found = re.match(r"(\S+::\S.*?) (PASSED|FAILED|ERROR|SKIPPED)", line)
        if found:
            counts[found[2]] = counts.get(found[2], 0) + 1
            if found[2] in ("FAILED", "ERROR"):
                page.problem(f"node test {found[1].partition('tests/')[2]} {found[2].lower()}")
            elif sum(counts.values()) % 50 == 0:
                page.say(f"so far: {said(counts)}")
    page.say(f"\nNode tests: {said(counts)}. Last line of pytest: {last}\n")
    page.expect(process.wait() in (0, 1) and bool(counts), f"pytest did not run: {last}")


def said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what.lower()}" for what, count in sorted(counts.items())) or "none"
