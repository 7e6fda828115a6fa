"""What installers and the registry read agrees with the repository, and what they get is whole."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile

import package
import pytest
from hosting.places import REPOSITORY
from PIL import Image

NEEDS_THE_REPOSITORY = {
    ".ci", ".github", "benchmarks", "drawn_world", "scripts", "tests", "Makefile", "CONTRIBUTING.md",
}  # fmt: skip


def listed(text: str) -> set[str]:
    return {line.split("#")[0].strip() for line in text.splitlines() if line.split("#")[0].strip()}


@pytest.fixture(scope="module")
def project() -> str:
    return (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_requirements_and_pyproject_say_the_same(project):
    block = re.search(r"^dependencies = \[(.*?)^\]", project, re.MULTILINE | re.DOTALL).group(1)
    requirements = listed((REPOSITORY / "requirements.txt").read_text(encoding="utf-8"))
    assert set(re.findall(r'"([^"]+)"', block)) == requirements


def test_requirements_have_lower_bounds_only_and_leave_torch_alone():
    for line in listed((REPOSITORY / "requirements.txt").read_text(encoding="utf-8")):
        assert re.fullmatch(r"[\w.-]+>=[\d.]+", line), line
        assert not line.startswith("torch")


def test_comfy_clis_checks_for_publishing_pass():
    package.check()


def test_the_archive_is_what_git_tracks_less_what_needs_the_repository(archive, tracked):
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
        assert sorted(names) == sorted(name for name in tracked if name.split("/")[0] not in NEEDS_THE_REPOSITORY)
        assert all(packed.read(name) == (REPOSITORY / name).read_bytes() for name in names)
    assert {"samples", "subgraphs", "workflows", "web", "locales", "nodes", "ladivton_core"} <= {
        name.split("/")[0] for name in names
    }
    assert {"samples/clients/try_on.py", "samples/clients/comfy_cli.md", "samples/person.png"} <= set(names)


def test_the_changelog_tells_of_this_version():
    assert len(package.notes().splitlines()) > 3


def test_comfyui_reads_the_registrys_fields(comfyui, project):
    from comfy_config.config_parser import extract_node_configuration

    read = extract_node_configuration(str(REPOSITORY))
    assert read.project.version == package.released_version()
    assert read.project.supported_os == ["OS Independent"]
    assert read.tool_comfy.display_name == "LaDI-VTON Virtual Try-On"
    assert read.tool_comfy.publisher_id == "ladi-vton"
    assert all((read.project.urls.repository, read.project.urls.documentation, read.project.urls.issues))
    assert read.project.supported_comfyui_version == ">=0.3.75"
    base = read.project.urls.repository.replace("github.com", "raw.githubusercontent.com")
    for name, url in re.findall(r'^(Icon|Banner) = "(.+)"$', project, re.MULTILINE):
        assert url == f"{base}/main/docs/images/{name.lower()}.jpg"


def test_the_address_that_is_not_settled_stands_in_one_file(tracked, project):
    address = re.search(r'^Repository = "https://[^/]+/(.+)"$', project, re.MULTILINE)[1].encode()
    assert [name for name in tracked if address in (REPOSITORY / name).read_bytes()] == ["pyproject.toml"]


def test_icon_and_banner_are_of_the_registrys_sizes_and_of_todays_demo():
    import make_registry_pictures
    import numpy as np

    for name, drawn in (("icon", make_registry_pictures.icon()), ("banner", make_registry_pictures.banner())):
        file = REPOSITORY / "docs" / "images" / f"{name}.jpg"
        shown = Image.open(file).convert("RGB")
        assert shown.size == drawn.size and file.stat().st_size < 200_000
        difference = np.abs(np.asarray(shown, float) - np.asarray(drawn, float)).mean()
        assert difference < 4, f"{file} is out of date: run scripts/make_registry_pictures.py"
    assert make_registry_pictures.icon().size == (400, 400)
    width, height = make_registry_pictures.banner().size
    assert width * 9 == height * 21


def test_the_core_alone_installs_and_finds_its_weights_and_configs(tracked, tmp_path):
    """Without dependencies, so torch is not pulled: it must come from the interpreter that runs ComfyUI."""
    source, target = tmp_path / "source", tmp_path / "installed"
    for name in tracked:
        if name.startswith("ladivton_core/") or "/" not in name:
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), str(source)]
    if importlib.util.find_spec("setuptools"):  # torch brings it; else pip fetches one
        pip.append("--no-build-isolation")
    subprocess.run(pip, check=True, cwd=tmp_path)

    installed = {str(f.relative_to(target).as_posix()) for f in target.rglob("*") if f.is_file()}
    installed = {name for name in installed if "__pycache__" not in name and ".dist-info/" not in name}
    assert installed == {name for name in tracked if name.startswith("ladivton_core/")}
    (metadata,) = target.glob("*.dist-info/METADATA")
    required = re.findall(r"^Requires-Dist: ([\w-]+)(.*)$", metadata.read_text(encoding="utf-8"), re.MULTILINE)
    assert "torch" not in {name for name, marker in required}

    code = (
        "import ladivton_core, sys; from ladivton_core.pipeline import TryOnPipeline; TryOnPipeline.from_embedded(); "
        "print(ladivton_core.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": str(target)}
    said = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, env=environment, text=True)
    assert str(target) in said


def test_the_workflows_of_github_call_scripts_that_are_there(repository):
    import yaml

    files = sorted((repository / ".github" / "workflows").glob("*.yml"))
    assert [file.stem for file in files] == ["publish", "tests"]
    for file in files:
        jobs = yaml.safe_load(file.read_text(encoding="utf-8"))["jobs"]
        commands = [step["run"] for job in jobs.values() for step in job.get("steps", ()) if "run" in step]
        for script in re.findall(r"scripts/\w+\.py", "\n".join(commands)):
            assert (repository / script).is_file(), script
    matrix = jobs["tests"]["strategy"]["matrix"]["python"]
    project = (repository / "pyproject.toml").read_text(encoding="utf-8")
    assert matrix == re.findall(r'"Programming Language :: Python :: (3\.\d+)"', project)


SCRIPTS = sorted(
    path.name for path in (REPOSITORY / "scripts").glob("*.py") if "argparse" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_starts_on_a_machine_that_has_nothing_but_python(script):
    """Scripts install what they need, and go on in ComfyUI's interpreter."""
    command = [sys.executable, "-S", str(REPOSITORY / "scripts" / script), "--help"]  # -S: no packages
    run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0 and "usage" in run.stdout, run.stderr
