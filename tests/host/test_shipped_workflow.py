"""The shipped workflow gives the picture, reuses what it can, stops when told, and leaves memory as it was."""

from __future__ import annotations

import io
import json
import logging

import numpy as np
import psutil
import pytest
from hosting.conversion import ui_to_api
from hosting.graph import downstream, the, with_value
from hosting.shipped import TITLES, page_file, queue_file
from PIL import Image

SAMPLER = "LadiVTON_TryOnSampler"
MIB = 2**20


def picture(client, run) -> np.ndarray:
    (saved,) = run.or_raise().images()
    return np.asarray(Image.open(io.BytesIO(client.view(saved))).convert("RGB")).astype(float)


@pytest.mark.parametrize("name", TITLES)
def test_both_formats_are_the_same_graph(client, name):
    converted = ui_to_api(json.loads(page_file(name).read_text("utf-8")), client.object_info())
    shipped = json.loads(queue_file(name).read_text("utf-8"))

    def graph(workflow):
        return {key: (node["class_type"], node["inputs"]) for key, node in workflow.items()}

    assert graph(converted) == graph(shipped)


def test_the_person_is_redressed(client, shipped, repository):
    result = picture(client, client.run(shipped))
    person = np.asarray(Image.open(repository / "samples" / "person.png").convert("RGB")).astype(float)

    assert result.shape == person.shape == (512, 384, 3)
    assert result.std() > 10, "the picture is all one colour"
    corner = (slice(0, 64), slice(0, 64))
    assert np.abs(result[corner] - person[corner]).mean() < 12, "the background is not the person's"
    assert np.abs(result - person).mean() > 2, "nothing was changed"


def test_live_previews_and_steps_come_while_sampling(client, shipped):
    sampler, steps = the(shipped, SAMPLER), []

    def note_steps(event):
        if event["type"] == "progress" and event["data"]["node"] == sampler:
            steps.append(event["data"]["value"])

    run = client.run(with_value(with_value(shipped, "seed", 5), "steps", 6), note_steps).or_raise()

    assert steps == [1, 2, 3, 4, 5, 6]
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


def test_interrupt_takes_effect_within_one_step(client, shipped):
    sampler = the(shipped, SAMPLER)
    workflow = with_value(with_value(shipped, "seed", 4), "steps", 30)
    seen = []

    def stop_at_the_second_step(event):
        if event["type"] == "progress" and event["data"]["node"] == sampler:
            seen.append(event["data"]["value"])
            if event["data"]["value"] == 2:
                client.interrupt()

    run = client.run(workflow, stop_at_the_second_step)

    assert run.status == "interrupted"
    assert max(seen) <= 3
    assert client.run(with_value(workflow, "steps", 2)).status == "success", "the next run is not disturbed"


@pytest.mark.long
def test_ten_runs_leave_memory_flat(client, comfy_server, quick):
    server = psutil.Process(comfy_server.pid)
    resident = []
    for seed in range(100, 110):
        client.run(with_value(quick, "seed", seed)).or_raise()
        resident.append(server.memory_info().rss)
    logging.info("resident memory: %s", [f"{size / MIB:.0f} MiB" for size in resident])
    assert max(resident[2:]) <= 1.05 * resident[1], [f"{size / MIB:.0f} MiB" for size in resident]
