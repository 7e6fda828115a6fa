"""The embedded default's losses on a GPU without a GPU: nothing is left on the CPU, and no step waits for the device.

FakeTensorMode computes shapes, types and devices only. It raises where devices mix, and where the host would have to
read a value from the device.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from drawn_world.training.finish import Finish, Painter
from drawn_world.training.latents import Latents
from drawn_world.training.pool import Pool
from drawn_world.training.reading import AttributeReader, PromptReader, Vision, Words
from drawn_world.training.recipe import EMBEDDED
from drawn_world.training.tryon import TryOn
from drawn_world.training.vae import Codec, Vae
from drawn_world.training.warping import Refinement, Tps
from ladivton_core.checkpoints.build import BUILDERS
from ladivton_core.denoising.schedule import alphas_cumprod, timesteps
from ladivton_core.inversion import encoders
from ladivton_core.presets import TINY
from ladivton_core.training.denoiser import PARTS, TryOnDenoiser
from ladivton_core.training.norms import light_norms
from ladivton_core.training.recipe import Training

pytestmark = pytest.mark.long

CUDA = torch.device("cuda", 0)
ROWS = 5


class Draws:
    """What `BlockDraws` gives, without a generator, which no fake device has."""

    def __init__(self, count: int, shared: float):
        self.count, self._shared, self.host = count, shared, np.random.default_rng(1)

    def normal(self, *shape):
        return torch.randn(self.count, *shape, device=CUDA)

    def uniform(self):
        return torch.rand(self.count, device=CUDA)

    def integers(self, stop):
        return torch.randint(stop, (self.count,), device=CUDA)

    def shared(self):
        return self._shared

    def fewer(self, count):
        return Draws(count, self._shared)


class Rows(dict):
    """Fields by name, with `Pool`'s ways to read them."""

    pictures, masks = Pool.pictures, Pool.masks

    def __len__(self):
        return ROWS


def picture(*size, count=2, channels=3):
    return torch.zeros(ROWS, count, channels, *size, dtype=torch.uint8, device=CUDA)


def world(size) -> Rows:
    small, side = TINY.warp_size, TINY.vision.image_size
    return Rows(
        persons=picture(*size), garments=picture(*size), worn=picture(*size), masks=picture(*size, channels=1),
        agnostic=picture(*small), clip=picture(side, side), keypoints=torch.zeros(ROWS, 18, 2, device=CUDA),
        category=torch.zeros(ROWS, dtype=torch.long, device=CUDA),
        patterns=torch.zeros(ROWS, 2, dtype=torch.long, device=CUDA), numbers=torch.zeros(ROWS, 2, 10, device=CUDA),
        refined=torch.ones(ROWS, dtype=torch.bool, device=CUDA),
    )  # fmt: skip


def latents(size) -> Rows:
    h, w = (side // 8 for side in size)

    def moments(count):
        return torch.zeros(ROWS, count, 8, h, w, dtype=torch.float16, device=CUDA)

    return Rows(
        truth=moments(2), masked=moments(2), warped=moments(3),
        plans=torch.zeros(ROWS, 3, 2, dtype=torch.long, device=CUDA),
        holes=torch.zeros(ROWS, 2, 1, h, w, dtype=torch.uint8, device=CUDA),
        tokens=torch.zeros(ROWS, 2, 257, 96, dtype=torch.float16, device=CUDA),
        keypoints=torch.zeros(ROWS, 18, 2, device=CUDA), category=torch.zeros(ROWS, dtype=torch.long, device=CUDA),
    )  # fmt: skip


def built(part):
    """A part with fake weights on the GPU."""
    with torch.device(CUDA):
        return light_norms(BUILDERS[part](TINY), CUDA)


def on_device(kind, *parts):
    with torch.device(CUDA):
        return kind(*parts)


def unchecked(embeddings, ids, pseudo_words):
    """As `encoders.insert_pseudo_words`, which looks at the ids to refuse prompts without room."""
    return embeddings + 0 * pseudo_words.mean(1, keepdim=True)


def staged(name, settings):
    """A stage with its module, made without reading files; inside FakeTensorMode."""
    stage = EMBEDDED.stages[name].__new__(EMBEDDED.stages[name])
    stage.settings, stage.preset, stage.device = settings, TINY, CUDA
    stage.compares = True
    if name in ("vae", "refinement"):
        stage.pool = world(settings.size)
    elif name in ("tps", "vision", "words"):
        stage.pool = world(TINY.warp_size)
    if isinstance(stage, Vae):
        stage.module = Codec(built("vae"), built("emasc"))
    elif isinstance(stage, Tps):
        stage.module = built("warping").tps
    elif isinstance(stage, Refinement):
        stage.warper = built("warping")
        stage.module = stage.warper.refinement
    elif isinstance(stage, Vision):
        stage.module = on_device(AttributeReader, built("vision"))
    elif isinstance(stage, Words):
        stage.tower, stage.ids = built("vision"), torch.zeros(3, 77, dtype=torch.long, device=CUDA)
        stage.module = on_device(PromptReader, {name: built(name) for name in PARTS[1:]})
    else:
        stage.latents, stage.ids = latents(settings.size), torch.zeros(4, 77, dtype=torch.long, device=CUDA)
        stage.weights = torch.ones(1, 4, 1, 1, device=CUDA)
        if isinstance(stage, TryOn):
            stage.module = TryOnDenoiser({part: built(part) for part in PARTS}, PARTS, CUDA)
        else:
            stage.pool, stage.vae = world(settings.size), built("vae")
            stage.speakers = TryOnDenoiser({part: built(part) for part in PARTS[1:]}, (), CUDA)
            stage.module = Painter(built("unet"), built("vae"), built("emasc"))
    stage.module.requires_grad_(True)
    return stage


@pytest.mark.parametrize(
    ("name", "shared"),  # `vae` and `tryon` have two kinds of steps
    [("vae", 0.1), ("vae", 0.9), ("tps", 0.5), ("refinement", 0.5), ("vision", 0.5), ("words", 0.5), ("tryon", 0.1),
     ("tryon", 0.9), ("finish", 0.5)],
)  # fmt: skip
def test_a_step_stays_on_the_device(name, shared, tmp_path, monkeypatch):
    monkeypatch.setattr(encoders, "insert_pseudo_words", unchecked)
    # They are built there; torch swaps fake weights only while nothing else in the process has looked at them.
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, *where: module)
    settings = Training(EMBEDDED, tmp_path).settings(name)
    alphas = alphas_cumprod(TINY.schedule)
    levels, visits = alphas.tolist(), timesteps(TINY.schedule, TINY.steps).tolist()
    with FakeTensorMode(allow_non_fake_inputs=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # autocast misses its GPU
        stage = staged(name, settings)
        if isinstance(stage, TryOn | Finish):
            stage.alphas, stage.levels, stage.visits, stage.done = alphas.to(CUDA), levels, visits, 0.9
        with torch.autocast("cuda", torch.bfloat16, enabled=settings.precision == "auto"):
            loss = stage.loss(stage.module, {}, Draws(4, shared))
        # the way back asks a real device for its context
        assert loss.device == CUDA and loss.dtype == torch.float32 and loss.requires_grad
        assert all(weight.device == CUDA for group in stage.groups() for weight in group["params"])


@pytest.mark.filterwarnings("ignore:CUDA is not available")
def test_extraction_stays_on_the_device():
    with FakeTensorMode():
        stage = Latents.__new__(Latents)
        stage.device, stage.mixed = CUDA, True
        stage.vae, stage.vision, stage.warper = (built(part) for part in ("vae", "vision", "warping"))
        fields, _ = stage.encode(world((512, 384)))
        expected = latents((512, 384))
        assert {name: (x.shape, x.dtype, x.device) for name, x in fields.items()} == {
            name: (x.shape, x.dtype, x.device) for name, x in expected.items()
        }
