"""A progress bar for one run: the node at work and its steps. Feed it `ComfyClient.run`'s events."""

from __future__ import annotations

import sys
from typing import Any

from .client import Event


class ProgressBar:
    """Shows how many of a workflow's nodes are done, which one works, and its step.

    Args:
        workflow: in API format; titles come from each node's `_meta`.
    """

    def __init__(self, workflow: dict[str, Any]):
        from tqdm import tqdm

        self._titles = {key: node.get("_meta", {}).get("title") or node["class_type"] for key, node in workflow.items()}
        self._done: set[str] = set()
        self._working: list[str] = []
        self._live = sys.stderr.isatty()  # a log file wants few lines
        self._bar = tqdm(total=len(workflow), unit="node", dynamic_ncols=True, mininterval=0.1 if self._live else 10)

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
