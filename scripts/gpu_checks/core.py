"""The core's pipeline at full size: seconds of every stage, memory, batches, and what a step of the UNet could cost."""

from __future__ import annotations

import time
from pathlib import Path

from .agreement import inputs
from .machine import fastest, name_of, synchronise
from .page import Page, Setting
from .start_modes import stand_ins

FLOP_OF_A_GUIDED_STEP = 1.02e12


def run(setting: Setting, page: Page) -> None:
    """A table a number format, then the UNet alone; in a rehearsal the embedded models."""
    import torch

    models = None if setting.rehearse else stand_ins(setting, page)
    if models is None and not setting.rehearse:
        return
    kinds = ("float32",) if setting.rehearse else ("float16", "float32", "bfloat16")
    page.say(f"\n{name_of(setting.device)}, {'embedded models' if setting.rehearse else 'full size, 512 x 384'}.")
    page.head(
        "number format", "load, s", "garment", "person", "warp", "denoise", "decode", "whole picture", "peak, GiB"
    )
    for kind in kinds:
        try:
            pipeline, loading = loaded(setting, models, getattr(torch, kind))
            page.row((kind, loading, *stages(setting, pipeline)))
        except Exception as error:
            page.problem(f"{kind}: {type(error).__name__}: {str(error)[-800:]}")
        finally:
            pipeline = None
            if setting.device.startswith("cuda"):
                torch.cuda.empty_cache()
    pipeline, _ = loaded(setting, models, getattr(torch, kinds[0]))
    page.say(f"\nIn {kinds[0]}:")
    for table in (batches, step):
        try:
            table(setting, pipeline, page)
        except Exception as error:
            page.problem(f"{table.__name__}: {type(error).__name__}: {str(error)[-800:]}")


def loaded(setting: Setting, models: Path | None, dtype):
    """The pipeline on the device, and how long loading took."""
    from stand_ins import FILES

    from ladivton_core.pipeline import TryOnPipeline
    from ladivton_core.presets import SD2

    started = time.perf_counter()
    if models is None:
        pipeline = TryOnPipeline.from_embedded(setting.device, dtype)
    else:
        files = {part: models / name for part, (name, _) in FILES.items()}
        pipeline = TryOnPipeline.from_files(files, SD2, setting.device, dtype)
    synchronise(setting.device)
    return pipeline, time.perf_counter() - started


def stages(setting: Setting, pipeline) -> list[float]:
    """Seconds of each stage and of the whole, the second time, and the most memory in GiB."""
    import torch

    one = inputs(1, small=setting.rehearse)
    steps = {"steps": 2} if setting.rehearse else {}
    made: dict = {}

    def garment() -> None:
        made["garment"] = pipeline.encode_garment(one["garment"], "upper_body")

    def person() -> None:
        made["person"] = pipeline.encode_person(one["person"], one["mask"], one["pose_map"])

    def warp() -> None:
        made["warped"] = pipeline.warp(one["garment"], made["person"]).warped

    def denoise() -> None:
        bare = {"warped": made["warped"], "emasc": False}
        made["result"] = pipeline(made["person"], made["garment"], **bare, guidance_scale=7.5, **steps)

    def decode() -> None:
        pipeline.decode(made["result"].latents, made["person"].skips)

    def whole() -> None:
        pipeline(**one, guidance_scale=7.5, **steps)

    cuda = setting.device.startswith("cuda")
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    seconds = [fastest(work, setting.device, times=1) for work in (garment, person, warp, denoise, decode, whole)]
    seconds[3] -= seconds[4]  # the call decodes too, which costs the same without skip features but for EMASC's sums
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    if not made["result"].images.isfinite().all():
        raise ValueError("the picture holds values that are no numbers")
    return [*seconds, peak]


def batches(setting: Setting, pipeline, page: Page) -> None:
    """Seconds a picture in batches."""
    page.head("pictures at once", "seconds a picture")
    one = inputs(1, small=setting.rehearse)
    for count in (2,) if setting.rehearse else (4, 8, 16):
        people = {name: tensor.repeat(count, 1, 1, 1) for name, tensor in one.items()}
        work = {"guidance_scale": 7.5, "seeds": list(range(count))} | ({"steps": 1} if setting.rehearse else {})
        seconds = fastest(lambda people=people, work=work: pipeline(**people, **work), setting.device, times=1)
        page.row((count, seconds / count))


def step(setting: Setting, pipeline, page: Page) -> None:
    """Milliseconds of one guided step of the bare UNet: eager, and as a captured CUDA graph."""
    import torch

    page.head("UNet alone, one guided step", "ms", "TFLOP/s" if not setting.rehearse else "")
    unet, size = pipeline.unet, (16, 12) if setting.rehearse else (64, 48)
    like = {"device": pipeline.device, "dtype": pipeline.dtype}
    latents = torch.randn(2, 31, *size, **like)
    words = torch.randn(2, 77, unet.config.cross_attention_dim, **like)
    when = torch.full((2,), 500, device=pipeline.device)

    def eager() -> None:
        unet(latents, when, words)

    def told(name: str, work) -> None:
        seconds = fastest(work, setting.device, times=20)
        page.row((name, 1e3 * seconds, "" if setting.rehearse else FLOP_OF_A_GUIDED_STEP / seconds / 1e12))

    with torch.inference_mode():
        told("eager", eager)
        if not setting.device.startswith("cuda"):
            return
        for name, form in (("CUDA graph", torch.contiguous_format), ("CUDA graph, channels-last", torch.channels_last)):
            unet.to(memory_format=form)
            latents = latents.to(memory_format=form)
            side = torch.cuda.Stream()
            with torch.cuda.stream(side):  # a capture wants its kernels chosen before
                eager()
            torch.cuda.current_stream().wait_stream(side)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                eager()
            told(name, graph.replay)
            del graph
        unet.to(memory_format=torch.contiguous_format)
