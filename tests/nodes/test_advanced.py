"""What an artist seldom touches is folded away by hosts that can, and no name on a widget is the code's own word."""

from __future__ import annotations

import inspect

import pytest

FOLDED = {
    "AgnosticPerson": {"missing_joints", "repaint_skirt", "person_index", "mode", "nobody", "rule", "hands"},
    "FitPerson": {"person_index", "mode", "nobody", "steady"},
    "PoseMap": {"width", "height", "sigma", "person_index", "mode", "nobody"},
    "PrepareGarment": {"width", "height", "garment_category", "open_collar"},
    "TryOnConditioning": {"sample_posterior", "posterior_seed", "no_pose", "latent_of_person", "lay_garment"},
    "EMASCDecoder": {"skip_grow", "skip_feather"},
    "TryOnSampler": {"cloth_cond_rate"},
}


@pytest.fixture
def kinds(module) -> list:
    """The kinds of widgets that are marked."""
    io = module("nodes.host.types").io
    return [io.Int, io.Float, io.Combo, io.Boolean]


@pytest.fixture
def later(kinds, monkeypatch):
    """A host whose widgets know `advanced`, as ComfyUI's do from 2026 on; one that does stays as it is."""
    if "advanced" in inspect.signature(kinds[0].Input.__init__).parameters:
        return
    for kind in kinds:

        class Later(kind.Input):
            """`advanced` goes to the page as it came."""

            def __init__(self, *args, advanced=None, **options):
                super().__init__(*args, **options)
                self.extra_dict = {**self.extra_dict, **({} if advanced is None else {"advanced": advanced})}

        monkeypatch.setattr(kind, "Input", Later)


@pytest.fixture
def earlier(kinds, monkeypatch):
    """A host whose widgets do not know `advanced`, as those of ComfyUI 0.3.75: a newer one has forgotten it."""
    for kind in kinds:

        class Earlier(kind.Input):
            """What it does not know it refuses, as any function does."""

            def __init__(self, *args, **options):
                if "advanced" in options:
                    raise TypeError("unexpected keyword argument 'advanced'")
                super().__init__(*args, **options)

        monkeypatch.setattr(kind, "Input", Earlier)


@pytest.mark.parametrize("name", FOLDED)
def test_newer_hosts_fold_away_what_is_seldom_touched(nodes, later, name):
    inputs = nodes[f"LadiVTON_{name}"].define_schema().inputs
    assert {box.id for box in inputs if box.as_dict().get("advanced")} == FOLDED[name]


@pytest.mark.parametrize("name", FOLDED)
def test_the_oldest_is_told_nothing_it_does_not_know(nodes, earlier, name):
    assert not [box.id for box in nodes[f"LadiVTON_{name}"].define_schema().inputs if "advanced" in box.as_dict()]


def test_names_on_widgets_are_words(nodes):
    shown = {
        box.id: box.display_name
        for node in nodes.values()
        for box in node.define_schema().inputs
        if box.id in ("nobody", "mode", "missing_joints", "rule")
    }
    assert set(shown) == {"nobody", "mode", "missing_joints", "rule"} and all(" " in name for name in shown.values())
