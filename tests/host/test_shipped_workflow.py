"""The shipped workflow gives the picture, reuses what it can, and stops when told."""

from __future__ import annotations

import io

import numpy as np
from hosting.graph import downstream, the, with_value
from PIL import Image

SAMPLER = "LadiVTON_TryOnSampler"


def picture(client, run) -> np.ndarray:
    (saved,) = run.or_raise().images()
    return np.asarray(Image.open(io.BytesIO(client.view(saved))).convert("RGB")).astype(float)


def test_the_person_is_redressed(client, shipped, repository):
    result = picture(client, client.run(shipped))
    person = np.asarray(Image.open(repository / "samples" / "person.png").convert("RGB")).astype(float)

    assert result.shape == person.shape == (512, 384, 3)
    assert result.std() > 10, "the picture is all one colour"
    corner = (slice(0, 64), slice(0, 64))
    assert np.abs(result[corner] - person[corner]).mean() < 12, "the background is not the person's"
    assert np.abs(result - person).mean() > 2, "nothing was changed"


def test_live_previews_and_steps_come_while_sampling(client, quick):
    sampler, steps = the(quick, SAMPLER), []

    def note_steps(event):
        if event["type"] == "progress" and event["data"]["node"] == sampler:
            steps.append(event["data"]["value"])

    run = client.run(with_value(with_value(quick, "seed", 5), "steps", 6), note_steps).or_raise()

    # Newer hosts leave out what comes within a tenth of a second, but never the first and the last.
    assert steps == sorted(set(steps)) and steps[0] == 1 and steps[-1] == 6
    assert run.previews > 0


def test_a_new_seed_runs_sampler_and_decoder_only(client, quick):
    client.run(with_value(quick, "seed", 1)).or_raise()
    again = client.run(with_value(quick, "seed", 2)).or_raise()
    assert set(again.executed) == downstream(quick, the(quick, SAMPLER))
    assert {"LadiVTON_TryOnSampler", "LadiVTON_EMASCDecoder"} <= {quick[key]["class_type"] for key in again.executed}


def test_the_same_workflow_again_runs_nothing(client, quick):
    workflow = with_value(quick, "seed", 3)
    client.run(workflow).or_raise()
    assert client.run(workflow).or_raise().executed == []


def test_an_interrupt_ends_a_run_and_not_the_next(client, quick):
    """Between which steps: `tests/nodes/test_sampling.py`. Here the steps are too many to be done before it comes."""
    workflow, sampler = with_value(with_value(quick, "seed", 4), "steps", 999), the(quick, SAMPLER)

    def stop_at_the_first_step(event):
        if event["type"] == "progress" and event["data"]["node"] == sampler and event["data"]["value"] == 1:
            client.interrupt()

    assert client.run(workflow, stop_at_the_first_step).status == "interrupted"
    assert client.run(with_value(workflow, "steps", 2)).status == "success", "the next run is not disturbed"
