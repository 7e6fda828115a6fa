"""What scripts say while they work: a line a step, a bar for a workflow's run, the command to try again.

All of it goes to stderr, so that a script's own output stays clean: rewritten in place on a terminal, plain lines in a
log file. Standard library only, but for the bar.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Event


def again(*more: str) -> str:
    """The command line that runs this script again as it was run, with further arguments."""
    if os.name == "nt":
        return subprocess.list2cmdline([sys.executable, *sys.argv, *more])
    named = sorted(name for name in os.environ if name.startswith(("LADIVTON_", "COMFYUI_")))
    settings = [f"{name}={shlex.quote(os.environ[name])}" for name in named]
    return " ".join([*settings, shlex.join([sys.executable, *sys.argv, *more])])


class Step:
    """One line for one piece of work: what it is, then its seconds; on a terminal also the log's last line meanwhile.

    Args:
        title: what is being done.
        log: file for what the work prints, emptied first.

    Attributes:
        outcome: what the line ends with before the seconds, where it is worth saying.
    """

    outcome = ""

    def __init__(self, title: str, log: Path):
        self.title, self.log = title, log
        self._over = threading.Event()
        self._counting = threading.Thread(target=self._count, daemon=True)

    def __enter__(self) -> Step:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_bytes(b"")
        self._began = time.monotonic()
        print(f"{self.title} ... ", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            self._counting.start()
        return self

    def __exit__(self, kind, *_) -> None:
        self._over.set()
        if self._counting.ident:
            self._counting.join()
        print(f"{self.outcome}{'failed after ' if kind else ''}{self._seconds()}", file=sys.stderr, flush=True)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:.0f} s"

    def _count(self) -> None:
        line, width = f"{self.title} ... ", shutil.get_terminal_size().columns - 1
        while not self._over.wait(1):
            said = self.log.read_bytes()[-4000:].decode("utf-8", "replace").splitlines()
            last = next((text for text in reversed(said) if text.strip() and not text.startswith("WARNING")), "")
            now = f"{line}{self._seconds()}  {''.join(filter(str.isprintable, last))}"[:width]
            print(f"\r{now.ljust(width)}", end="", file=sys.stderr, flush=True)
        print(f"\r{' ' * width}\r{line}", end="", file=sys.stderr, flush=True)


class ProgressBar:
    """Shows how many of a workflow's nodes are done, which one works, and its step: feed it `ComfyClient.run`'s events.

    Args:
        workflow: in API format; titles come from each node's `_meta`.
    """

    def __init__(self, workflow: dict[str, Any]):
        from tqdm import tqdm

        self._titles = {key: node.get("_meta", {}).get("title") or node["class_type"] for key, node in workflow.items()}
        self._done: set[str] = set()
        self._working: list[str] = []
        self._live = sys.stderr.isatty()
        self._bar = tqdm(total=len(workflow), unit="node", dynamic_ncols=True, disable=not self._live)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_) -> None:
        self._bar.close()

    def __call__(self, event: Event) -> None:
        kind, data = event["type"], event["data"]
        if kind == "execution_cached":
            self._finish(data["nodes"])
        elif kind == "executing":
            # Nodes finish one after the other: what was at work until now is done.
            self._finish(self._working)
            self._working = [data["node"]] if data.get("node") else []
            if self._working and not self._live:  # a line a node in a log file
                count = f"{len(self._done) + 1}/{len(self._titles)}"
                print(f"{count} {self._titles.get(data['node'], '')}", file=sys.stderr, flush=True)
            self._bar.set_description_str(self._titles.get(data.get("node"), "done"), refresh=self._live)
            self._bar.set_postfix_str("", refresh=False)
        elif kind == "progress":
            self._bar.set_postfix_str(f"step {data['value']}/{data['max']}", refresh=self._live)
        elif kind == "execution_success":
            self._finish(self._titles)
            self._bar.set_description_str("done", refresh=False)

    def _finish(self, nodes) -> None:
        new = set(nodes) & set(self._titles) - self._done
        self._done |= new
        if new:
            self._bar.update(len(new))
