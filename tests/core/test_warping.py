"""Warping stage: thin-plate spline, matcher, refinement and warper. Golden numbers come from tests/golden."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ladivton_core.parity import case, stage_cases  # noqa: F401  (fills FAMILIES)
from ladivton_core.presets import PRESETS, TINY
from ladivton_core.warping import (
    ConvNetTPS,
    GarmentWarper,
    RefinementUNet,
    TPSGridGenerator,
    base_control_points,
    bending_penalty,
    resize_grid,
    sample_garment,
    second_order_terms,
)
from ladivton_core.warping.matcher import correlate, normalise_features

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
CASES = [c for c in case.read_cases(GOLDEN) if c.family in ("tps_grid", "convnet_tps", "refinement", "heatmap")]


@pytest.mark.parametrize("golden", CASES, ids=lambda c: c.name)
def test_golden(golden):
    checks = list(case.FAMILIES[golden.family](golden))
    assert checks and [c for c in checks if not c.ok] == []


@pytest.mark.parametrize(("name", "build"), [("tps", ConvNetTPS), ("refinement", RefinementUNet)])
def test_the_defaults_are_the_published_layout(name, build):
    manifest = json.loads((HERE / "manifests" / f"{name}.json").read_text())
    with torch.device("meta") if name == "refinement" else torch.device("cpu"):
        modules = [build(), build(**manifest["config"])]
    for module in modules:
        assert {key: list(t.shape) for key, t in module.state_dict().items()} == manifest["state_dict"]
    assert sum(p.numel() for p in modules[0].parameters()) == manifest["total_parameters"]


# thin-plate spline

# A float32 solution of the spline's system is off by its condition number, 349, in steps of 1.2e-7: 4.2e-5 of the
# picture's half width. Which last bits it gets is LAPACK's choice by processor: 5e-6 off where this was measured.
ROUNDING = float(torch.linalg.cond(TPSGridGenerator(2, 2).inverse_kernel.double())) * torch.finfo(torch.float32).eps


def exact_grid(points, height, width):
    """The spline through `points` (25, 2) in float64, solved and read anew; (height, width, 2)."""

    def basis(a, b):
        squared = (a[:, None] - b[None]).square().sum(-1)
        return torch.where(squared > 0, squared * squared.clamp(min=1e-300).log() / 2, 0.0)

    base = base_control_points().double()
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, dtype=torch.float64), torch.linspace(-1, 1, width, dtype=torch.float64),
        indexing="ij",
    )  # fmt: skip
    pixels = torch.stack([x.flatten(), y.flatten()], 1)
    affine = torch.cat([torch.ones(25, 1).double(), base], 1)
    system = torch.cat([torch.cat([basis(base, base), affine], 1), torch.nn.functional.pad(affine.T, (0, 3))])
    coefficients = torch.linalg.solve(system, torch.nn.functional.pad(points.double(), (0, 0, 0, 3)))
    reads = torch.cat([basis(pixels, base), torch.ones(len(pixels), 1).double(), pixels], 1)
    return (reads @ coefficients).view(height, width, 2)


def test_the_grid_is_the_thin_plate_spline_but_for_the_rounding_of_its_system():
    assert ROUNDING < 5e-5
    points = base_control_points() + 0.24 * torch.rand(4, 25, 2) - 0.12
    for size in ((32, 24), (256, 192)):
        found = TPSGridGenerator(*size)(points)
        for grid, control in zip(found, points, strict=True):
            assert (grid - exact_grid(control, *size)).abs().max() < ROUNDING


@pytest.mark.parametrize("size", [(32, 24), (17, 40), (256, 192)])
def test_the_base_lattice_gives_the_identity(size):
    grid = TPSGridGenerator(*size)(base_control_points()[None])[0]
    x, y = torch.linspace(-1, 1, size[1]), torch.linspace(-1, 1, size[0])
    assert (grid[..., 0] - x).abs().max() < ROUNDING and (grid[..., 1] - y[:, None]).abs().max() < ROUNDING


def test_an_affine_move_of_the_lattice_moves_every_pixel_alike():
    generator = TPSGridGenerator(20, 16)
    matrix, shift = torch.tensor([[0.8, 0.1], [-0.2, 1.1]]), torch.tensor([0.05, -0.1])
    identity = generator(base_control_points()[None])
    moved = generator((base_control_points() @ matrix.T + shift)[None])
    assert torch.allclose(moved, identity @ matrix.T + shift, rtol=0, atol=2 * ROUNDING)  # of both grids


def test_the_spline_passes_through_its_control_points():
    # 41 pixels put the lattice's -0.9, -0.45, 0, ... on pixel centres 2, 11, 20, ...
    points = base_control_points() + 0.1 * torch.randn(25, 2, generator=torch.Generator().manual_seed(0))
    grid = TPSGridGenerator(41, 41)(points[None])[0]
    assert torch.allclose(grid[2::9, 2::9].reshape(25, 2), points, rtol=0, atol=ROUNDING)


def test_points_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 16, 2\).*5 x 5"):
        TPSGridGenerator(8, 8)(torch.zeros(2, 16, 2))


def test_the_identity_lattice_still_zooms_because_the_grid_is_read_otherwise():
    picture = torch.linspace(-1, 1, 64).expand(1, 3, 64, 64)
    warped = sample_garment(picture, TPSGridGenerator(64, 64)(base_control_points()[None]))
    assert 0.005 < (warped - picture).abs().max() < 0.02  # Q1: half a pixel at the border


def test_the_grid_generator_has_a_gradient():
    generator = TPSGridGenerator(6, 5).double()
    points = base_control_points().double()[None].requires_grad_()
    assert torch.autograd.gradcheck(generator, points)


def test_a_checkpoint_may_leave_out_the_computed_buffers_but_only_all_of_them():
    full = small_matcher().state_dict()
    without = {key: value for key, value in full.items() if not key.startswith("gridGen.")}
    matcher = small_matcher()
    matcher.load_state_dict(without)
    assert torch.equal(matcher.gridGen.inverse_kernel, full["gridGen.inverse_kernel"])
    matcher.load_state_dict(full | {"gridGen.inverse_kernel": torch.eye(28)})
    assert torch.equal(matcher.gridGen.inverse_kernel, torch.eye(28))  # what a file brings is followed
    with pytest.raises(RuntimeError, match="gridGen.padding_matrix"):
        matcher.load_state_dict({key: value for key, value in full.items() if key != "gridGen.padding_matrix"})


# regularisers


def test_an_undeformed_or_shifted_lattice_costs_only_its_slack():
    shifted = base_control_points() + torch.tensor([0.3, -0.2])
    penalty = bending_penalty(torch.stack([base_control_points(), shifted]))
    assert torch.allclose(penalty, torch.full((2,), 4 * 0.08 + 2 * 0.02), atol=1e-5)


def test_each_element_pays_for_itself():
    points = base_control_points() + 0.3 * torch.randn(3, 25, 2, generator=torch.Generator().manual_seed(1))
    together = bending_penalty(points)
    assert torch.allclose(together, torch.cat([bending_penalty(p[None]) for p in points]))
    rows = second_order_terms(points)
    columns = second_order_terms(points.view(3, 5, 5, 2).transpose(1, 2).reshape(3, 25, 2))
    for row, column in ((rows.rx, columns.cx), (rows.ry, columns.cy), (rows.rg, columns.cg)):
        assert torch.allclose(row, column)


# matcher


def test_features_get_length_one_and_faint_ones_do_not_explode():
    features = torch.rand(2, 7, 4, 3) + 0.5  # squares sum to 1.75 at least: the guard of 1e-6 takes 3e-7 of the length
    assert torch.allclose(normalise_features(features).norm(dim=1), torch.ones(2, 4, 3), atol=1e-5)
    faint = normalise_features(torch.full((1, 4, 1, 1), 5e-4))  # squares sum to 1e-6, as much as the guard adds
    assert torch.allclose(faint.norm(dim=1), torch.full((1, 1, 1), 0.5**0.5), atol=1e-5)
    assert not normalise_features(torch.zeros(1, 4, 1, 1)).any()


def test_correlation_counts_garment_positions_column_by_column():
    garment, person = torch.randn(2, 7, 4, 3), torch.randn(2, 7, 4, 3)
    scores = correlate(garment, person)
    every = torch.einsum("bcyx,bcvu->bxyvu", garment, person)  # columns outside, rows inside
    # sums of seven products, of which none is far above 10
    assert torch.allclose(scores, every.reshape(2, 12, 4, 3), rtol=0, atol=1e-5)


def small_matcher():
    return ConvNetTPS(128, 64, 21, 3, base_width=4, max_width=8, regression_widths=(8, 8, 8, 8))


def test_an_untrained_matcher_predicts_the_base_lattice_at_any_size_it_divides():
    grid, points = small_matcher()(torch.randn(2, 3, 128, 64), torch.randn(2, 21, 128, 64))
    assert grid.shape == (2, 128, 64, 2)
    assert torch.allclose(points, base_control_points().expand(2, -1, -1), atol=1e-6)
    with pytest.raises(ValueError, match="multiples of 64"):
        ConvNetTPS(100, 64)
    with pytest.raises(ValueError, match="resize"):
        small_matcher()(torch.randn(2, 3, 64, 64), torch.randn(2, 21, 64, 64))


def test_training_moves_every_weight():
    warper = GarmentWarper(small_matcher(), RefinementUNet(base_width=4)).train()
    torch.nn.init.normal_(warper.tps.loc_net.regression.linear.weight, std=0.01)  # zero at first: no gradient passes
    garment, agnostic, pose = torch.rand(2, 3, 64, 48), torch.rand(2, 3, 64, 48), torch.rand(2, 18, 64, 48)
    found = warper.coarse_warp(garment, agnostic, pose)
    coarse, points = found.coarse, found.control_points
    loss = warper.refine(coarse, agnostic, pose).mean() + coarse.mean() + 0.01 * bending_penalty(points).mean()
    loss.backward()
    still = [name for name, p in warper.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias in front of BatchNorm's mean subtraction has no effect; all other weights must learn.
    assert [
        name for name in still if not name.startswith("tps.loc_net.regression.conv") or name.endswith("weight")
    ] == []


# refinement


@pytest.mark.parametrize("bilinear", [True, False])
def test_the_refinement_keeps_odd_sizes(bilinear):
    unet = RefinementUNet(bilinear=bilinear, base_width=4).eval()
    with torch.no_grad():
        assert unet(torch.randn(1, 24, 37, 50)).shape == (1, 3, 37, 50)
    with pytest.raises(ValueError, match=r"\(1, 23, 32, 32\)"):
        unet(torch.randn(1, 23, 32, 32))


# warper


@pytest.fixture(scope="module")
def warper():
    return GarmentWarper(small_matcher(), RefinementUNet(base_width=4)).eval()


def inputs(batch=2, size=(64, 48), garment_size=None):
    generator = torch.Generator().manual_seed(3)
    pictures = [
        torch.rand(batch, c, *(s or size), generator=generator) for c, s in ((3, garment_size), (3, None), (18, None))
    ]
    return [pictures[0] * 2 - 1, pictures[1] * 2 - 1, pictures[2]]


@pytest.mark.parametrize("size", [(64, 48), (128, 64), (200, 72)])
@torch.no_grad()
def test_the_result_has_the_size_of_the_person(warper, size):
    result = warper(*inputs(size=size, garment_size=(90, 50)))
    assert result.warped.shape == result.coarse.shape == (2, 3, *size) and result.grid.shape == (2, *size, 2)
    assert result.warped.abs().max() <= 1 and result.control_points.shape == (2, 25, 2)


@torch.no_grad()
def test_the_refinement_sees_agnostic_pose_coarse_and_its_result_is_clamped(warper):
    garment, agnostic, pose = inputs()
    seen = []
    hook = warper.refinement.register_forward_hook(
        lambda _, args, output: seen.append((args[0], 50 * output)) or 50 * output
    )
    try:
        result = warper(garment, agnostic, pose)
    finally:
        hook.remove()
    (refinement_input, output) = seen[0]
    assert torch.equal(refinement_input, torch.cat([agnostic, pose, result.coarse], dim=1))
    assert output.abs().max() > 1 and torch.equal(result.warped, output.clamp(-1, 1))


@torch.no_grad()
def test_a_sample_does_not_depend_on_its_batch(warper):
    both = warper(*inputs())
    alone = warper(*[x[1:] for x in inputs()])
    assert torch.allclose(both.warped[1:], alone.warped, atol=1e-5)


@torch.no_grad()
def test_it_works_in_float32_whatever_comes_in_or_surrounds_it(warper):
    plain = warper(*inputs())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        surrounded = warper(*inputs())
    assert torch.equal(plain.warped, surrounded.warped)
    assert warper(*[x.double() for x in inputs()]).warped.dtype == torch.float32


def test_every_preset_builds_a_warper_with_its_keys():
    for preset in PRESETS.values():
        with torch.device("meta"):
            refinement = RefinementUNet(**preset.refinement)
        assert refinement.n_channels == 24
    warper = GarmentWarper.from_preset(replace(TINY, tps=TINY.tps | {"base_width": 4, "max_width": 8}))
    assert {key.split(".")[0] for key in warper.state_dict()} == {"tps", "refinement"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g, a, p: (g[:1], a, p), "batch sizes differ: garment 1"),
        (lambda g, a, p: (g, a, p[:, :17]), r"pose map has the shape \(2, 17, 64, 48\)"),
        (lambda g, a, p: (g, a, p[..., :40]), "size of the person"),
        (lambda g, a, p: (g, a[..., :44], p[..., :44]), "64x44.*multiples of 8"),
        (lambda g, a, p: (g[0], a, p), "garment has the shape"),
    ],
)
def test_shapes_that_do_not_fit_are_named(warper, change, message):
    with pytest.raises(ValueError, match=message):
        warper(*change(*inputs()))


def test_half_precision_weights_are_refused():
    with pytest.raises(ValueError, match="float32 only"):
        GarmentWarper(small_matcher(), RefinementUNet(base_width=4)).half()(*inputs())


def test_a_grid_grows_bilinearly():
    grid = torch.rand(1, 4, 6, 2)
    assert torch.equal(resize_grid(grid, (4, 6)), grid)

    def doubled(x):  # a new pixel lies a quarter of an old one off the middle; the border repeats
        x = torch.cat([x[:1], x, x[-1:]])
        return torch.stack([0.75 * x[1:-1] + 0.25 * x[:-2], 0.75 * x[1:-1] + 0.25 * x[2:]], 1).flatten(0, 1)

    expected = doubled(doubled(grid[0]).transpose(0, 1)).transpose(0, 1)
    assert torch.allclose(resize_grid(grid, (8, 12))[0], expected, rtol=0, atol=1e-6)  # numbers below 1


def test_no_module_creates_tensors_on_a_device_of_its_own():
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
        warper = GarmentWarper(small_matcher(), RefinementUNet(base_width=4)).eval()
        result = warper(torch.rand(1, 3, 64, 48), torch.rand(1, 3, 64, 48), torch.rand(1, 18, 64, 48))
    assert result.warped.device.type == "cuda"
