"""From the names a training left in a file to those of the networks.

Parallel and compiled training put words into every name (`module.`, `_orig_mod.`), training scripts put the weights
into a dictionary (`state_dict`, `model`) and keep a running average beside them (`ema`). What is unambiguous is
undone, around the warper's two halves too; a file that holds the same network twice is refused, as nobody can guess
which is meant.
`reading.py` uses this on every file, `layouts.py` tells kinds.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..embedded import PARTS
from ..start import command
from .layouts import KINDS, CheckpointError, below_keys, identify

ADDED = ("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module")
"""Words that wrappers of torch put into names: DataParallel, compile, FSDP, activation checkpointing, Fabric."""

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "net", "network", "weights", "params", "generator",
    "ema", "ema_state_dict", "state_dict_ema", "model_ema", "ema_model", "params_ema", "averaged_model",
)  # fmt: skip
"""Keys under which training scripts keep weights, beside the names of the parts; what else lies there is let be."""

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
        chosen = _chosen(state, inside)
        if not chosen:
            keys = ", ".join(sorted({key.split(".")[0] for key in state}))
            raise CheckpointError(f"{path} has nothing under the key {inside!r}; its keys are {keys}.")
        state = chosen
    state = _bare(state, path)
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


def _chosen(state: dict[str, Tensor], inside: str) -> dict[str, Tensor]:
    """What lies below a key, or below it in the parts that have it (the warper's halves); nothing where it is not."""
    if below := _below(state, inside):
        return below
    groups = {name: (content, _below(content, inside)) for name, content in below_keys(state).items()}
    if not any(below for _, below in groups.values()):
        return {}
    return {
        f"{name}.{key}": tensor
        for name, (content, below) in groups.items()
        for key, tensor in (below or content).items()
    }


def _bare(state: dict[str, Tensor], path: object) -> dict[str, Tensor]:
    """The network, out of the keys around it and around the warper's halves; the state itself where there is none."""
    for _ in range(_LEVELS + 1):
        kind = identify(state)
        if kind not in ("unknown", "warping"):
            break
        if (warper := _warper(state, path)) is not None:
            return warper
        if kind == "warping" or (inner := _inner(state, path)) is state:
            break
        state = inner
    return state


def _warper(state: Mapping[str, Tensor], path: object) -> dict[str, Tensor] | None:
    """The two halves, told by content, each out of what its own training put around it; None without both.

    The embedded file has more beside them, for photographs, told by its names.
    """
    halves = ("tps", "refinement", "photo_tps", "garment_parts")
    found: dict[str, dict[str, dict[str, Tensor]]] = {kind: {} for kind in (*halves, "warping")}
    for name, content in below_keys(state).items():
        content = _without_wrappers(content, path)
        kind = identify(content)
        kind = name if kind == "tps" and name in found else kind
        if kind in found:
            found[kind][name] = content
    if not found["tps"] or not found["refinement"]:
        return None
    for kind in ("tps", "refinement"):
        if len(found[kind]) > 1 or found["warping"]:
            raise _twice(path, KINDS[kind], [*found[kind], *found["warping"]], inside=list(found["warping"]))
    return {
        f"{kind}.{key}": tensor
        for kind in halves
        for content in found[kind].values()
        for key, tensor in content.items()
    }


def _without_wrappers(state: dict[str, Tensor], path: object) -> dict[str, Tensor]:
    for _ in range(_LEVELS):
        if identify(state) != "unknown" or (inner := _inner(state, path)) is state:
            break
        state = inner
    return state


def _inner(state: dict[str, Tensor], path: object) -> dict[str, Tensor]:
    """The content of the one key that holds a network; the state itself where there is none."""
    groups = below_keys(state)
    if len(groups) == 1 and all("." in key or key in COUNTERS for key in state):
        ((only, inner),) = groups.items()
        return inner if only in WRAPPERS or _kind_inside(inner, path) else state
    kinds = {name: _kind_inside(groups[name], path) for name in (*WRAPPERS, *PARTS) if name in groups}
    holding = [name for name, kind in kinds.items() if kind]
    if len(holding) > 1 and (len({kinds[name] for name in holding}) == 1 or all(name in WRAPPERS for name in holding)):
        raise _twice(path, "a network", holding, inside=holding)
    return groups[holding[0]] if len(holding) == 1 else state


def _kind_inside(state: dict[str, Tensor], path: object) -> str | None:
    """Kind of the network in a state, which may lie below keys that lie in each other; None where there is none."""
    for _ in range(_LEVELS):
        if (kind := identify(state)) != "unknown":
            return kind
        if _warper(state, path) is not None:
            return "warping"
        groups = below_keys(state)
        if len(groups) != 1:
            return None
        (state,) = groups.values()
    return None


def _twice(path: object, what: str, keys: list[str], inside: list[str]) -> CheckpointError:
    way = f" {command(f'checkpoints convert SOURCE TARGET --inside {inside[-1]}')}" if inside else ""
    return CheckpointError(
        f"{path} holds {what} more than once, under {' and '.join(map(repr, keys))} "
        "(often the trained weights and their running average). "
        f"Say which is meant and save it by itself{':' if way else '.'}{way}"
    )


def _below(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}
