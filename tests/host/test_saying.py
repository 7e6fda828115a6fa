"""What `make test`, `make demo` and `make lint` say: a line a step, and after a failure all that helps.

The scripts run whole, in processes of their own; stand-ins take the place of venv, pip, ruff and torch.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import threading

import pytest
from hosting.places import REPOSITORY
from hosting.progress import ProgressBar, Step

NOISE = 'Location "file:///opt/wheels" is ignored: it is neither a file nor a directory.'
VENV = "import pathlib, sys\npython = pathlib.Path(sys.argv[1], 'bin', 'python')\n"
VENV += "python.exists() or python.parent.mkdir(parents=True) or python.symlink_to(sys.executable)"
PIP = f"import os, sys\nprint('\\n'.join([{NOISE!r}] * 300), file=sys.stderr)\nprint('Collecting ruff')\n"
PIP += "sys.exit(os.environ.get('PIP_FAILS', 0) and 'No matching distribution')"
TORCH = "class cuda: is_available = lambda: False"
LINTER = "def lint_imports_command(): pass"
RUFF = "import os, sys\nsys.exit(int(os.environ.get('RUFF_FAILS', 0)))"

posix = pytest.mark.skipif(os.name == "nt", reason="the stand-ins are symbolic links, commands are split as in a shell")


@pytest.fixture
def script(tmp_path):
    """`script(name, *arguments, **environment)`: a script's process, ended; its outputs together in `stdout`."""
    (tmp_path / "modules" / "importlinter").mkdir(parents=True)
    stand_ins = (("venv", VENV), ("pip", PIP), ("ruff", RUFF), ("importlinter/cli", LINTER), ("torch", TORCH))
    for name, code in stand_ins:
        (tmp_path / "modules" / f"{name}.py").write_text(code, encoding="utf-8")

    def run(name: str, *arguments, **environment) -> subprocess.CompletedProcess:
        environment = {**os.environ, "LADIVTON_HOST": str(tmp_path / "host"), **environment}
        command = [sys.executable, str(REPOSITORY / "scripts" / name), *map(str, arguments)]
        return _run(command, env=environment)

    return run


def _run(command, **options) -> subprocess.CompletedProcess:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": 300, **options}
    return subprocess.run(command, **options)


@posix
def test_installing_is_one_line_a_step_and_what_pip_says_goes_to_a_log(script, tmp_path):
    said = script("lint.py", PYTHONPATH=str(tmp_path / "modules"))
    assert said.returncode == 0, said.stdout
    (line,) = said.stdout.splitlines()
    assert line.startswith("[host] installing ruff") and line.endswith(" s") and "\r" not in line
    assert (tmp_path / "host" / "logs" / "lint.log").read_text("utf-8").count(NOISE) == 300
    assert script("lint.py", PYTHONPATH=str(tmp_path / "modules")).stdout == "", "installed twice"


@posix
def test_a_failed_step_shows_all_it_said_its_log_and_the_command_to_try_again(script, tmp_path):
    said = script("lint.py", "--fix", PYTHONPATH=str(tmp_path / "modules"), PIP_FAILS="1")
    log, lines = tmp_path / "host" / "logs" / "lint.log", said.stdout.splitlines()
    assert said.returncode == 1 and "Traceback" not in said.stdout
    assert lines.count(NOISE) == 300 and "Collecting ruff" in lines and "No matching distribution" in lines
    assert str(log) in said.stdout and "No matching distribution" in log.read_text("utf-8")
    again = _run(lines[-1], shell=True, env={**os.environ, "PYTHONPATH": str(tmp_path / "modules")})
    assert again.returncode == 0, again.stdout
    assert (tmp_path / "host" / "stamps" / "lint").is_file(), "the command installed somewhere else"


@posix
def test_lint_says_how_to_mend(script, tmp_path):
    said = script("lint.py", PYTHONPATH=str(tmp_path / "modules"), RUFF_FAILS="1")
    assert said.returncode == 1
    assert shlex.split(said.stdout.splitlines()[-1])[-2:] == [str(REPOSITORY / "scripts" / "lint.py"), "--fix"]


@posix
def test_after_failed_tests_the_last_line_runs_just_those(script, comfy_host, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # sooner
    tests = tmp_path / "two tests"
    tests.mkdir()
    (tests / "test_two.py").write_text("def test_good(): pass\ndef test_bad(): assert 0\n", encoding="utf-8")
    host = {"COMFYUI_PATH": str(comfy_host.comfyui), "COMFYUI_PYTHON": str(comfy_host.python)}
    said = script("test.py", "-q", tests, **host)
    assert said.returncode == 1 and "1 failed, 1 passed" in said.stdout
    command = said.stdout.splitlines()[-1]
    again = _run(command, shell=True)
    assert again.returncode == 1 and "1 failed in" in again.stdout
    assert again.stdout.splitlines()[-1] == command
    (tests / "test_two.py").write_text("def test_good(): pass\ndef test_bad(): pass\n", encoding="utf-8")
    again = _run(command, shell=True)
    assert again.returncode == 0 and "1 passed in" in again.stdout
    assert "To run just that again" not in again.stdout


@posix
def test_a_failed_demo_names_comfyuis_log_and_the_command(script, tmp_path):
    broken = tmp_path / "ComfyUI"
    (broken / "comfy").mkdir(parents=True)
    (broken / "main.py").write_text("import sys\nsys.exit('no such card')", encoding="utf-8")
    host = {"COMFYUI_PATH": str(broken), "COMFYUI_PYTHON": sys.executable}
    said = script("demo.py", "--seed", 7, PYTHONPATH=str(tmp_path / "modules"), **host)
    log, lines = tmp_path / "host" / "logs" / "demo.log", said.stdout.splitlines()
    assert said.returncode == 1 and "Traceback" not in said.stdout
    assert log.read_text("utf-8").strip() == "no such card" and str(log) in lines[-2]
    command = shlex.split(lines[-1])
    assert command[-3:] == [str(REPOSITORY / "scripts" / "demo.py"), "--seed", "7"]
    assert f"COMFYUI_PATH={broken}" in command


class Terminal(io.StringIO):
    """A terminal that says when it was written to a second time in place."""

    def __init__(self):
        super().__init__()
        self.counted = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        written = super().write(text)
        if text.startswith("\r"):
            self.counted.set()
        return written


def test_on_a_terminal_a_step_counts_in_place_with_its_logs_last_line(monkeypatch, tmp_path):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    with Step("fetching", tmp_path / "log") as step:
        step.log.write_text(f"Downloading\ttorch {'x' * 99}\nWARNING: {NOISE}\n", encoding="utf-8")
        assert terminal.counted.wait(60), "the line stands still"
    first, *counting, blank, ended = terminal.getvalue().split("\r")
    assert first == "fetching ... " and not blank.strip()
    assert ended.startswith("fetching ... ") and ended.endswith(" s\n")
    assert counting and all(line.startswith("fetching ... ") and len(line) < 60 for line in counting)
    assert "Downloadingtorch" in counting[0]


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_a_step_that_ends_badly_ends_its_line(failure, capsys, tmp_path):
    with pytest.raises(failure), Step("fetching", tmp_path / "log"):
        raise failure
    said = capsys.readouterr().err
    assert said.startswith("fetching ... failed after ") and said.endswith(" s\n")


def test_in_a_log_file_a_run_is_a_line_a_node(capsys):
    workflow = {"1": {"class_type": "Load"}, "2": {"class_type": "Sample", "_meta": {"title": "Try on"}}}
    events = [("executing", {"node": "1"}), ("executing", {"node": "2"}), ("progress", {"value": 1, "max": 9})]
    events += [("executing", {"node": None}), ("execution_success", {})]
    with ProgressBar(workflow) as bar:
        for kind, data in events:
            bar({"type": kind, "data": data})
    assert capsys.readouterr().err.splitlines() == ["1/2 Load", "2/2 Try on"]
