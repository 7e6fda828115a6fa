"""The two ways of reading a body: as the published code does, or as it stands in somebody's own photo.

They are never mixed. `published` is §1.4 and §1.5 to the bit, fixed pixels and quirks included: what the weights
were trained with. `body` is for people's own photos: doubtful joints are left out, and everything that is drawn
follows the size of the body. `keypoints.py`, `body.py` and `agnostic.py` ask here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mode:
    """How joints are read and drawn.

    Attributes:
        name: key in `MODES`.
        smallest_score: joints with a smaller score count as missing; 0 looks for a score above 0 only.
        smallest_hand_score: the same for points of hands.
        relative: whether strokes, growth and dots follow the size of the body; else they are fixed pixels.
        alone: whether other people in the picture are kept out of mask, pose and parse map.
    """

    name: str
    smallest_score: float
    smallest_hand_score: float
    relative: bool
    alone: bool


PUBLISHED = Mode("published", smallest_score=0.0, smallest_hand_score=0.0, relative=False, alone=False)
BODY = Mode("body", smallest_score=0.3, smallest_hand_score=0.5, relative=True, alone=True)
"""0.3 is the score below which pose nodes do not draw a joint either. Hands behind a back are found with 0.2 to 0.5."""

MODES: dict[str, Mode] = {mode.name: mode for mode in (PUBLISHED, BODY)}
"""Every mode by name."""


def mode_of(mode: str | Mode) -> Mode:
    """A mode by its name.

    Raises:
        ValueError: there is no such mode.
    """
    if isinstance(mode, Mode):
        return mode
    if mode not in MODES:
        raise ValueError(f"the mode is {mode!r}; expected one of {', '.join(MODES)}")
    return MODES[mode]
