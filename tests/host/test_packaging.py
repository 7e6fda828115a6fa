"""What installers and the registry read agrees with the repository, and what they get is whole."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator

import package
import pytest
from hosting.places import REPOSITORY
from PIL import Image

NEEDS_THE_REPOSITORY = {
    ".ci", ".github", "benchmarks", "drawn_world", "scripts", "tests", "Makefile", "CONTRIBUTING.md",
    "ladivton_core/evaluation", "ladivton_core/parity", "ladivton_core/training",
    "ladivton_core/batch/engines/ray.py", "ladivton_core/batch/engines/ray_actors.py",
}  # fmt: skip
REPOSITORYS_OWN = {"ladivton_core.batch.engines.ray_actors"}
"""Modules named in the archive that it lacks: for type checkers alone, or told by `start.repository_only`."""
FORBIDDEN_MODULES = {
    "dill", "cloudpickle", "joblib", "jsonpickle", "marshal", "pickle", "pickletools", "shelve",  # unpickle
    "cffi", "ctypes", "torch.utils.cpp_extension",  # load a C library
    "_posixsubprocess", "multiprocessing", "multiprocess", "pty", "ray", "subprocess", "torch.multiprocessing",
    "server", "execution", "app",  # ComfyUI's server
}  # fmt: skip
COMMON_WORDS = {"ray", "server", "execution", "app"}
"""Of those, what a text may be that is no module's name."""
FORBIDDEN_NAMES = re.compile(
    r"(CDLL|PyDLL|WinDLL|LoadLibrary|load_library|load_module|ProcessPoolExecutor|create_subprocess_\w+|subprocess_\w+|"
    r"PromptServer|add_routes|read_pickle|Unpickler|allow_pickle|num_workers|DataLoader|unsafe_load)"
)
FORBIDDEN_CALLS = re.compile(
    r"(eval|exec|compile|__import__|os\.(system|popen|startfile|fork\w*|posix_spawn\w*|spawn\w+|exec\w+)|"
    r"torch\.(load|jit\.load|hub\.\w+|package\.\w+)|yaml\.(load|full_load))"
)


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
        left_out = tuple(f"{name}/" for name in NEEDS_THE_REPOSITORY)
        assert sorted(names) == sorted(name for name in tracked if not f"{name}/".startswith(left_out))
        assert all(packed.read(name) == (REPOSITORY / name).read_bytes() for name in names)
    assert {"samples", "subgraphs", "workflows", "web", "locales", "nodes", "ladivton_core"} <= {
        name.split("/")[0] for name in names
    }
    assert {"samples/clients/try_on.py", "samples/clients/comfy_cli.md", "samples/person.png"} <= set(names)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name or attribute; what is no such chain begins with a dot."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return getattr(node, "id", "")


def imported(name: str, tree: ast.AST) -> Iterator[str]:
    """Modules that a file imports, and what it imports from them, by full name; the pack's own from its root."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = name.split("/")[: -node.level] if node.level else []
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


def faults(name: str, source: str) -> list[str]:
    """What a file of the archive must not do: unpickle, load a C library, start a process, hook the server."""
    tree, found = ast.parse(source), []
    modules = [module for module in imported(name, tree) if module != "pickle.UnpicklingError"]
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    found += sorted(texts & FORBIDDEN_MODULES - COMMON_WORDS)  # for import_module
    for parts in (module.split(".") for module in modules):
        found += [".".join(parts)] if any(".".join(parts[:n]) in FORBIDDEN_MODULES for n in range(1, 4)) else []
    loaders = {"torch.serialization.load"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and dotted(node.value) in loaders:
            loaders |= {dotted(target) for target in node.targets}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name | ast.keyword):
            said = node.arg or "" if isinstance(node, ast.keyword) else dotted(node)
            found += [said] if FORBIDDEN_NAMES.fullmatch(said.rpartition(".")[2]) else []
            found += [said] if FORBIDDEN_CALLS.fullmatch(said) else []
        elif isinstance(node, ast.Call) and dotted(node.func) in loaders:
            if not any(word.arg == "weights_only" and ast.unparse(word.value) == "True" for word in node.keywords):
                found.append(f"{dotted(node.func)} without weights_only=True")
        elif isinstance(node, ast.ImportFrom) and node.module in ("torch", "torch.serialization"):
            found += [alias.name for alias in node.names if alias.name == "load"]
        elif isinstance(node, ast.ImportFrom):
            found += [alias.name for alias in node.names if FORBIDDEN_NAMES.fullmatch(alias.name)]
    return found


@pytest.fixture(scope="module")
def sources(archive) -> dict[str, str]:
    """The Python files that people get."""
    with zipfile.ZipFile(archive) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist() if name.endswith(".py")}


def test_nothing_in_the_archive_unpickles_loads_c_starts_processes_or_hooks_the_server(sources):
    assert len(sources) > 100
    assert {name: said for name, source in sources.items() if (said := faults(name, source))} == {}


@pytest.mark.parametrize("line", [
    "import pickle", "from pickle import loads", "import numpy as np; np.load(f, allow_pickle=True)",
    "torch.load(f)", "torch.load(f, weights_only=True)", "load = torch.serialization.load; load(f, weights_only=False)",
    "torch.serialization.load(f)", "import ctypes", "from ctypes import util", "torch.ops.load_library(f)",
    "import subprocess", "from os import path; os.system(c)", "run = os.popen", "importlib.import_module('subprocess')",
    "from concurrent.futures import ProcessPoolExecutor", "concurrent.futures.ProcessPoolExecutor()",
    "from torch.utils.data import DataLoader", "import multiprocessing.pool", "import ray.data", "exec(text)",
    "from server import PromptServer", "server.PromptServer.instance.routes", "import execution",
])  # fmt: skip
def test_the_walk_sees_what_is_forbidden(line):
    assert faults("nodes/some.py", line)


def test_what_the_archive_imports_of_itself_is_in_it(sources):
    modules = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in sources}
    for name, source in sources.items():
        for module in imported(name, ast.parse(source)):
            if module.split(".")[0] in ("ladivton_core", "nodes") and "/" in name:
                assert module in modules or module.rpartition(".")[0] in modules | REPOSITORYS_OWN, f"{name}: {module}"


def test_what_the_archive_lacks_names_the_repository(archive, tmp_path):
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path)
    asked = (
        "-c", "from ladivton_core.batch.engines import make_engine; make_engine('ray')"
    ), ("-c", "from ladivton_core.batch import DressRows"), ("ladivton_core/start.py", "evaluation")  # fmt: skip
    for words in asked:
        said = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True)
        last = said.stderr.strip().splitlines()[-1]
        assert said.returncode and "is not in the ComfyUI registry's package; clone https://" in last


def test_the_changelog_tells_of_this_version():
    assert len(package.notes().splitlines()) > 3


def test_the_project_follows_the_registrys_specification(project):
    """docs.comfy.org/registry/specifications, as published in November 2026."""
    name = re.search(r'^name = "(.+?)"', project, re.MULTILINE)[1]
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_.][A-Za-z0-9]+)*", name) and len(name) < 100
    assert "comfyui" not in name.lower()
    assert re.fullmatch(r"\d+\.\d+\.\d+", package.released_version())
    assert re.search(r'^license = \{ (file = "LICENSE"|text = ".+") \}$', project, re.MULTILINE)
    links = re.search(r"^\[project\.urls\]\n(.*?)^\[", project, re.MULTILINE | re.DOTALL)[1]
    assert {"Repository", "Documentation", "Bug Tracker"} <= set(
        re.findall(r'^"?([\w ]+?)"? = "https://', links, re.MULTILINE)
    )
    assert re.search(r'^requires-comfyui = ">=\d+\.\d+\.\d+"$', project, re.MULTILINE)
    for url in re.findall(r'^(?:Icon|Banner) = "(.+)"$', project, re.MULTILINE):
        file = REPOSITORY / url.split("/main/")[1]
        assert url.startswith("https://") and file.suffix in (".svg", ".png", ".jpg", ".gif")
    icon = Image.open(REPOSITORY / "docs" / "images" / "icon.jpg")
    assert icon.width <= 800 and icon.height <= 400


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


@pytest.mark.long
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
