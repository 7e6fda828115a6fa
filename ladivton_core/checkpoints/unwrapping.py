"""From the names a training left in a file to those of the networks.

Parallel and compiled training put words into every name (`module.`, `_orig_mod.`), training scripts put the weights
into a dictionary (`state_dict`, `model`) and keep a running average beside them (`ema`). What is unambiguous is
undone; a file that holds the same network twice is refused, as nobody can guess which is meant.
`reading.py` uses this on every file, `layouts.py` tells kinds.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .errors import CheckpointError
from .layouts import identify

ADDED = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
"""Words that wrappers of torch put into names: DataParallel, compile, FSDP, activation checkpointing, Fabric."""

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "generator",
    "ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema", "averaged_model",
)  # fmt: skip
"""Keys under which training scripts keep weights; what else lies beside such a key is not looked at."""

COUNTERS = ("epoch", "epochs", "step", "steps", "global_step", "iteration", "iterations", "iter", "n_averaged", "decay",
            "loss", "best_loss", "lr", "initted", "optimization_step", "num_updates")  # fmt: skip
_LEVELS = 4


def unwrapped(state: Mapping[str, Tensor], path: object, inside: str | None = None) -> dict[str, Tensor]:
    """Tensors by the networks' own names.

    Args:
        state: flat, as the file has it.
        path: for messages.
        inside: the key whose content is meant, where a file holds a network twice.

    Raises:
        CheckpointError: one name twice after the wrappers' words are gone, the same network under two keys, or nothing
            under `inside`.
    """
    state = _without_added(state, path)
    if inside:
        chosen = _below(state, inside)
        if not chosen:
            keys = ", ".join(sorted({key.split(".")[0] for key in state}))
            raise CheckpointError(f"{path} has nothing under the key {inside!r}; its keys are {keys}.")
        state = chosen
    for _ in range(_LEVELS):
        if identify(state) != "unknown":
            break
        state, before = _inner(state, path), state
        if state is before:
            break
    # An averaged half of the warper brings its own counter: `tps.n_averaged`.
    return {
        key: tensor
        for key, tensor in state.items()
        if key not in COUNTERS and not (key.rpartition(".")[2] in COUNTERS and tensor.numel() == 1)
    }


def _without_added(state: Mapping[str, Tensor], path: object) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    for key, tensor in state.items():
        parts = key.split(".")
        name = ".".join(part for part in parts if part not in ADDED) if set(parts) & set(ADDED) else key
        name = name or key
        if name in found:
            raise CheckpointError(
                f"{path} holds {name} twice, as {origin[name]} and as {key}. "
                "Save the one you want in a file of its own."
            )
        found[name], origin[name] = tensor, key
    return found


def _inner(state: dict[str, Tensor], path: object) -> dict[str, Tensor]:
    """The content of the one key that holds a network; the state itself where there is none."""
    groups = {key.split(".")[0]: None for key in state if "." in key}
    if len(groups) == 1 and all("." in key or key in COUNTERS for key in state):
        only = next(iter(groups))
        inner = _below(state, only)
        return inner if only in WRAPPERS or _holds_a_network(inner) else state
    holding = [name for name in WRAPPERS if name in groups and _holds_a_network(_below(state, name))]
    if len(holding) > 1:
        raise CheckpointError(
            f"{path} holds a network more than once, under {' and '.join(map(repr, holding))} "
            "(often the trained weights and their running average). Say which is meant and save it by itself: "
            f"python -m ladivton_core.checkpoints convert SOURCE TARGET --inside {holding[-1]}"
        )
    return _below(state, holding[0]) if holding else state


def _holds_a_network(state: dict[str, Tensor]) -> bool:
    for _ in range(_LEVELS):
        if identify(state) != "unknown":
            return True
        groups = {key.split(".")[0] for key in state}
        if len(groups) != 1 or not any("." in key for key in state):
            return False
        state = _below(state, groups.pop())
    return False


def _below(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
