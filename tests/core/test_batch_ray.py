"""A catalogue on a real Ray: workers give the plain loop's pictures, and killed workers and drivers lose nothing.

One runs with `-m long`; the others start a dozen processes each and run with `make soak`. Workers are never niced: the
machine may be busy.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ladivton_core.batch import Options, Settings, run
from ladivton_core.batch.engines.ray import ENVIRONMENT, RayEngine
from ladivton_core.disk.store import open_store, read_index

ray = pytest.importorskip("ray")
pytest.importorskip("ray.data")
psutil = pytest.importorskip("psutil")

for name, value in ENVIRONMENT.items():  # before any test starts Ray itself
    os.environ.setdefault(name, value)

SMALL = ["--height", "128", "--width", "96", "--steps", "1"]
SETTINGS = Settings(size=(128, 96), options=Options(steps=1))
RAY = {"engine": "ray", "object_store": 0.3, "encoders": 1, "preparers": 1}


@pytest.fixture(scope="module")
def samples(repository) -> Path:
    """VITON-HD's layout with four people and four garments."""
    return repository / "samples" / "datasets" / "vitonhd" / "test"


def person_line(number: int, name: str) -> str:
    stem = f"0000{number}_00"
    return f"{name},image/{stem}.jpg,openpose_json/{stem}_keypoints.json,vitonhd,image-parse-v3/{stem}.png"


HEAD = "id,photo,keypoints,coordinates,parse_map"


@pytest.fixture
def small(tmp_path, samples) -> dict:
    """Two people and two garments, and a third garment that is no picture."""
    folder = tmp_path / "in"
    shutil.copytree(samples, folder)
    (folder / "persons.csv").write_text("\n".join([HEAD, person_line(1, "p1"), person_line(2, "p2")]))
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "garments.csv").write_text(
        "id,picture\na,cloth/00001_00.jpg\nb,cloth/00002_00.jpg\nbad,bad.jpg\n"
    )  # fmt: skip
    tables = {"persons": folder / "persons.csv", "garments": folder / "garments.csv"}
    return tables | {"category": "upper_body", "progress": False, "settings": SETTINGS}


def pictures(out: Path) -> dict[str, np.ndarray]:
    found = sorted([*out.rglob("*.png")])
    return {str(path.relative_to(out)): np.asarray(Image.open(path)) for path in found}


def same(a: dict[str, np.ndarray], b: dict[str, np.ndarray], within: int = 0) -> bool:
    return a.keys() == b.keys() and all(np.abs(a[name].astype(int) - b[name]).max() <= within for name in a)


def encoded_once(out: Path, small: dict, workers: int) -> dict[str, np.ndarray]:
    """What so many workers make of the four good pairs, each person and garment encoded once."""
    report = run(out, **small, **RAY, workers=workers)
    assert report.made == 4 and sorted(report.errors) == ["p1/bad", "p2/bad"]
    assert report.spent["encode person"][0] == 2 and report.spent["encode garment"][0] == 2
    assert report.spent["sample"][0] == 4
    return pictures(out)


@pytest.mark.soak
def test_one_worker_makes_what_two_make_to_the_bit(small, tmp_path):
    one, two = (encoded_once(tmp_path / str(workers), small, workers) for workers in (1, 2))
    assert same(one, two)


@pytest.mark.long
def test_two_workers_make_what_the_plain_loop_makes_and_encode_once(small, tmp_path):
    made = encoded_once(tmp_path / "2", small, 2)
    plain = run(tmp_path / "plain", **small)
    assert plain.made == 4 and same(made, pictures(tmp_path / "plain"), within=1)
    rows = {row["id"]: row for row in read_index(open_store(tmp_path / "2"))}
    assert rows["p1/bad"]["error_file"].endswith("bad.jpg") and len(rows) == 6
    assert not ray.is_initialized() and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


@pytest.mark.soak
def test_a_cluster_that_runs_already_is_used_and_left_alone_by_command_and_pipeline(
    small, tmp_path, samples, repository
):
    import ray.data

    from ladivton_core.batch import DressRows

    paths = {"env_vars": {"PYTHONPATH": str(repository)}}
    context = ray.init(
        num_cpus=3, object_store_memory=3 * 10**8, include_dashboard=False, runtime_env=paths, log_to_driver=False
    )
    try:
        address = context.address_info["address"]
        given = [f"--{name}={small[name]}" for name in ("persons", "garments", "category")]
        given += [*SMALL, f"--out={tmp_path / 'out'}", "--engine=ray", f"--address={address}", "--workers=1"]
        made = subprocess.run([sys.executable, "-m", "ladivton_core.batch", *given, "--encoders=1", "--preparers=1"],
                              cwd=repository, capture_output=True, text=True)  # fmt: skip
        assert "4 made" in made.stderr and "2 errors" in made.stderr, made.stderr
        # the actor in a pipeline of one's own
        row = {
            "person": str(samples / "image" / "00001_00.jpg"), "category": "upper_body",
            "person_coordinates": "vitonhd",
            "person_keypoints": str(samples / "openpose_json" / "00001_00_keypoints.json"),
            "person_parse_map": str(samples / "image-parse-v3" / "00001_00.png"),
        }  # fmt: skip
        rows = [row | {"garment": str(samples / "cloth" / f"0000{n}_00.jpg")} for n in (1, 2)]
        dressed = ray.data.from_items(rows, override_num_blocks=2).map(
            DressRows, fn_constructor_kwargs={"settings": SETTINGS}, compute=ray.data.ActorPoolStrategy(size=1)
        )
        found = dressed.take_all()
        assert [row["error"] for row in found] == ["", ""]
        assert all(row["picture"].shape == (128, 96, 3) for row in found)
        # a worker whose models differ from the driver's says so, and the run ends
        report = None
        with pytest.raises(RuntimeError, match="has other models than"):
            engine = _OtherModels(tmp_path / "encodings", workers=1, encoders=1, preparers=1)
            report = run(tmp_path / "other", **small, engine=engine)
        assert report is None and ray.is_initialized()
    finally:
        ray.shutdown()


class _OtherModels(RayEngine):
    """Believes in other weights than the workers have."""

    def prepare(self, settings):
        facts = super().prepare(settings)
        facts["weights of unet"] = "another"
        return facts


@pytest.fixture
def thirty(tmp_path, samples) -> Path:
    """A list of thirty pairs; three of them are bad: a damaged picture, a text, joints that are no JSON."""
    folder = tmp_path / "in"
    shutil.copytree(samples, folder)
    (folder / "cut.jpg").write_bytes((folder / "cloth" / "00003_00.jpg").read_bytes()[:2000])
    (folder / "text.jpg").write_text("a web page")
    (folder / "joints.json").write_text('{"people": [')
    lines = ["id,person_id,person,person_keypoints,person_coordinates,person_parse_map,garment_id,garment,category"]
    for number in range(30):
        person, garment = number // 8 + 1, f"cloth/0000{number % 4 + 1}_00.jpg"
        name, cloth, joints = f"p{person}", f"g{number % 4}", f"openpose_json/0000{person}_00_keypoints.json"
        if number in (7, 15):
            garment, cloth = {7: "cut.jpg", 15: "text.jpg"}[number], f"bad{number}"
        if number == 25:
            joints, name = "joints.json", "broken"
        lines.append(
            f"i{number},{name},image/0000{person}_00.jpg,{joints},vitonhd,image-parse-v3/0000{person}_00.png,"
            f"{cloth},{garment},upper_body"
        )
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def command(repository: Path, pairs: Path, out: Path) -> list[str]:
    arguments = ["--pairs", pairs, "--out", out, "--name", "{id}.png", "--engine", "ray", "--workers", "2", *SMALL]
    arguments += ["--object-store", "0.3", "--encoders", "1", "--preparers", "1"]
    return [sys.executable, "-m", "ladivton_core.batch", *map(str, arguments)]


def started(repository: Path, pairs: Path, out: Path) -> subprocess.Popen:
    """The command in a process, at least six pictures on."""
    log = (out.parent / "log.txt").open("ab")
    process = subprocess.Popen(command(repository, pairs, out), cwd=repository, stdout=log, stderr=log)
    wait_for(6, out, process)
    return process


def wait_for(number: int, out: Path, process: subprocess.Popen) -> None:
    """Wait until the command has made so many pictures."""
    deadline = time.monotonic() + 900
    while len([*out.glob("*.png")]) < number:
        assert process.poll() is None and time.monotonic() < deadline, (out.parent / "log.txt").read_text()
        time.sleep(0.2)


def workers_of(out: Path) -> Iterator[int]:
    """Process ids of the sampling actors, as the pictures tell them."""
    told = {json.loads(Image.open(path).info["ladi_vton"])["worker"] for path in out.glob("*.png")}
    return (int(worker.split()[-1]) for worker in told)


@pytest.mark.soak
def test_killed_workers_and_drivers_lose_nothing_and_nothing_is_made_twice(thirty, tmp_path, repository):
    out = tmp_path / "out"
    process = started(repository, thirty, out)
    victim = next(workers_of(out))
    os.kill(victim, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(victim)] if psutil.pid_exists(victim) else [], timeout=60)
    wait_for(len([*out.glob("*.png")]) + 4, out, process)  # it goes on without that worker
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    psutil.wait_procs(children, timeout=60)
    there = {path.name: path.stat().st_mtime_ns for path in out.glob("*.png")}
    assert 10 <= len(there) < 27 and not (out / "index.html").exists()
    process = subprocess.run(command(repository, thirty, out), cwd=repository, capture_output=True, text=True)
    assert process.returncode == 1 and "3 errors" in process.stderr, process.stderr
    assert all((out / name).stat().st_mtime_ns == before for name, before in there.items())
    # every item once: 27 pictures as the plain loop makes them, and three errors that name their files
    rows = read_index(open_store(out))
    assert len(rows) == len({row["id"] for row in rows}) == 30
    bad = {row["id"]: Path(row["error_file"]).name for row in rows if row["error"] is not None}
    assert bad == {"i7": "cut.jpg", "i15": "text.jpg", "i25": "joints.json"}
    plain = run(tmp_path / "plain", pairs=thirty, template="{id}.png", settings=SETTINGS, progress=False)
    assert plain.made == 27 and sorted(plain.errors) == ["i15", "i25", "i7"]
    assert plain.spent["encode person"][0] == 4 and plain.spent["encode garment"][0] == 4
    assert same(pictures(out), pictures(tmp_path / "plain"), within=1)


@pytest.mark.long
def test_a_full_disk_ends_the_command_with_words(thirty, tmp_path, repository):
    out = tmp_path / "out"
    limited = ["bash", "-c", 'ulimit -f 5; exec "$@"', "_", *command(repository, thirty, out)]
    limited = [part if part != "ray" else "local" for part in limited]
    limited = limited[: limited.index("--workers")] + SMALL  # of the plain engine, in one process
    process = subprocess.run(limited, cwd=repository, capture_output=True, text=True)
    assert process.returncode == 1 and "no room is left" in process.stderr, process.stderr
    assert not [*out.rglob("*.png")]
