"""Seconds and memory of a piece of work; what the machine could do; operations of each stage."""

from __future__ import annotations

import platform
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from ladivton_core.checkpoints.build import BUILDERS
from ladivton_core.decoding.taps import decode_with_skips, encode_with_taps
from ladivton_core.presets import Preset
from ladivton_core.warping.warper import GarmentWarper

_EVERY = 0.005  # seconds between two looks


def resident() -> int:
    """Bytes this process has in memory."""
    return psutil.Process().memory_info().rss


def anonymous() -> int:
    """Bytes this process has in memory, without pages of mapped files, which the system can drop."""
    memory = psutil.Process().memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def mapped(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors that lie in mapped files: no memory of the process's own, and yet in use."""
    if not (maps := Path("/proc/self/maps")).is_file():
        return 0
    lines = (line.split(maxsplit=5) for line in maps.read_text().splitlines())
    files = [
        tuple(int(end, 16) for end in words[0].split("-")) for words in lines if len(words) > 5 and words[4] != "0"
    ]
    return sum(t.nbytes for t in tensors if any(start <= t.data_ptr() < end for start, end in files))


class Measured:
    """`with Measured() as m: ...`, then `m.seconds`, and bytes: `m.before`, `m.after`, `m.peak` resident at once.

    `count` tells the bytes; with `resident`, pages of mapped files count while they are in memory.
    """

    seconds = 0.0
    before = after = peak = 0

    def __init__(self, count: Callable[[], int] = resident) -> None:
        self.count = count

    def __enter__(self) -> Measured:
        self._stop = threading.Event()
        self.before = self.peak = self.count()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        self._stop.set()
        self._watcher.join()
        self.after = self.count()
        self.peak = max(self.peak, self.after)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self.peak = max(self.peak, self.count())


@dataclass(frozen=True)
class Times:
    """Seconds of one way, a value a round: on the clock, and of the processor (all threads)."""

    clock: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds on the clock."""
        return statistics.median(self.clock)


def ratio(of: Times, to: Times, *, processor: bool = False) -> float:
    """Median of the rounds' ratios."""
    pairs = zip(of.processor, to.processor, strict=True) if processor else zip(of.clock, to.clock, strict=True)
    return statistics.median(a / max(b, 1e-9) for a, b in pairs)


def in_turn(ways: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, Times]:
    """Every way once to warm up, then all of them in turn; every other round backwards."""
    with torch.inference_mode():
        for way in ways.values():
            way()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for round_ in range(rounds):
            names = list(ways) if round_ % 2 == 0 else list(ways)[::-1]
            for name in names:
                found[name].append(once(ways[name], device))
    return {name: Times(*map(tuple, zip(*times, strict=True))) for name, times in found.items()}


def once(way: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one call: clock, processor."""
    wait(device)
    clock, processor = time.perf_counter(), time.process_time()
    way()
    wait(device)
    return time.perf_counter() - clock, time.process_time() - processor


def seconds_of(way: Callable[[], object], device: torch.device, tries: int = 5) -> float:
    """Fastest of a few calls after one to warm up: for peaks, which others on the machine can only lower."""
    with torch.inference_mode():
        way()
        return min(once(way, device)[0] for _ in range(tries))


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type != "cpu":
        getattr(torch, device.type).synchronize()


SIDE, SIDE_ON_GPU = 2048, 8192
"""Of the square matrices."""
PICTURE = (2, 320, 64, 48)
"""Of the convolution: a guided step's first level at 512 x 384."""
BYTES = 1 << 28
SLOWEST = 0.25
"""A format that took more seconds for a small convolution is not measured at full size."""


def name(device: torch.device) -> str:
    """The chip, in words that tell one kind of machine from another."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    words = Path("/proc/cpuinfo")
    facts = dict(line.split(":", 1) for line in words.read_text().splitlines() if ":" in line) if words.exists() else {}
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    model = facts.get("model name") or platform.processor() or platform.machine()
    family = f" family {facts['cpu family']} model {facts['model']}" if "cpu family" in facts else ""
    return f"{model}{family}, {torch.get_num_threads()} threads"


def peaks(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Operations a second of a large matrix product and of a convolution, bytes a second of a copy."""
    small = _convolution(device, dtype, (1, 64, 32, 32))
    slow = seconds_of(small[0], device, tries=1) > SLOWEST
    found = {}
    for what, (work, operations) in {
        "matrix product": _matrix_product(
            device, dtype, 256 if slow else SIDE if device.type == "cpu" else SIDE_ON_GPU
        ),
        "convolution": small if slow else _convolution(device, dtype, PICTURE),
    }.items():
        found[what] = operations / seconds_of(work, device)
    source = torch.zeros(BYTES // 4, device=device)
    target = torch.empty_like(source)
    found["bandwidth"] = 2 * BYTES / seconds_of(lambda: target.copy_(source), device)
    return found


def _matrix_product(device: torch.device, dtype: torch.dtype, side: int) -> tuple[Callable, float]:
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * side**3


def _convolution(device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int]) -> tuple[Callable, float]:
    batch, channels, height, width = shape
    layout = {"memory_format": torch.channels_last}
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, device=device, dtype=dtype).to(**layout)
    picture = torch.ones(shape, device=device, dtype=dtype).contiguous(**layout)
    return lambda: layer(picture), 2.0 * batch * channels**2 * 9 * height * width


def operations(preset: Preset, size: tuple[int, int], batch: int = 1) -> dict[str, float]:
    """Operations by stage, one addition and one multiplication being two.

    `step` is a guided one, `single` one without guidance; `person` and `garment latents` are the two encodings.
    """
    with torch.device("meta"):
        parts = {part: build(preset).eval() for part, build in BUILDERS.items() if part != "warping"}
        height, width = size
        latents = (height // 8, width // 8)
        picture = torch.empty(batch, 3, height, width)
        tokens = torch.empty(batch, preset.text.max_position_embeddings, preset.unet["cross_attention_dim"])
        pixels = torch.empty(batch, 3, preset.vision.image_size, preset.vision.image_size)
        ids = torch.zeros(batch, preset.text.max_position_embeddings, dtype=torch.int64)

    def unet(halves: int) -> object:
        sample = torch.empty(halves * batch, preset.unet["in_channels"], *latents, device="meta")
        return parts["unet"](sample, torch.empty(1, device="meta"), tokens.repeat(halves, 1, 1), return_dict=False)

    def person() -> object:
        return parts["emasc"](encode_with_taps(parts["vae"], picture)[1])

    def invert() -> object:
        parts["inversion_adapter"](parts["vision"](pixels))
        return [parts["text_encoder"](ids) for _ in range(2)]  # the garment's prompt and the empty one

    def decode() -> object:
        latent = torch.empty(batch, preset.vae["latent_channels"], *latents, device="meta")
        return decode_with_skips(parts["vae"], latent)

    stages = {
        "warp": lambda: _warp(preset, size, batch),
        "invert": invert,
        "person": person,
        "garment latents": lambda: encode_with_taps(parts["vae"], picture),
        "step": lambda: unet(2),
        "single": lambda: unet(1),
        "decode": decode,
    }
    found = {}
    for stage, work in stages.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        found[stage] = float(counter.get_total_flops())
    return found


def _warp(preset: Preset, size: tuple[int, int], batch: int) -> None:
    """The warper's networks; the spline between them is some thousand operations a pixel less."""
    with torch.device("meta"):
        warper = GarmentWarper.from_preset(preset).eval()
        low = (batch, warper.tps.height, warper.tps.width)
        garment = torch.empty(low[0], 3, *low[1:])
        person = torch.empty(low[0], preset.tps["input_nc"], *low[1:])
        channels = torch.empty(batch, preset.refinement["n_channels"], *size)
    warper.tps(garment, person)
    warper.refinement(channels)
