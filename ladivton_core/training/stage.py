"""What a stage is: its trained module, its rows, its loss, and where it finds the parts that earlier stages made.

`loop.fit` runs any `TrainingStage`; `recipe.py` lists the stages and their order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.build import build_from, load, module_names
from ..checkpoints.layouts import parts_in
from ..checkpoints.reading import CheckpointError, part_file, read_state_dict
from ..checkpoints.unet_layout import extend_conv_in
from ..presets import Preset
from .config import Settings, TrainingSettings
from .draws import Draws, Rows, StepSampler

SCRATCH = "scratch"
"""Value of `init` for random weights of what the denoising stages train."""


@dataclass(frozen=True)
class Run:
    """Where a recipe keeps its files, and what it starts from.

    Attributes:
        folder: of the whole recipe; a stage has `folder/<stage>`.
        stage: the one that runs.
        earlier: stages before it, in order; their weights are found by `part`.
        init: Stable Diffusion 2 inpainting as a diffusers folder or a weight file, a folder that `export` wrote, or
            `SCRATCH`.
        weights: a file of your own for a part that no earlier stage has written.
        process, processes: this process and how many there are.
        memory: what the stages of one call leave to each other on the device.
    """

    folder: Path
    stage: str
    earlier: Sequence[str] = ()
    init: str = ""
    weights: Mapping[str, Path] = field(default_factory=dict)
    process: int = 0
    processes: int = 1
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.process == 0

    def file(self, name: str, stage: str | None = None) -> Path:
        """Weights `name` of a stage, of the running one by default."""
        return self.folder / (stage or self.stage) / f"{name}.safetensors"

    def made(self, name: str) -> Path | None:
        """Newest file of a name that an earlier stage wrote, else the user's own."""
        files = [self.file(name, stage) for stage in reversed(self.earlier)]
        written = next((file for file in files if file.is_file()), None)
        return written or (Path(self.weights[name]) if name in self.weights else None)

    def part(self, name: str, preset: Preset) -> nn.Module:
        """A part in eval mode: from `made`, else from `init`.

        Raises:
            FileNotFoundError: nobody made it and `init` has none; the message lists what can be given.
            CheckpointError: a file that does not fit.
        """
        if file := self.made(name):
            return load(name, file, preset)
        found = find_part(Path(self.init), name, preset) if self.init not in ("", SCRATCH) else None
        if found is None:
            raise FileNotFoundError(
                f"stage {self.stage} needs the part {name}: no earlier stage in {self.folder} wrote it. Run the stage "
                f"that does, or give --weights {name}=FILE, or --init with a model that has it: Stable Diffusion 2 "
                f"inpainting ('{SCRATCH}' gives random weights to what the denoising stages train)."
            )
        return found


def frozen(module: nn.Module, device: torch.device | str) -> nn.Module:
    """A module that is only used: no gradients (Q23), eval mode, on the device."""
    return module.requires_grad_(False).eval().to(device)


class TrainingStage(ABC):
    """One stage of training.

    Subclasses set the attributes in `__init__(settings, run, device)` and implement the methods.

    Attributes:
        settings_type: dataclass its config file is read into.
        settings: the ones of this run.
        module: what is trained, and nothing else: frozen networks stay outside, so that they are neither
            averaged, saved nor sharded.
        rows: training samples.
        sheet_titles: columns of the validation sheet.
        done: share of the way made, in [0, 1]; the loop keeps it.
        compares: whether `score` is to be compared with that of the weights it starts from.
        tolerance: by how much `score` may fall.
    """

    settings_type: type[TrainingSettings] = TrainingSettings
    settings: TrainingSettings
    module: nn.Module
    rows: Rows
    sheet_titles: tuple[str, ...] = ()
    done: float = 0.0
    compares: bool = False
    tolerance: float = 0.0

    @abstractmethod
    def __init__(self, settings: TrainingSettings, run: Run, device: torch.device | str) -> None: ...

    def groups(self) -> list[dict]:
        """Parameter groups of the optimiser."""
        weights = [weight for weight in self.module.parameters() if weight.requires_grad]
        return [{"params": weights, "lr": self.settings.learning_rate}]

    def batches(self, steps: range, micro_batch: int, run: Run) -> Iterator[tuple[dict[str, Tensor], Sequence[int]]]:
        """Micro-batches of this process, step by step: tensors by name, and the positions of their samples."""
        from torch.utils.data import DataLoader

        settings = self.settings
        sampler = StepSampler(
            len(self.rows), settings.batch, micro_batch, settings.seed, steps, run.process, run.processes
        )
        for batch in DataLoader(self.rows, batch_sampler=sampler, num_workers=settings.workers):
            yield batch, batch.pop("position").tolist()

    def draws(self, step: int, positions: Sequence[int], device: torch.device | str) -> Draws:
        """Random numbers of a micro-batch."""
        return Draws(self.settings.seed, step, positions, device)

    @abstractmethod
    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        """Scalar loss of a micro-batch. `module` is `self.module`, perhaps wrapped; call it, do not reach inside."""

    @abstractmethod
    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        """Held-out figures, and rows of pictures (N, 3, H, W) in [-1, 1] for the sheet. `module` is not wrapped."""

    def settle(self, module: nn.Module) -> None:  # noqa: B027 - most stages need nothing
        """What the averaged weights still need before they are judged and written, e.g. norms' statistics."""

    def score(self, figures: dict[str, float]) -> float | None:
        """One number of `figures` that must not fall, or the weights before the stage stay; None judges nothing."""
        return None

    @abstractmethod
    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        """Weights to write, by file name."""


class WorkStage(ABC):
    """A stage without an optimiser: rendering, pre-extraction. Attributes as in `TrainingStage`."""

    settings_type: type[Settings] = Settings

    def __init__(self, settings: Settings, run: Run, device: torch.device | str) -> None:
        self.settings, self.run, self.device = settings, run, device

    @abstractmethod
    def work(self) -> dict[str, float]:
        """Do it, this process's share; what is already there is kept. Returns figures."""


def find_part(path: Path, part: str, preset: Preset) -> nn.Module | None:
    """A part of the model at `path`, in eval mode and float32; None when the model has no such part.

    A UNet of 9 input channels is extended with zeros for pose and garment (published §5), one that has them already is
    taken as it is.

    Args:
        path: a diffusers folder, a folder that `export` wrote, a single checkpoint in the original layout, or one
            part's file.
        part: one of `embedded.PARTS`.
        preset: sizes it must have.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CheckpointError: the part is there but does not fit.
    """
    if not path.exists():
        raise FileNotFoundError(f"--init {path}: there is no such folder or file.")
    if (path / f"{part}.safetensors").is_file():  # a folder that `export` wrote
        path = path / f"{part}.safetensors"
    try:
        file = part_file(path, part)
    except CheckpointError:  # a folder without that part
        return None
    state = read_state_dict(file)
    if part not in parts_in(state):
        return None
    state = module_names(part, state, file)
    if part == "unet":
        state = extend_conv_in(state, preset.unet["in_channels"])
    return build_from(part, state, preset, path=file)
