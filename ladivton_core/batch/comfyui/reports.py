"""What a ComfyUI server says of a run, in words: entries of its history, and its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .branches import named
from .client import PromptRejected
from .jobs import JobFailed, ServerGone
from .workflow import Filled

_ON_PURPOSE = ("ValueError", "CheckpointError", "FileNotFoundError")
"""What nodes raise about their inputs; another server would say the same."""


def status_of(entry: Mapping[str, Any]) -> str:
    """`success`, `error`, or empty when the entry does not say."""
    return str((entry.get("status") or {}).get("status_str", ""))


def seconds_of(entry: Mapping[str, Any]) -> float:
    """From the start of a run to its end, by the server's clock."""
    times = {event: data.get("timestamp", 0) for event, data in _messages(entry)}
    return max(0, times.get("execution_success", 0) - times.get("execution_start", 0)) / 1000


def _messages(entry: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(event, data) for event, data in (entry.get("status") or {}).get("messages", ()) if isinstance(data, dict)]


def failure_of(entry: Mapping[str, Any], filled: Filled) -> JobFailed:
    """Node and words of a run that failed."""
    messages = dict(_messages(entry))
    if error := messages.get("execution_error"):
        kind = str(error.get("exception_type", "")).rpartition(".")[2]
        said = str(error.get("exception_message", "")).strip()
        purpose = kind in _ON_PURPOSE
        words = f"{_node(error, filled)}: {said if purpose else f'{kind}: {said}'}"
        return JobFailed(words, filled.file_of(str(error.get("node_id"))), elsewhere=not purpose)
    if stopped := messages.get("execution_interrupted"):
        return JobFailed(f"{_node(stopped, filled)}: the run was interrupted at the server")
    return JobFailed(f"the run ended as {status_of(entry)!r} and ComfyUI does not say why", elsewhere=True)


def _node(data: Mapping[str, Any], filled: Filled) -> str:
    key = str(data.get("node_id"))
    return named(filled.nodes, key) if key in filled.nodes else f"node {key} ({data.get('node_type')})"


def refusal_of(rejected: PromptRejected, filled: Filled) -> JobFailed | ServerGone:
    """Why ComfyUI did not queue a workflow: the job's fault where all it found is about what was filled in."""
    found = [(key, error) for key, entry in rejected.node_errors.items() for error in entry["errors"]]
    told = [
        f"{_node({'node_id': key}, filled)}: {error.get('message')}: {error.get('details')}" for key, error in found
    ]
    words = "ComfyUI refused the workflow: " + ("; ".join(told) or str(rejected.error.get("message") or rejected))
    if found and all(_filled_in(key, error, filled) for key, error in found):
        return JobFailed(words, filled.file_of(found[0][0]))
    return ServerGone(words)


def _filled_in(key: str, error: Mapping[str, Any], filled: Filled) -> bool:
    name = (error.get("extra_info") or {}).get("input_name")
    return (key, name) in filled.places or (not name and any(key == node for node, _ in filled.places))
