"""Edits of a workflow before it is queued."""

from __future__ import annotations

import json

from hosting.graph import the, with_person_fitted


def test_a_photo_of_any_size_is_fitted_before_every_node_that_sees_it(repository):
    shipped = json.loads((repository / "workflows" / "api" / "tryon_embedded.json").read_text("utf-8"))
    before = shipped[the(shipped, "LadiVTON_AgnosticPerson")]["inputs"]
    fitted = with_person_fitted(shipped)

    fit = fitted.pop(the(fitted, "LadiVTON_FitPerson"))["inputs"]
    loaders = [before["person"], before["keypoints"], before["parse_map"]]
    assert [fit["photo"], fit["keypoints"], fit["parse_map"]] == loaders
    assert not [value for node in fitted.values() for value in node["inputs"].values() if value in loaders]
    for kind in ("AgnosticPerson", "PoseMap", "TryOnConditioning", "EMASCDecoder"):
        assert fitted[the(fitted, f"LadiVTON_{kind}")]["inputs"]["person"] == ["fit", 0]
