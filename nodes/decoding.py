"""The node that turns latents into a picture with EMASC skip features, and pastes it into the photo if asked.

Paper section 3.4. `host/taps.py` holds the hooks; EMASC and its masking are the core's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.decoding.emasc import mask_features
from ..ladivton_core.decoding.paste import lay_garment
from ..ladivton_core.decoding.paste import paste_back as pasted
from ..ladivton_core.runtime.finite import require_finite
from .host.notes import Notes
from .host.taps import VAE_ADVICE, load_vae, skips_added
from .host.types import (
    CATEGORY,
    Emasc,
    SkipFeatures,
    SkipFeaturesType,
    TorchPart,
    advanced,
    io,
    one_by_one,
    search_aliases,
)
from .host.versions import is_out_of_memory, on_device
from .recommended import SKIP_FEATHER, SKIP_GROW, decoding_settings
from .sampling import UNET_ADVICE
from .tensors import as_image, common_batch, from_image, from_mask, photo_pixels, repeat_to


class LadiVTON_EMASCDecoder(io.ComfyNode):
    """Decode with the learned skip connections."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_EMASCDecoder",
            display_name="EMASC Decoder",
            **search_aliases("vton", "vae decode", "skip connections"),
            category=f"{CATEGORY}/decoding",
            description="Decodes the latent while learned skip connections carry face, "
                "hands and background from the photo past the VAE's bottleneck. Inside the mask they are cut out. "
                "VAE Decode works in its place, without them.",
            inputs=[
                io.Vae.Input("vae", tooltip="The VAE that made the skip features."),
                Emasc.Input("emasc", tooltip="From Load EMASC or Load Embedded Try-On Models."),
                io.Latent.Input("samples", tooltip="From Try-On Sampler or KSampler."),
                SkipFeaturesType.Input("skip_features", tooltip="From Try-On Conditioning."),
                io.Image.Input("person", optional=True, tooltip="The photo; needed to paste back only."),
                io.Mask.Input(
                    "mask", optional=True, tooltip="Where to paste; the mask of the skip features if not connected."
                ),
                io.Boolean.Input(
                    "paste_back", default=False,
                    tooltip="Take every pixel outside the mask from the photo. The paper's pictures are not pasted.",
                ),
                io.Int.Input(
                    "paste_feather", default=0, min=0, max=256,
                    tooltip="Pixels to either side of the mask's edge over which photo and "
                        "result are blended when pasting.",
                ),
                io.Int.Input(
                    "skip_grow", **advanced(), default=SKIP_GROW, min=SKIP_GROW, max=256,
                    tooltip="Pixels by which the hole in the skip features grows. "
                        "-257 takes what EMASC recommends: 0 for the published weights. "
                        "A few pixels take away the thin line EMASC can leave along the mask.",
                ),
                io.Int.Input(
                    "skip_feather", **advanced(), default=SKIP_FEATHER, min=SKIP_FEATHER, max=256,
                    tooltip="Pixels over which the edge of that hole is softened. "
                        "-1 takes what EMASC recommends: 0 for the published weights.",
                ),
            ],
            outputs=[io.Image.Output("image", display_name="image", tooltip="The person in the other garment.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, vae, emasc: TorchPart, samples: dict, skip_features: SkipFeatures, person: Tensor | None = None,
        mask: Tensor | None = None, paste_back: bool = False, paste_feather: int = 0,
        skip_grow: int = SKIP_GROW, skip_feather: int = SKIP_FEATHER,
    ) -> io.NodeOutput:  # fmt: skip
        if paste_back and person is None:
            raise ValueError("'paste_back' is on: connect the photo to 'person', or switch it off.")
        skip_grow, skip_feather, used = decoding_settings(emasc, skip_grow, skip_feather)
        notes = Notes("EMASC Decoder")
        notes.say(used)
        latents = samples["samples"]
        require_finite(latents, "The sampler before 'samples'", UNET_ADVICE)
        size = tuple(skip_features.mask.shape[-2:])
        if tuple(latents.shape[-2:]) != (size[0] // 8, size[1] // 8):
            raise ValueError(
                f"'samples' is {latents.shape[-2]} x {latents.shape[-1]} latent pixels, "
                f"'skip_features' belongs to a picture of {size[0]} x {size[1]} (height x width). "
                "Both must come from the same Try-On Conditioning."
            )
        if paste_back and tuple(person.shape[1:3]) != size:
            raise ValueError(
                f"'person' is {person.shape[1]} x {person.shape[2]} and the result {size[0]} x {size[1]} "
                "(height x width). To paste back, connect the picture that went into 'Try-On Conditioning'; "
                "'Stitch Person' puts the result into the photo it was fitted from."
            )
        batch = common_batch(
            samples=latents, skip_features=skip_features.mask,
            person=None if person is None else from_image(person, "person"),
            mask=None if mask is None else from_mask(mask, size),
        )  # fmt: skip
        image = _decode(vae, emasc, batch["samples"], skip_features, batch["skip_features"], skip_grow, skip_feather)
        if paste_back:
            hole = batch["skip_features"] if batch["mask"] is None else batch["mask"]
            # The photo as it came in, not there and back through [-1, 1]: untouched pixels stay bit for bit.
            photo = repeat_to(photo_pixels(person, "person"), image.shape[0])
            image = pasted(image, photo.to(image), hole.to(image), paste_feather)
        return io.NodeOutput(as_image(image), ui=notes.ui)


def _decode(
    vae, emasc: TorchPart, latents: Tensor, skip_features: SkipFeatures, masks: Tensor, grow: int, feather: int
) -> Tensor:
    """Latents (B, 4, h, w), unscaled, to pictures (B, 3, H, W) in [0, 1], one by one."""
    import comfy.model_management as memory

    widths = tuple(feature.shape[1] for feature in skip_features.features)
    if widths != emasc.module.in_channels:
        raise ValueError(
            f"EMASC ({emasc.source}) reads features of widths {emasc.module.in_channels}, this VAE gives {widths}. "
            "Use the VAE that EMASC was trained with: Stable Diffusion's with the published file, "
            "the embedded one with the embedded."
        )
    one = (1, *latents.shape[1:])
    # Features and their EMASC outputs live beside the decoder.
    model = load_vae(vae, emasc.patcher, memory_required=1.5 * vae.memory_used_decode(one, vae.vae_dtype))
    pictures = []
    with emasc.in_use():
        for item in one_by_one(range(latents.shape[0])):
            taps = [_item(feature, item).to(emasc.device, torch.float32) for feature in skip_features.features]
            hole = _item(masks, item).to(emasc.device)
            skips = mask_features(emasc.module(taps), hole, grow=grow, feather=feather)
            for skip in skips:
                require_finite(skip, "EMASC", f"Load another copy of its file ({emasc.source}).")
            try:
                with on_device(vae.device), skips_added(model, skips):
                    decoded = model.decode(_item(latents, item).to(vae.device, vae.vae_dtype))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                raise RuntimeError(
                    "Not enough memory to decode this picture with skip features, which tiled decoding cannot carry. "
                    "Use a smaller picture, start ComfyUI with --cpu-vae, "
                    "or decode with 'VAE Decode (Tiled)' without EMASC."
                ) from error
            require_finite(decoded, "The VAE's decoder", VAE_ADVICE, vae.vae_dtype)
            picture = vae.process_output(decoded.float()).to(memory.intermediate_device())
            if skip_features.garment is not None:
                laid = (None if part is None else _item(part, item).to(picture) for part in skip_features.garment)
                picture = lay_garment(picture, *laid)
            pictures.append(picture)
    return torch.cat(pictures)


def _item(tensor: Tensor, item: int) -> Tensor:
    """Item of a batch as a batch of one; a batch of one serves every item."""
    return tensor[:1] if tensor.shape[0] == 1 else tensor[item : item + 1]


NODES = [LadiVTON_EMASCDecoder]
