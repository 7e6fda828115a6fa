"""LaDI-VTON virtual try-on for ComfyUI (arXiv 2305.13501): nodes in `nodes/`, models in `ladivton_core/`."""

WEB_DIRECTORY = "web"


async def comfy_entrypoint():
    """ComfyUI's way in: the extension that lists the nodes."""
    from .nodes.extension import LadiVTONExtension

    return LadiVTONExtension()


__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]
