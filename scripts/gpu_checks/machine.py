"""The card, the versions, and what the card can do at most."""

from __future__ import annotations

import platform
import re
import time

from .page import Page, Setting


def run(setting: Setting, page: Page) -> None:
    """A table of names, and the peaks of multiplication and of memory."""
    import torch

    rows = {"card": name_of(setting.device), "Python": platform.python_version(), "torch": torch.__version__}
    rows |= {"CUDA": torch.version.cuda or "none", "ComfyUI": comfyui_version(setting)}
    if setting.device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info()
        rows |= {"memory, free of total, GiB": f"{free / 2**30:.1f} of {total / 2**30:.1f}"}
    page.head("machine", "")
    for row in rows.items():
        page.row(row)
    size = 512 if setting.rehearse else 8192
    kinds = ("float32",) if setting.rehearse else ("float32", "bfloat16", "float16")
    page.head("peak", "measured")
    for kind in kinds:
        left = torch.randn(size, size, device=setting.device, dtype=getattr(torch, kind))
        seconds = fastest(lambda left=left: left @ left, setting.device)
        page.row((f"matrix product in {kind}, TFLOP/s", 2 * size**3 / seconds / 1e12))
    wide = torch.empty((2**22 if setting.rehearse else 2**28), device=setting.device)
    page.row(("copy, GB/s", 2 * wide.nbytes / fastest(lambda: wide.clone(), setting.device) / 1e9))


def name_of(device: str) -> str:
    """The card's own name."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{device} ({platform.processor() or platform.machine()})"


def comfyui_version(setting: Setting) -> str:
    """What ComfyUI says of itself."""
    file = setting.host.comfyui / "comfyui_version.py"
    found = re.search(r'"([^"]+)"', file.read_text(encoding="utf-8")) if file.is_file() else None
    return found[1] if found else "unknown"


def synchronise(device: str) -> None:
    """Wait until the device has done what it was told."""
    import torch

    if not device.startswith("cpu"):
        getattr(torch, device.partition(":")[0]).synchronize()


def fastest(work, device: str, times: int = 5) -> float:
    """Seconds of the fastest of several runs."""
    work()
    synchronise(device)
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        synchronise(device)
        taken.append(time.perf_counter() - started)
    return min(taken)
