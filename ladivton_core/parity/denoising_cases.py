"""Golden family of the denoising stage alone: ddim. `pipeline_cases.py` has the loop with its models."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..denoising.schedule import alphas_cumprod
from .case import Case, Check, family
from .models import schedule_of, scheduler_of
from .rule import rule_input


@family("ddim")
def ddim(case: Case) -> Iterator[Check]:
    """Scheduler steps on rule inputs x{n} and eps{n}_{k}, whose range the case's text gives."""
    bounds = re.search(r"range \[\s*(-?[\d.]+)\s*,\s*(-?[\d.]+)\s*\]", str(case.meta.get("inputs", "")))
    low, high = (float(bounds[1]), float(bounds[2])) if bounds else (-2.0, 2.0)
    scheduler_config = {key: value for key, value in case.config.items() if key != "steps"}
    scheduler = scheduler_of(scheduler_config)
    computed, exact = {"alphas_cumprod": alphas_cumprod(schedule_of(scheduler_config))}, []
    if scheduler_config.get("beta_schedule", "scaled_linear") != "scaled_linear" or scheduler_config.get(
        "trained_betas"
    ):
        computed["alphas_cumprod"] = scheduler.alphas_cumprod
    for steps in case.config["steps"]:
        scheduler.set_timesteps(steps)
        shape = case.tensors[f"final_{steps}"].shape
        sample = rule_input(case.seed, f"x{steps}", shape, low, high)
        for index, timestep in enumerate(scheduler.timesteps):
            prediction = rule_input(case.seed, f"eps{steps}_{index}", shape, low, high)
            sample = scheduler.step(prediction, timestep, sample, return_dict=False)[0]
        computed |= {f"timesteps_{steps}": scheduler.timesteps, f"final_{steps}": sample}
        exact.append(f"timesteps_{steps}")
    yield from case.checks(computed, exact)
