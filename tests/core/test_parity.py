"""The parity command and the rule behind it; the golden cases of the stages without a data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ladivton_core.parity import FAMILIES, load_families, rule
from ladivton_core.parity.__main__ import main, run_case
from ladivton_core.parity.case import Case, compare, read_case

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "golden"
# e2e_tiny_vitonhd_a is run by test_pipeline, the data-set and warping families by their own tests
MINE = ("clip_", "ddim", "emasc", "inversion_adapter", "text_", "token_", "tryon", "vae_", "vgg_")
CASES = sorted(path for path in GOLDEN.glob("*.json") if path.stem.startswith(MINE))


@pytest.fixture(autouse=True, scope="module")
def families():
    load_families()


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_golden_case_is_reproduced(path):
    checks = run_case(read_case(path))
    assert checks
    assert [check for check in checks if not check.ok] == []


def test_every_golden_case_has_a_family():
    assert {read_case(path).family for path in GOLDEN.glob("*.json")} <= set(FAMILIES)


@pytest.mark.parametrize("vector", json.loads((HERE / "rule_vectors.json").read_text()), ids=lambda v: v["name"])
def test_the_rule_gives_the_published_numbers(vector):
    assert rule.start(vector["seed"], vector["name"]) == vector["s"]
    drawn = np.concatenate(list(rule.uniform(vector["seed"], vector["name"], len(vector["u"]))))
    np.testing.assert_allclose(drawn, vector["u"], rtol=0, atol=1e-16)


def test_a_long_tensor_begins_like_a_short_one(monkeypatch):
    whole = rule.rule_tensor(3, "a.weight", (10, 10))
    monkeypatch.setattr(rule, "_CHUNK", 7)
    assert torch.equal(rule.rule_tensor(3, "a.weight", (10, 10)), whole)


def test_blocks_repeat_one_value_and_are_cropped():
    image = rule.rule_input(1, "x", (1, 1, 5, 7), -1, 1, block=3)
    assert image.shape == (1, 1, 5, 7)
    assert torch.equal(image[..., :3, :3], image[..., :1, :1].expand(1, 1, 3, 3))
    assert image.flatten().unique().numel() == 2 * 3


def test_a_comparison_is_elementwise_and_refuses_nan_and_shapes():
    zeros = torch.zeros(3)
    assert compare("x", zeros, zeros, 0, 0).ok
    assert not compare("x", torch.tensor([0.0, 0.0, 0.2]), torch.tensor([100.0, 0.0, 0.0]), 0.1, 0.1).ok
    assert not compare("x", torch.tensor([0.0, float("nan"), 0.0]), zeros, 1, 1).ok
    assert not compare("x", torch.zeros(2), zeros, 1, 1).ok
    assert not compare("x", zeros + 1e-9, zeros, 0, 0).ok


def test_an_expected_tensor_that_is_not_computed_fails():
    case = Case("x", Path("."), {"tolerance": {"atol": 1}}, {"a": torch.zeros(1), "b_s2": torch.zeros(1, 2, 2)})
    checks = {check.name: check for check in case.checks({"b": torch.zeros(1, 4, 4)})}
    assert checks["b_s2"].ok
    assert not checks["a (not computed)"].ok


def test_the_command_says_ok_and_ends_in_zero(tmp_path, capsys):
    (tmp_path / "token_ids.json").write_text((GOLDEN / "token_ids.json").read_text())
    assert main([str(tmp_path)]) == 0
    assert "token_ids" in (output := capsys.readouterr().out) and "ok" in output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no golden case"),
        ({"family": "moonlight", "seed": 1}, "unknown family 'moonlight'"),
        ({"family": "token_ids", "dresses": [1, 2, 3]}, "FAIL"),
        ({"family": "ddim"}, "FAIL"),
        ([1, 2], "holds a list"),
    ],
)
def test_the_command_fails_loudly(tmp_path, capsys, content, said):
    if content is not None:
        (tmp_path / "case.json").write_text(json.dumps(content))
    assert main([str(tmp_path)]) == 1
    assert said in capsys.readouterr().out
