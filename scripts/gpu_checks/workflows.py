"""Every shipped workflow once, on the embedded models, in ComfyUI's default mode; the first also as CUDA graphs."""

from __future__ import annotations

import json

from hosting.graph import the, with_embedded_models, with_value
from hosting.shipped import STOCK_MODELS, TITLES, queue_file

from .page import Page, Setting
from .serving import Held, serving

GRAPHS = "the first again, Try-On Speed with CUDA graphs"
LEFT_OUT = ("Finding people", "ai-edge-litert")
"""What a message says where the packages or files that find a person are not there; nothing is fetched here."""


def run(setting: Setting, page: Page) -> None:
    """A row a workflow."""
    names = [name for name in TITLES if name not in STOCK_MODELS]  # nothing stands in for others' files
    if setting.rehearse:  # those of a few seconds
        names = ["tryon_embedded", "tryon_ksampler", "tryon_vitonhd", "wardrobe", "paper_ablation"]
    page.head("workflow", "seconds", "pictures", "most held, GiB")
    with serving(setting, ()) as client:
        for name in (*names, GRAPHS):
            file = queue_file(names[0] if name == GRAPHS else name)
            workflow = with_embedded_models(json.loads(file.read_text(encoding="utf-8")))
            if name == GRAPHS:
                sampler = workflow[the(workflow, "LadiVTON_TryOnSampler")]["inputs"]
                wires = {"model": sampler["model"], "guidance_start": 0.0, "guidance_end": 1.0, "cache_prompt": False}
                workflow["graphs"] = {"class_type": "LadiVTON_TryOnSpeed", "inputs": wires | {"cuda_graph": True}}
                sampler["model"] = ["graphs", 0]
            if setting.rehearse:
                workflow = with_value(workflow, "steps", 1)
            try:
                with Held(client.url) as held:
                    run = client.run(workflow, timeout=120)
                if run.status == "error" and any(word in str(run.error) for word in LEFT_OUT):
                    page.row((name, "left out", run.error["exception_message"].strip().splitlines()[0], ""))
                    continue
                run.or_raise()
                page.row((name, run.seconds, len(run.images()), held.gib))
                page.expect(bool(run.images()), f"{name}: nothing was saved.")
            except Exception as error:
                page.problem(f"{name}: {type(error).__name__}: {str(error)[-800:]}")
