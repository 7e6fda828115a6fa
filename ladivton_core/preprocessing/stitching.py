"""The name that released versions had for `finishing.stitching`."""

from ..finishing.stitching import *  # noqa: F403
