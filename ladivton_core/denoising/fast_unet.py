"""The diffusers UNet called as `sampling.denoise` calls it, with less work around the arithmetic.

The memory layout that convolutions are fastest in; keys and values of a prompt computed once in place of once a step,
for they depend on the prompt and on two weights of each layer; on CUDA one graph for each shape of the inputs, kept for
the next picture: a guided step launches thousands of kernels, each shorter than its launch. Results differ from the
plain UNet's by the order of additions.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.processor import layout

log = logging.getLogger(__name__)

Kept = tuple[Tensor, Tensor]
"""Keys and values (B, heads, T, C) of one layer."""

_KEPT: ContextVar[dict[PromptAttention, Kept] | None] = ContextVar("keys and values by layer", default=None)
"""Of the call that runs; another thread has its own."""


class PromptAttention:
    """Processor of one cross-attention layer; within `attending` it looks at what is kept and at no prompt.

    With nothing kept it computes as diffusers' own does.

    Args:
        plain: diffusers' own processor, for every other call.
    """

    def __init__(self, plain) -> None:
        self._plain = plain

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, **kwargs):
        kept = _KEPT.get()
        if kept is None:
            return self._plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **kwargs)
        batch, tokens, width = hidden_states.shape
        query = attn.to_q(hidden_states).view(batch, tokens, attn.heads, -1).transpose(1, 2)
        found = F.scaled_dot_product_attention(query, *kept[self])
        return attn.to_out[0](found.transpose(1, 2).reshape(batch, tokens, -1))


def install(unet: nn.Module) -> list[tuple[nn.Module, PromptAttention]]:
    """Give every cross-attention layer of a diffusers UNet a `PromptAttention`; returns layers and processors.

    Raises:
        ValueError: a layer does more than Stable Diffusion's, so that its keys cannot be kept.
    """
    from diffusers.models.attention_processor import AttnProcessor2_0

    found = []
    for name, layer in unet.named_modules():
        if not name.endswith(".attn2"):
            continue
        processor = layer.processor
        if not isinstance(processor, PromptAttention):
            if type(processor) is not AttnProcessor2_0 or _does_more(layer):
                raise ValueError(f"{name} is no plain cross-attention ({type(processor).__name__}).")
            processor = PromptAttention(processor)
            layer.set_processor(processor)
        found.append((layer, processor))
    return found


@contextmanager
def attending(layers: Sequence[tuple[nn.Module, PromptAttention]], kept: Sequence[Kept]) -> Iterator[None]:
    """Inside, the layers that `install` gave attend to these keys and values, whatever prompt they get."""
    before = _KEPT.set({processor: pair for (_, processor), pair in zip(layers, kept, strict=True)})
    try:
        yield
    finally:
        _KEPT.reset(before)


def keys_and_values(layer: nn.Module, prompt: Tensor) -> Kept:
    """What a layer makes of a prompt (B, T, C)."""
    batch, tokens, _ = prompt.shape
    key, value = (
        project(prompt).view(batch, tokens, layer.heads, -1).transpose(1, 2) for project in (layer.to_k, layer.to_v)
    )
    return key, value


def _does_more(layer: nn.Module) -> bool:
    """Whether a layer has anything that `PromptAttention` leaves out."""
    options = (layer.spatial_norm, layer.group_norm, layer.norm_cross, layer.norm_q, layer.norm_k)
    return any(options) or layer.residual_connection or layer.rescale_output_factor != 1


Function = Callable[..., Tensor]
Recorder = Callable[[Function, Sequence[Tensor]], Function]
"""Makes of a function and examples of its inputs one that takes inputs of the same shapes, formats and types."""

WARM_UP = 3
"""Calls before the recording, in which libraries choose their kernels and take their workspaces."""


def recorder(device: torch.device) -> Recorder | None:
    """What records on a device; None where functions run as they are."""
    return record_cuda_graph if device.type == "cuda" and torch.version.hip is None else None


def record_cuda_graph(function: Function, inputs: Sequence[Tensor]) -> Function:
    """The function as a CUDA graph.

    Whatever it reads beside its inputs (weights, kept keys) is read at the addresses it has now: it may change in place
    and must stay alive. The result is a copy, the caller's own.

    Raises:
        RuntimeError: it does something that no graph can hold, or memory is short.
    """
    device = inputs[0].device
    held = [x.clone() for x in inputs]
    with torch.cuda.device(device):
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function(*held)
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may use the device meanwhile
            result = function(*held)

    def replay(*given: Tensor) -> Tensor:
        for kept, new in zip(held, given, strict=True):
            kept.copy_(new)
        graph.replay()
        return result.clone()

    return replay


SHAPES = 4
"""Shapes whose graphs are kept: both halves and one alone, at two sizes."""


class FastUNet:
    """A UNet in eval mode, changed in place: memory format and processors of its cross-attention.

    Args:
        unet: diffusers UNet.
        record: see `Recorder`; told from the UNet's device when "auto", None runs without.

    Raises:
        ValueError: the UNet's cross-attention is not Stable Diffusion's.
    """

    def __init__(self, unet: nn.Module, record: Recorder | None | str = "auto") -> None:
        weight = unet.conv_in.weight
        self.unet = unet.to(memory_format=layout(weight.device, weight.dtype))
        self._layers = install(unet)
        self._record = record
        self._fallback_reason: str | None = None
        self._ways: OrderedDict[tuple, _Way] = OrderedDict()
        self._weights: tuple = ()
        self._lock = Lock()  # a recording has one place for its inputs

    def __reduce__(self) -> tuple:
        """Copied and sent without what is kept for this machine."""
        return FastUNet, (self.unet, self._record)

    @property
    def config(self) -> Any:
        """The UNet's."""
        return self.unet.config

    @property
    def fallback_reason(self) -> str | None:
        """Why nothing is recorded although it should be, or None."""
        return self._fallback_reason

    def begin(self) -> None:
        """A run starts: prompts are projected anew, so that weights changed in place since the last one are seen."""
        for way in self._ways.values():
            way.prompt = None

    def __call__(
        self, sample: Tensor, timestep: Tensor | float, encoder_hidden_states: Tensor, return_dict: bool = False
    ) -> tuple[Tensor]:
        """Prediction in a tuple, as the UNet gives it for `return_dict=False`.

        Args:
            sample: (B, C, h, w) in any floating type; the UNet computes in its own and the result is of the sample's.
            timestep: one for the batch.
            encoder_hidden_states: (B, T, C); known again by being the same tensor.

        Raises:
            ValueError: `return_dict` was asked for.
        """
        if return_dict:
            raise ValueError("FastUNet answers with a tuple: call it with return_dict=False.")
        weight = self.unet.conv_in.weight
        # what is kept outlives the call, and tensors made in inference mode could not be written to outside it
        with self._lock, torch.inference_mode(False), torch.no_grad():
            x = sample.to(weight.device, weight.dtype, memory_format=layout(weight.device, weight.dtype))
            time = torch.as_tensor(timestep).reshape(1).to(x.device)
            prompt = encoder_hidden_states
            way = self._way(x, time, prompt, weight)
            if way.prompt is not prompt:
                way.project(self._layers, prompt.to(x))
                way.prompt = prompt
            return (self._run(way, x, time).to(sample.dtype),)

    def _way(self, x: Tensor, time: Tensor, prompt: Tensor, weight: Tensor) -> _Way:
        """What is kept for inputs of these shapes; nothing once the weights have moved."""
        weights = (weight.data_ptr(), weight.dtype, weight.device)
        if weights != self._weights:
            self._ways.clear()
            self._weights = weights
        key = (tuple(x.shape), tuple(prompt.shape), time.dtype)
        way = self._ways.setdefault(key, _Way())
        self._ways.move_to_end(key)
        while len(self._ways) > SHAPES:
            self._ways.popitem(last=False)
        return way

    def _run(self, way: _Way, x: Tensor, time: Tensor) -> Tensor:
        if way.recorded is not None:
            return way.recorded(x, time)
        record = recorder(x.device) if self._record == "auto" else self._record

        def plain(x: Tensor, time: Tensor) -> Tensor:
            return self._plain(way.kept, x, time)

        if record is None or self._fallback_reason:
            return plain(x, time)
        try:
            way.recorded = record(plain, (x, time))
        except (RuntimeError, AssertionError, NotImplementedError) as error:
            self._fallback_reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            log.warning("The UNet runs without a CUDA graph, slower: %s", self._fallback_reason)
            return plain(x, time)
        return way.recorded(x, time)

    def _plain(self, kept: Sequence[Kept], x: Tensor, time: Tensor) -> Tensor:
        """The UNet on kept keys and values; the prompt it is given is looked at by nobody."""
        with attending(self._layers, kept):
            return self.unet(x, time, encoder_hidden_states=x.new_empty(0), return_dict=False)[0]


class _Way:
    """For one shape of the inputs: the prompt's keys and values in every layer, and the recording that reads them."""

    def __init__(self) -> None:
        self.prompt: Tensor | None = None
        self.kept: list[Kept] = []
        self.recorded: Function | None = None

    def project(self, layers: Sequence[tuple[nn.Module, Any]], prompt: Tensor) -> None:
        """Fill `kept`, in place once there is one: a recording reads it where it is."""
        made = [keys_and_values(layer, prompt) for layer, _ in layers]
        if not self.kept:
            self.kept = made
            return
        for old, new in zip(self.kept, made, strict=True):
            for kept, values in zip(old, new, strict=True):
                kept.copy_(values)
