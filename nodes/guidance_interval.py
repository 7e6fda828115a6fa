"""Guidance in a part of the noise schedule only, after Kynkäänniemi et al. (arXiv 2404.07724).

Outside the interval the model runs on the positive conditioning alone, as with a guidance of 1. A wrapper in ComfyUI's
own sampling, so that every sampler knows it. `speed.py` is the node.
"""

from __future__ import annotations

from comfy.patcher_extension import WrappersMP

KEY = "LadiVTON_guidance_interval"


def guided_between(model, start: float, end: float):
    """The MODEL, guided between two shares of the noise schedule, 0 the noisiest; changes the clone it is given.

    A second call replaces the first. Samplers with more than a positive and a negative side are left as they are.
    """
    model.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, KEY)
    if (start, end) != (0.0, 1.0):
        model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, KEY, _Interval(start, end))
    return model


class _Interval:
    """ComfyUI's function for both predictions, which outside the interval makes one and gives it for both."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def __call__(self, executor, model, conds, x_in, timestep, model_options):
        if len(conds) != 2 or conds[1] is None or self._includes(float(timestep.max()), model.model_sampling):
            return executor(model, conds, x_in, timestep, model_options)
        (prediction,) = executor(model, conds[:1], x_in, timestep, model_options)
        return [prediction, prediction.clone()]  # apart, should a patch write into one of them

    def _includes(self, sigma: float, sampling) -> bool:
        """Both ends belong to it, as with ComfyUI's own timestep ranges."""
        return sampling.percent_to_sigma(self.end) <= sigma <= sampling.percent_to_sigma(self.start)
