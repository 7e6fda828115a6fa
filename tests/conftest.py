"""Fixtures for every test: its random numbers, the core by its name, ComfyUI in this process, ComfyUI as a server.

The repository's root goes to the end of `sys.path`: `import ladivton_core` works, while `import nodes`
stays ComfyUI's own module. Nothing here installs anything; `make test` does, and runs pytest in ComfyUI's
interpreter.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import random
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# `python -m pytest` puts the working folder first; the repository must come last (see above).
sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != REPOSITORY]
sys.path += [str(REPOSITORY / "scripts"), str(REPOSITORY)]


def pytest_configure(config):
    """pytest-randomly (`-p randomly`) draws the order and nothing else: the numbers are `seeded`'s."""
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False


LONG_TO_SET_UP = {"newest_server", "registry_server", "paper_stages", "trained_default", "full_size_plan"}
"""Fixtures that take longer than most files of tests: what asks for them is marked `long`."""


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    for item in items:
        if LONG_TO_SET_UP.intersection(item.fixturenames):
            item.add_marker(pytest.mark.long)


def _seed(name: str) -> None:
    """Seed every generator that belongs to the whole process: the same on any machine, whatever was drawn before."""
    number = crc32(name.encode("utf-8", "surrogatepass"))
    random.seed(number)
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(number)
    if torch := sys.modules.get("torch"):  # where nobody has imported it, nobody has drawn from it
        torch.manual_seed(number)


@contextlib.contextmanager
def _drawn_apart(name: str) -> Iterator[None]:
    """Inside, numbers that depend on `name` alone; afterwards those of before go on."""
    before, numpy, torch = random.getstate(), sys.modules.get("numpy"), sys.modules.get("torch")
    numpy_before, torch_before = numpy and numpy.random.get_state(), torch and torch.get_rng_state()
    _seed(name)
    try:
        yield
    finally:
        random.setstate(before)
        if numpy:
            numpy.random.set_state(numpy_before)
        if torch:
            torch.set_rng_state(torch_before)


@pytest.fixture(autouse=True)
def seeded(request):
    """Every test draws its own numbers, from its id: neither order nor selection changes them."""
    _seed(request.node.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef, request):
    """What several tests share draws its own numbers too, and takes none from the test that happened to come first."""
    if fixturedef.scope == "function":
        return (yield)
    with _drawn_apart(f"{fixturedef.baseid}::{fixturedef.argname}[{getattr(request, 'param_index', 0)}]"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable():
    """Names that are no text, which some tests print, would end pytest-xdist, whose processes send each other UTF-8."""
    return _in_utf8((yield))


def _in_utf8(value):
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _in_utf8(entry) for key, entry in value.items()}
    return type(value)(map(_in_utf8, value)) if isinstance(value, list | tuple) else value


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Files go to the first process from the front and to the others from the back.

    So the folders that need servers, named first in `scripts/test.py`, are one process's, and the servers are started
    once: to start ComfyUI and load its page takes longer than most tests.
    """
    from xdist.scheduler import LoadFileScheduling

    class FromBothEnds(LoadFileScheduling):
        def _assign_work_unit(self, node) -> None:
            if node is not self.nodes[0]:
                self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
            super()._assign_work_unit(node)

    return FromBothEnds(config, log) if config.getoption("dist") == "loadfile" else None


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden() -> Path:
    """The reference numbers that the repository carries; a copy without them skips, and says so."""
    folder = REPOSITORY / "tests" / "golden"
    if not any(folder.glob("*.safetensors")):
        pytest.skip(f"no golden data: {folder} is not in this copy of the repository")
    return folder


@pytest.fixture(scope="session")
def embedded():
    """The shipped models in a pipeline, loaded once; not to be changed in place."""
    from ladivton_core.pipeline import TryOnPipeline

    return TryOnPipeline.from_embedded()


@pytest.fixture(scope="session")
def sample_client():
    """The client of plain Python (`samples/clients/try_on.py`) as a module."""
    file = REPOSITORY / "samples" / "clients" / "try_on.py"
    spec = importlib.util.spec_from_file_location("try_on_client", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def nobodies() -> Iterator[list[str]]:
    """Two addresses where nobody listens: ports of this machine that are taken here, so that nobody else gets them."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(2)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        yield [f"http://127.0.0.1:{one.getsockname()[1]}" for one in taken]


@pytest.fixture
def nobody(nobodies) -> str:
    """The first of them."""
    return nobodies[0]


@pytest.fixture(scope="session")
def comfy_host():
    """The ComfyUI that `make test` found or installed."""
    from hosting import installation, places

    if not os.environ.get("COMFYUI_PATH") and not (places.HOST / "ComfyUI" / "main.py").is_file():
        pytest.skip("no ComfyUI here: run `make test`, or set COMFYUI_PATH")
    return installation.find_or_install(tests=True)


@pytest.fixture(scope="session")
def newer(comfy_host) -> None:
    """For tests of what only newer versions of ComfyUI have; on an older one they are skipped."""
    version = re.search(r'"(.+)"', (comfy_host.comfyui / "comfyui_version.py").read_text("utf-8")).group(1)
    if tuple(map(int, version.split(".")[:2])) < (0, 33):
        pytest.skip(f"ComfyUI {version} is too old for this: make test-newest runs it on a newer one")


@pytest.fixture(scope="session")
def comfyui(comfy_host) -> Path:
    """ComfyUI importable in this process (`import comfy`, `import nodes`), on the CPU where there is no GPU."""
    from hosting import in_process

    in_process.import_comfyui(comfy_host.comfyui)
    return comfy_host.comfyui


@pytest.fixture(scope="session")
def pack(comfyui):
    """The pack imported as ComfyUI does: from its folder, under a name that is not its own."""
    from hosting import in_process

    return in_process.import_pack(REPOSITORY, "pack_under_test")


@pytest.fixture(scope="session")
def comfy_server(comfy_host):
    """One ComfyUI server with the pack linked in and the example files in its input folder."""
    import shutil

    from hosting.server import ComfyServer

    with ComfyServer(comfy_host, ("--preview-method", "auto")) as server:
        samples = REPOSITORY / "samples"
        if samples.is_dir():
            shutil.copytree(samples, server.base / "input", dirs_exist_ok=True)
        yield server


@pytest.fixture(scope="session")
def small_samples(tmp_path_factory) -> Path:
    """Folder with the sample pictures, label maps and joints at 96 x 128: for what no picture's beauty decides."""
    from PIL import Image

    samples, folder, scale = REPOSITORY / "samples", tmp_path_factory.mktemp("small"), 4
    for file in samples.glob("*.png"):
        how = Image.NEAREST if "parse" in file.name else Image.LANCZOS
        with Image.open(file) as picture:
            picture.resize((picture.width // scale, picture.height // scale), how).save(folder / file.name)
    for file in samples.glob("*keypoints.json"):
        joints = json.loads(file.read_text(encoding="utf-8"))
        for person in joints["people"]:
            flat = person["pose_keypoints_2d"]
            person["pose_keypoints_2d"] = [value if i % 3 == 2 else value / scale for i, value in enumerate(flat)]
        (folder / file.name).write_text(json.dumps(joints), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def pose_graphs(comfy_host) -> Path:
    """Folder with BlazePose's graphs. Where they cannot be had tests are skipped, unless LADIVTON_NEEDS_POSE is set."""
    from hosting import installation, pose

    try:
        import ai_edge_litert  # noqa: F401

        return pose.graphs(comfy_host)
    except (installation.InstallationError, ImportError) as error:
        if os.environ.get("LADIVTON_NEEDS_POSE"):
            raise
        pytest.skip(f"BlazePose cannot be had here: {error.args[-1]}")


@pytest.fixture
def client(comfy_server):
    """A client of that server."""
    from hosting.client import ComfyClient

    return ComfyClient(comfy_server.url)
