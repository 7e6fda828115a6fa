"""Settings of a stage: its TOML file, the tables in that file that apply, and changes from the command line.

`configs/<stage>.toml` holds the paper's numbers (docs/published_behaviour.md, section 8) at its top level; the tables
`[vitonhd]` and `[dresscode]` override them. Every key is a field of the stage's settings class; anything else is an
error. Read `stage.py` next.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..disk.documents import read_text
from ..presets import PRESETS as MODELS

DATA = ("vitonhd", "dresscode")


class ConfigError(ValueError):
    """A setting that is unknown, missing or of the wrong kind; the message says which and what is known."""


@dataclass(frozen=True)
class Settings:
    """What every stage knows.

    Attributes:
        models: sizes of the models, a name in `presets.PRESETS`.
        size: (height, width) of the pictures.
        seed: of every random number.
        held_out: rows for validation, of the data set's paired test list, or a recipe's own.
        workers: processes that read data beside the training process; they never change a result.
    """

    models: str
    size: tuple[int, int] = (512, 384)
    seed: int = 1234
    held_out: int = 50
    workers: int = 0

    def __post_init__(self) -> None:
        _choice("models", self.models, MODELS)

    @property
    def preset(self):
        """`models` as a `presets.Preset`."""
        return MODELS[self.models]


@dataclass(frozen=True)
class DatasetSettings(Settings):
    """What every stage on a data set knows.

    Attributes:
        data: `vitonhd` or `dresscode`.
        root: folder of the data set.
    """

    data: str = ""
    root: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _choice("data", self.data, DATA)


@dataclass(frozen=True)
class TrainingSettings(Settings):
    """What every stage that descends a gradient knows.

    Attributes:
        steps: optimiser steps; 0 takes `epochs`.
        epochs: passes over the training rows.
        minutes: the stage ends after so many, if its steps are not over before; 0 is no limit. For one process.
        batch: samples an optimiser step sees, over all processes and micro-batches.
        micro_batch: samples a process holds at once; 0 shares the batch evenly and accumulates nothing.
        learning_rate, betas, weight_decay: of AdamW, which is Adam at weight decay 0.
        warm_up: steps of linear rise, or below 1 a share of the steps.
        decay: `constant`, or `cosine` down to `floor`, a share of the rate.
        clip: largest norm of the gradient; 0 leaves it.
        ema: decay of the running average of weights that is validated and written; 0 takes the last weights.
        precision: `no`, `fp16` or `bf16` autocast; `auto` is bf16 where the hardware multiplies it.
        log_every, validate_every, save_every: steps; the last step does all three. With 0 only the last one does.
        keep: checkpoints kept on disk.
    """

    steps: int = 0
    epochs: int = 0
    minutes: float = 0.0
    batch: int = 16
    micro_batch: int = 0
    learning_rate: float = 1e-5
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 1e-2
    warm_up: float = 0.0
    decay: str = "constant"
    floor: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    precision: str = "no"
    log_every: int = 25
    validate_every: int = 1000
    save_every: int = 1000
    keep: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        _choice("decay", self.decay, ("constant", "cosine"))
        _choice("precision", self.precision, ("no", "fp16", "bf16", "auto"))
        given = (self.steps > 0) + (self.epochs > 0)
        if given > 1 or self.minutes < 0 or not (given or self.minutes):
            raise ConfigError(
                f"give either steps or epochs, or minutes; got steps = {self.steps}, epochs = {self.epochs}, "
                f"minutes = {self.minutes:g}."
            )
        if min(self.batch, self.keep) < 1 or min(self.log_every, self.validate_every, self.save_every) < 0:
            raise ConfigError("batch and keep are at least 1, log_every, validate_every and save_every at least 0.")
        if self.minutes and self.warm_up >= 1:
            raise ConfigError(f"with minutes, warm_up = {self.warm_up:g} is a share of the way: below 1.")

    def total_steps(self, rows: int) -> int:
        """Optimiser steps for a number of training rows; 0 where only the clock ends the stage."""
        return self.steps or math.ceil(self.epochs * rows / self.batch)

    def rate_factor(self, step: float, total: int) -> float:
        """What the learning rate is multiplied by at a step: a pure function, so that a resume needs no schedule."""
        rise = max(1, round(total * self.warm_up) if self.warm_up < 1 else int(self.warm_up))
        if step < rise:
            return (step + 1) / rise
        if self.decay == "constant":
            return 1.0
        fallen = 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
        return self.floor + (1 - self.floor) * fallen


S = TypeVar("S", bound=Settings)


def read(
    kind: type[S],
    path: Path,
    *,
    tables: Sequence[str] = (),
    chosen: Iterable[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> S:
    """Settings of a stage.

    Args:
        kind: settings class of the stage.
        path: TOML file.
        tables: names of tables that the file may hold.
        chosen: those whose values go before the top level's.
        changes: settings by name that go before the file's.

    Raises:
        ConfigError: unknown table or key, a missing key, a value of the wrong kind.
        FileNotFoundError: no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no config file {path}.")
    try:
        document = _toml(read_text(path, expected="settings in TOML"))
    except ValueError as error:
        raise ConfigError(f"{path} is no valid TOML: {error}.") from error
    found = {name: value for name, value in document.items() if isinstance(value, dict)}
    if strange := [name for name in found if name not in tables]:
        raise ConfigError(f"{path} has a table [{strange[0]}]; known are {', '.join(tables)}.")
    values = {name: value for name, value in document.items() if name not in found}
    for table in chosen:
        values |= found.get(table, {})
    return _build(kind, values | dict(changes or {}), path)


def change(text: str) -> tuple[str, Any]:
    """Name and value of `key=value`, the value as TOML writes it; a bare word is a string.

    Raises:
        ConfigError: there is no equals sign.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"{text!r} changes nothing; write key=value.")
    try:
        return name.strip(), _toml(f"value = {value}")["value"]
    except ValueError:
        return name.strip(), value.strip()


def _build(kind: type[S], values: dict[str, Any], path: Path) -> S:
    hints = typing.get_type_hints(kind)
    known = {field.name: field for field in dataclasses.fields(kind)}
    if strange := [name for name in values if name not in known]:
        raise ConfigError(f"{path}: unknown setting {strange[0]!r}; this stage knows {', '.join(sorted(known))}.")
    missing = [n for n, f in known.items() if n not in values and f.default is dataclasses.MISSING]
    if missing:
        raise ConfigError(f"{path}: {', '.join(missing)} missing.")
    return kind(**{name: _fitted(name, value, hints[name], path) for name, value in values.items()})


def _fitted(name: str, value: Any, hint: Any, path: Path) -> Any:
    """The value as its type hint wants it: lists become tuples, whole numbers floats."""
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        if isinstance(value, list | tuple):
            if kinds[-1] is Ellipsis:
                kinds = kinds[:1] * len(value)
            if len(kinds) == len(value):
                return tuple(_fitted(name, v, k, path) for v, k in zip(value, kinds, strict=True))
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    kind = hint if isinstance(hint, types.GenericAlias) else hint.__name__
    raise ConfigError(f"{path}: {name} = {value!r} is not of the kind {kind}.")


def _toml(text: str) -> dict[str, Any]:
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    return tomllib.loads(text)


def _choice(name: str, value: str, known: Iterable[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} = {value!r} is unknown; choose one of {', '.join(known)}.")
