"""One workflow in every way to start ComfyUI: seconds, memory, previews, and whether the picture stays.

On a GPU the published VITON-HD workflow on full-size stand-ins, 50 guided steps; in a rehearsal the embedded one.
"""

from __future__ import annotations

import copy
import json

from hosting.graph import the, with_value
from hosting.shipped import queue_file

from .page import Page, Setting
from .serving import Held, picture, serving, wait_for

SAME = ("--lowvram", "--novram", "--gpu-only")
"""Modes that move weights and compute nothing else: their picture is the default's but for rounding."""
PATIENCE = 120.0


def run(setting: Setting, page: Page) -> None:
    """A row a mode; a mode that fails is a problem, and the next one has its turn."""
    models = None if setting.rehearse else stand_ins(setting, page)
    if models is None and not setting.rehearse:
        return
    name = "tryon_embedded" if setting.rehearse else "tryon_vitonhd"
    workflow = json.loads(queue_file(name).read_text(encoding="utf-8"))
    workflow = with_value(with_value(workflow, "precision", "default"), "steps", 1 if setting.rehearse else 50)
    page.say(f"\n`{name}`, {'1 step' if setting.rehearse else '50 guided steps'}.")
    page.head("started with", "cold, s", "new seed, s", "most held, GiB", "previews", "mean difference, of 255")
    first = None
    for mode, arguments in modes(setting).items():
        try:
            with serving(setting, arguments, models) as client, Held(client.url) as held:
                cold = client.run(workflow).or_raise()
                found = picture(client, cold)
                again = client.run(with_value(workflow, "seed", 7)).or_raise()
                first = found if first is None else first
                apart = float(abs(found - first).mean())
                page.row((mode, cold.seconds, again.seconds, held.gib, cold.previews, apart))
                page.expect(found.std() > 1, f"{mode}: the picture is all one colour.")
                page.expect(apart < 1 or mode.split(",")[0] not in SAME, f"{mode}: another picture than the default's.")
                if mode == "default":
                    more(client, workflow, setting, page)
        except Exception as error:
            page.problem(f"{mode}: {type(error).__name__}: {str(error)[-800:]}")


def more(client, workflow: dict, setting: Setting, page: Page) -> None:
    """Fewer steps, and four pictures at once."""
    seconds = client.run(with_value(with_value(workflow, "steps", 1 if setting.rehearse else 20), "seed", 8)).or_raise()
    page.row(("default, 20 steps", "", seconds.seconds, "", "", ""))
    four = with_value(copy.deepcopy(workflow), "seed", 9)
    sampler = four[the(four, "LadiVTON_TryOnSampler")]["inputs"]
    four["four"] = {"class_type": "RepeatLatentBatch", "inputs": {"samples": sampler["latent"], "amount": 4}}
    sampler["latent"] = ["four", 0]
    page.row(("default, four at once", "", client.run(four).or_raise().seconds, "", "", ""))


def modes(setting: Setting) -> dict[str, tuple[str, ...]]:
    """Name -> arguments. `--cpu` excludes the others about memory, so that a rehearsal has three fewer."""
    number_formats = {"--fast": ("--fast",), "bf16 UNet": ("--bf16-unet",), "fp8 UNet": ("--fp8_e4m3fn-unet",)}
    if setting.rehearse:
        return {"default": (), **number_formats}
    memory = {"--novram": ("--novram",), "--lowvram": ("--lowvram",)}
    if setting.device.startswith("cuda"):
        import torch

        gib = torch.cuda.get_device_properties(setting.device).total_memory / 2**30
        if gib > 12:  # as on a small card
            memory["--lowvram, 5 GiB left"] = ("--lowvram", "--reserve-vram", f"{gib - 5:.1f}")
    return {"default": (), **memory, "--gpu-only": ("--gpu-only",), **number_formats}


def stand_ins(setting: Setting, page: Page):
    """The folder of full-size files once they are all there; None with a problem when they are not."""
    from stand_ins import FILES

    files = [setting.models / name for name, _ in FILES.values()]
    missing = wait_for(files, setting.not_written, PATIENCE)
    why = setting.not_written.read_text(encoding="utf-8") if setting.not_written.is_file() else "not in time"
    page.expect(not missing, f"{len(missing)} of {len(files)} stand-ins were not written: {why}.")
    return None if missing else setting.models
