"""The core's pipeline at full size: seconds of every stage, memory, batches, a step beside its UNet's call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import torch
from measuring import seconds_of, wait

from .agreement import inputs
from .page import Page, Setting
from .start_modes import stand_ins

FAST_MODE = {"float16": 5e-2, "float32": 1e-2, "bfloat16": 0.3}
"""Largest distance of the fast mode's latents from the exact mode's, relative, after 50 steps."""


def run(setting: Setting, page: Page) -> None:
    """A row for each number format, exact and fast, and batches of both; in a rehearsal small."""
    models = None if setting.rehearse else stand_ins(setting, page)
    if models is None and not setting.rehearse:
        return
    kinds = ("float32",) if setting.rehearse else tuple(FAST_MODE)
    page.say("\nThe embedded models." if setting.rehearse else "\nFull size, 512 x 384.")
    page.head(
        "number format", "load, s", "garment", "person", "warp", "denoise", "decode", "whole picture", "peak, GiB"
    )
    latents: dict = {}
    for kind, speed in product(kinds, ("exact", "fast")):
        with told(page, f"{kind}, {speed}"):
            pipeline, loading = loaded(setting, models, kind, speed)
            figures, latents[kind, speed] = stages(setting, pipeline)
            page.row((f"{kind}, {speed}", loading, *figures))
            page.expect(not pipeline.fallback_reason, f"{kind}: {pipeline.fallback_reason}")
        pipeline = None  # before the next one is loaded
    page.head("fast mode", "distance of its latents from the exact mode's, relative")
    for kind in kinds:
        if (kind, "exact") in latents and (kind, "fast") in latents:
            exact = latents[kind, "exact"].float()
            distance = float((latents[kind, "fast"].float() - exact).norm() / exact.norm())
            page.row((kind, distance))
            page.expect(distance < FAST_MODE[kind], f"{kind}: the fast mode gives another picture.")
    page.head(f"{kinds[0]}, pictures at once", "mode", "seconds a picture")
    for speed in ("exact", "fast"):
        with told(page, f"batches, {speed}"):
            pipeline, _ = loaded(setting, models, kinds[0], speed)
            batches(setting, pipeline, page)
    with told(page, "fast mode"):
        fast_mode(setting, loaded(setting, models, kinds[0], "fast")[0], page)


@contextmanager
def told(page: Page, what: str) -> Iterator[None]:
    """What fails inside is a problem on the page, and the rest has its turn."""
    try:
        yield
    except Exception as error:
        page.problem(f"{what}: {type(error).__name__}: {str(error)[-800:]}")


def loaded(setting: Setting, models: Path | None, kind: str, speed: str):
    """The pipeline on the device, and how long loading took."""
    from stand_ins import FILES

    from ladivton_core.pipeline import TryOnPipeline
    from ladivton_core.presets import SD2

    started, dtype = time.perf_counter(), getattr(torch, kind)
    if models is None:
        pipeline = TryOnPipeline.from_embedded(setting.device, dtype, speed=speed)
    else:
        files = {part: models / name for part, (name, _) in FILES.items()}
        pipeline = TryOnPipeline.from_files(files, SD2, setting.device, dtype, speed=speed)
    wait(torch.device(setting.device))
    return pipeline, time.perf_counter() - started


def stages(setting: Setting, pipeline) -> tuple[list[float], Any]:
    """Seconds of each stage and of the whole, the second time, and the most memory in GiB; the latents."""
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
    seconds = [seconds_of(work, pipeline.device, 1) for work in (garment, person, warp, denoise, decode, whole)]
    seconds[3] -= seconds[4]  # the call decodes too, which costs the same without skip features but for EMASC's sums
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    if not made["result"].images.isfinite().all():
        raise ValueError("the picture holds values that are no numbers")
    return [*seconds, peak], made["result"].latents.cpu()


def batches(setting: Setting, pipeline, page: Page) -> None:
    """Rows of seconds a picture in batches."""
    one = inputs(1, small=setting.rehearse)
    for count in (2,) if setting.rehearse else (4, 8, 16):
        people = {name: tensor.repeat(count, 1, 1, 1) for name, tensor in one.items()}
        work = {"guidance_scale": 7.5, "seeds": list(range(count))} | ({"steps": 1} if setting.rehearse else {})
        seconds = seconds_of(lambda people=people, work=work: pipeline(**people, **work), pipeline.device, 1)
        page.row((count, pipeline.speed, seconds / count))


def fast_mode(setting: Setting, fast, page: Page) -> None:
    """Seconds a picture of the fast mode in other ways to call it, and its step beside its UNet's call alone."""
    one = inputs(1, small=setting.rehearse)
    work = {"guidance_scale": 7.5} | ({"steps": 2} if setting.rehearse else {})
    cheaper = work | {"sampler": "dpmpp_2m", "guidance_interval": (0.1, 0.9), "steps": 2 if setting.rehearse else 20}
    count = 2 if setting.rehearse else 16
    many = {name: tensor.repeat(count, 1, 1, 1) for name, tensor in one.items()} | {"seeds": list(range(count))}
    page.head("fast mode", "seconds a picture")
    seconds = seconds_of(lambda: fast(**one, **cheaper), fast.device, 2)
    page.row(("20 steps of DPM++ 2M, guided from .1 to .9", seconds))
    page.row((f"{count} at once", seconds_of(lambda: fast(**many, **work), fast.device, 1) / count))

    unet = fast.ready_unet()
    sample = torch.randn(2, 31, *((16, 12) if setting.rehearse else (64, 48)), device=fast.device)
    words, when = torch.randn(2, 77, unet.config.cross_attention_dim, device=fast.device), torch.tensor(500)
    bare = seconds_of(lambda: unet(sample, when, words), fast.device, 20)
    person, garment = fast.encode_person(one["person"], one["mask"], one["pose_map"]), one["garment"]
    encoded, warped = fast.encode_garment(garment, "upper_body"), fast.warp(garment, person).warped

    def run(steps: int) -> float:
        call = {"warped": warped, "guidance_scale": 7.5, "steps": steps}
        return seconds_of(lambda: fast(person, encoded, **call), fast.device, 2)

    less, more = (2, 4) if setting.rehearse else (10, 50)
    each = (run(more) - run(less)) / (more - less)
    page.say(f"\nA guided step takes {1e3 * each:.2f} ms, {each / bare:.3f} times its UNet's call alone (goal 1.10).")
