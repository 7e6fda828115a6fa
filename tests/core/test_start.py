"""Commands that messages print run as they are printed, from any folder, with a Python that looks in none."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ladivton_core import start

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("datasets", ["-P"] if sys.version_info >= (3, 11) else ["-I"]),
        pytest.param("checkpoints", ["-I"], marks=pytest.mark.long),
        pytest.param("parity", [], marks=pytest.mark.long),
    ],
)
def test_a_command_runs_from_any_folder(tmp_path, name, flags):
    python, *words = shlex.split(start.command(f"{name} --help"))
    assert python == sys.executable
    said = subprocess.run([python, *flags, *words], capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 0, said.stderr
    shown = " ".join(said.stdout.split())
    assert f"usage: {start.command(name)}" in shown and "python -m" not in shown


@pytest.mark.long
def test_in_this_projects_own_host_a_command_is_a_module_from_anywhere(tmp_path):
    if ROOT / ".host" not in Path(sys.prefix).parents:
        pytest.skip("a host of somebody else, or of several checkouts: the library is not installed there")
    command = [sys.executable, "-I", "-m", "ladivton_core.datasets", "verify", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert said.returncode == 0 and str(ROOT) in said.stdout, said.stderr


def test_another_command_is_refused_in_words(tmp_path):
    for words in ("", "nonsense"):
        said = subprocess.run([sys.executable, start.__file__, *words.split()], capture_output=True, text=True)
        assert said.returncode == 1 and "checkpoints" in said.stderr and "Traceback" not in said.stderr


def test_a_command_that_the_registrys_package_lacks_names_the_repository(tmp_path):
    (tmp_path / "ladivton_core").mkdir()
    for name in ("ladivton_core/start.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    command = [sys.executable, str(tmp_path / "ladivton_core" / "start.py"), "training", "--help"]
    said = subprocess.run(command, capture_output=True, text=True)
    assert said.returncode == 1 and "Traceback" not in said.stderr
    assert "The command training is not in the ComfyUI registry's package; clone https://" in said.stderr


def test_every_command_that_can_be_run_is_known():
    folders = {path.parent.name for path in (ROOT / "ladivton_core").glob("*/__main__.py")}
    assert folders | {"memory_plan"} == set(start.COMMANDS)


def test_no_message_of_the_library_prints_a_command_that_needs_a_folder():
    in_text = re.compile(r"""^\s*(?:f?["'].*|.*[=(]\s*f?["'].*)python -m ladivton_core\.\w+ \w""", re.MULTILINE)
    for file in (path for folder in ("ladivton_core", "nodes") for path in (ROOT / folder).rglob("*.py")):
        assert not in_text.search(file.read_text("utf-8").split('"""', 2)[-1]), file


def test_what_is_to_be_installed_is_told_with_the_python_that_runs():
    in_text = re.compile(r"""["'].*pip install""")
    for file in (path for folder in ("ladivton_core", "nodes") for path in (ROOT / folder).rglob("*.py")):
        assert file.name == "start.py" or not in_text.search(file.read_text("utf-8")), file
    python, *words = shlex.split(start.installing(extra="eval"))
    assert python == sys.executable and words[-1] == f"{ROOT}[eval]"
    assert re.search(r"^eval = \[", (ROOT / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
