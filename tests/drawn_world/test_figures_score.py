"""How well a score predicts: what is bad, and the area under the curve."""

import json

import numpy as np
import pytest

from drawn_world.figures.score import area_under_curve, bad, main


def rows(count=40, usual=(0.3, -0.2)):
    """People whose joints lie where a detector sets them, and a little beside."""
    rng = np.random.default_rng(3)
    return [
        {
            "category": "dresses",
            "score": 1.0,
            "psnr": float(decibels),
            "off": (usual + rng.normal(0, 0.02, (18, 2))).tolist(),
        }
        for decibels in rng.permutation(count)
    ]


def test_the_area_is_the_share_of_pairs_in_order():
    wrong = np.array([True, True, False, False, False])
    assert area_under_curve([0.1, 0.2, 0.3, 0.4, 0.5], wrong) == 1
    assert area_under_curve([0.5, 0.4, 0.3, 0.2, 0.1], wrong) == 0
    assert area_under_curve([1.0] * 5, wrong) == 0.5
    assert area_under_curve([0.1, 0.4, 0.3, 0.4, 0.5], wrong) == pytest.approx((3 + 1.5) / 6)


def test_where_a_detector_always_sets_joints_is_no_error_and_the_rest_is():
    people = rows()
    worst = sorted(row["psnr"] for row in people)[9]
    assert [row["psnr"] <= worst for row in people] == bad(people).tolist()
    good = next(row for row in people if row["psnr"] > worst + 1)
    good["off"] = [[x + 0.15, y] for x, y in good["off"]]
    people.append({"category": "dresses", "score": 0.0, "psnr": None, "off": [None] * 18})
    found = bad(people)
    assert found[people.index(good)] and found[-1]


def test_kept_rows_are_reported_again(tmp_path, capsys):
    people = rows()
    for row, wrong in zip(people, bad(people), strict=True):
        row["score"] = 0.6 if wrong else 0.9
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"world": world} | row) for world in ("drawn", "rendered") for row in people))
    main(["--pose", str(tmp_path), "--again", str(file)])
    said = capsys.readouterr().out
    assert "| 80 both | 25% | 1.000 |" in said and "| 0.50 to 0.70 | 20 | 100% |" in said
