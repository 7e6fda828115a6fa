"""`python -m ladivton_core.memory_plan DEVICE`: the memory one picture takes, stage by stage, without that device.

Under torch's FakeTensorMode a forward pass runs on shapes, types and devices alone: nothing is allocated, and an
operation that mixes devices raises. torch has no public way to that: its meta tensors know one device only.
`tests/core/test_fake_cuda.py` uses it and fails where it changes; docs/models.md holds the table, `pipeline.py` has the
stages.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What the stages import when they first run has to be there before: made at import inside a FakeTensorMode, a
# library's own tensors would stay fake for the rest of the process.
import open_clip.transformer  # noqa: F401
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: F401
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from . import start
from .checkpoints.build import BUILDERS
from .denoising.noise import item_noise
from .denoising.sampling import denoise
from .denoising.schedule import ddim_scheduler
from .models import weight_bytes
from .pipeline import TryOnPipeline
from .presets import PRESETS, Preset

MIB = 2**20


@dataclass(frozen=True)
class Stage:
    """What one stage takes.

    Attributes:
        name: the stage.
        parts: models it runs, names of `embedded.PARTS`.
        weights: bytes of their parameters and buffers.
        peak: most bytes that are alive at once and were made by the stage; its inputs do not count.
        result: what it returned, fake tensors.
    """

    name: str
    parts: tuple[str, ...]
    weights: int
    peak: int
    result: Any


class FakeRun(TorchDispatchMode):
    """Counts the bytes alive on one kind of device; used inside a FakeTensorMode.

    Fake tensors have no values, so whatever a range check reads from one is 0.
    """

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device_type = device.type
        self.live = self.peak = 0
        self._known: set[int] = set()
        self._attention = _FusedAttention()

    def __enter__(self) -> FakeRun:
        super().__enter__()
        self._attention.__enter__()
        # ComfyUI lets half precision add up in half precision, where torch by itself takes float32 scores
        self._reduced = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(False)
        return self

    def __exit__(self, *error) -> None:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(self._reduced)
        self._attention.__exit__(*error)
        super().__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten._local_scalar_dense.default:
            return 0
        result = func(*args, **(kwargs or {}))
        self.count(result)
        return result

    def count(self, tensors: Any) -> None:
        """Count the storages of a nest of tensors that are not counted yet, until they die."""
        for tensor in tree_leaves(tensors):
            if isinstance(tensor, Tensor) and tensor.device.type == self.device_type:
                storage = tensor.untyped_storage()
                key, size = storage._cdata, storage.nbytes()
                if key not in self._known:
                    self._known.add(key)
                    self.live += size
                    self.peak = max(self.peak, self.live)
                    weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


class _FusedAttention(TorchFunctionMode):
    """Attention as the kernel a GPU takes; without one torch would write out every score.

    It does so in OpenCLIP's towers, whose layer hides its call from this mode: a few MiB for 257 tokens.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is F.scaled_dot_product_attention:
            return _fused(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _fused(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if enable_gqa or (attn_mask is not None and attn_mask.dtype == torch.bool):
        raise NotImplementedError("no model here attends with grouped queries or a boolean mask.")
    if attn_mask is not None:
        attn_mask = attn_mask.expand(*query.shape[:-1], key.shape[-2])
    return torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, False, dropout_p, is_causal, scale=scale
    )[0]


def fake_pipeline(preset: Preset, device: torch.device, dtype: torch.dtype) -> TryOnPipeline:
    """All models of a preset as fake tensors, the warper float32; to be called inside a FakeTensorMode."""
    parts = {}
    for part, build in BUILDERS.items():
        with torch.device(device):
            module = build(preset).eval()
        if part != "warping":  # taken over: fake parameters cannot be converted in place
            own = {key: x.to(dtype) if x.is_floating_point() else x for key, x in module.state_dict().items()}
            module.load_state_dict(own, assign=True)
        parts[part] = module
    return TryOnPipeline.from_parts(preset, parts)


def fake_inputs(preset: Preset, device: torch.device) -> dict[str, Tensor]:
    """Person, garment, mask and pose map of one picture at the preset's size, float32."""
    channels = {"person": 3, "garment": 3, "mask": 1, "pose_map": 18}
    return {name: torch.zeros(1, count, *preset.size, device=device) for name, count in channels.items()}


@torch.no_grad()
def memory_plan(preset: Preset, device: torch.device, dtype: torch.dtype) -> list[Stage]:
    """Run every stage once, on one fake picture of the preset's size with one guided denoising step.

    Raises:
        RuntimeError: a stage mixes devices.
    """
    with FakeTensorMode():
        pipeline = fake_pipeline(preset, device, dtype)
        models, x = pipeline.parts, fake_inputs(preset, device)
        stages: list[Stage] = []
        with FakeRun(device) as run:
            run.count([x, *(list(m.parameters()) + list(m.buffers()) for m in models.values())])

            def stage(name: str, parts: tuple[str, ...], call: Callable[[], Any]) -> Any:
                before = run.peak = run.live
                result = call()
                weights = weight_bytes(*(models[part] for part in parts))
                stages.append(Stage(name, parts, weights, run.peak - before, result))
                return result

            person = stage(
                "encode person", ("vae", "emasc"), lambda: pipeline.encode_person(x["person"], x["mask"], x["pose_map"])
            )
            garment = stage(
                "textual inversion",
                ("vision", "inversion_adapter", "text_encoder"),
                lambda: pipeline.encode_garment(x["garment"], "upper_body"),
            )
            warp = stage("warp", ("warping",), lambda: pipeline.warp(x["garment"], person))
            noise = item_noise([0], (4, *person.moments.shape[-2:]), dtype=dtype)
            conditioning = stage(
                "encode warped garment", ("vae",), lambda: pipeline.conditioning(person, warp.warped, noise)
            )
            empty = pipeline.empty_prompt()
            latents = stage(
                "denoise",
                ("unet",),
                lambda: denoise(
                    pipeline.unet,
                    ddim_scheduler(preset.schedule),
                    noise.latents.to(conditioning),
                    conditioning,
                    garment.prompt,
                    empty,
                    steps=1,
                    guidance_scale=preset.guidance_scale,
                ),
            )
            stage("decode", ("vae",), lambda: pipeline.decode(latents, person.skips))
    return stages


def markdown(single: list[Stage], half: list[Stage]) -> str:
    """The plans in float32 and float16 as one table, in MiB."""
    lines = [
        "| Stage | Models | Weights float32 | Weights float16 | Peak float32 | Peak float16 |",
        "|---|---|---|---|---|---|",
    ]
    for a, b in zip(single, half, strict=True):
        numbers = " | ".join(f"{round(size / MIB)}" for size in (a.weights, b.weights, a.peak, b.peak))
        lines.append(f"| {a.name} | {', '.join(a.parts)} | {numbers} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = start.make_parser("memory_plan", __doc__.splitlines()[0])
    parser.add_argument("device", type=torch.device, help="kind of device to plan for; it need not be there")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="sd2")
    options = parser.parse_args(arguments)
    plans = [memory_plan(PRESETS[options.preset], options.device, dtype) for dtype in (torch.float32, torch.float16)]
    sys.stdout.write(markdown(*plans) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
