"""The card, the versions, and what the card can do at most."""

from __future__ import annotations

import platform
import re

from .page import Page, Setting


def run(setting: Setting, page: Page) -> None:
    """A table of names, and the peaks of multiplication, of convolution and of memory."""
    import torch
    from measuring import name, peaks

    device = torch.device(setting.device)
    rows = {"card": name(device), "Python": platform.python_version(), "torch": torch.__version__}
    rows |= {"CUDA": torch.version.cuda or "none", "ComfyUI": comfyui_version(setting)}
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info()
        rows |= {"memory, free of total, GiB": f"{free / 2**30:.1f} of {total / 2**30:.1f}"}
    page.head("machine", "")
    for row in rows.items():
        page.row(row)
    page.head("peak", "matrix product, TFLOP/s", "convolution, TFLOP/s", "copy, GB/s")
    for kind in ("float32",) if setting.rehearse else ("float32", "bfloat16", "float16"):
        found = peaks(device, getattr(torch, kind))
        page.row((kind, found["matrix product"] / 1e12, found["convolution"] / 1e12, found["bandwidth"] / 1e9))


def comfyui_version(setting: Setting) -> str:
    """What ComfyUI says of itself."""
    file = setting.host.comfyui / "comfyui_version.py"
    found = re.search(r'"([^"]+)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    return found[1] if found else "unknown"
