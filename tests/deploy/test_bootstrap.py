"""What the environment is made of, by machine; when it is made again."""

import subprocess
import sys

import pytest

from deploy import bootstrap
from tests.services import ROOT


def test_a_machine_without_a_gpu_gets_the_cpu_build_first_from_where_pip_looks():
    first, second = bootstrap.torch_sources(nvidia=False, system="linux", machine="x86_64")
    assert first == [f"torch=={bootstrap.TORCH}+cpu"]
    assert second == [*first, "--extra-index-url", bootstrap.CPU_INDEX]


@pytest.mark.parametrize(
    "nvidia, system, machine",
    [(True, "linux", "x86_64"), (False, "darwin", "arm64"), (False, "linux", "aarch64")],
)
def test_every_other_machine_gets_the_usual_build(nvidia, system, machine):
    assert bootstrap.torch_sources(nvidia, system, machine) == ([f"torch=={bootstrap.TORCH}"], None)


def test_bootstrap_and_requirements_name_the_same_torch():
    assert f"torch=={bootstrap.TORCH}" in (ROOT / "requirements.txt").read_text().split()
    assert f"torch=={bootstrap.TORCH}+cpu" in (ROOT / "deploy/worker.Dockerfile").read_text()


def test_the_environment_is_made_again_when_a_requirement_or_the_machine_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    file = tmp_path / "requirements.txt"
    file.write_text("flask==3.1.3\n")
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
    before = bootstrap.fingerprint([file.name])
    assert bootstrap.fingerprint([file.name]) == before
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: True)
    assert bootstrap.fingerprint([file.name]) != before
    monkeypatch.setattr(bootstrap, "has_nvidia_gpu", lambda: False)
    file.write_text("flask==3.1.4\n")
    assert bootstrap.fingerprint([file.name]) != before


def test_an_old_python_is_told_in_one_line(monkeypatch):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9, 1))
    with pytest.raises(SystemExit, match=r"^wiredesk: Python 3\.11 or newer is needed"):
        bootstrap.main([])


def test_a_missing_venv_module_is_told_in_one_line(tmp_path, monkeypatch):
    """Debian's python3 without python3-venv: the module is there, making an environment fails."""
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / "venv")
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/sh\necho The virtual environment was not created successfully\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(bootstrap.sys, "executable", str(broken))
    with pytest.raises(SystemExit, match="apt install python3-venv"):
        bootstrap.make_environment()


def test_it_needs_the_standard_library_only():
    """It runs before anything is installed: -I -S leaves the interpreter alone with its own library."""
    code = "import sys; sys.path.insert(0, 'deploy'); import bootstrap; bootstrap.torch_sources(0, '', '')"
    subprocess.run([sys.executable, "-I", "-S", "-B", "-c", code], cwd=ROOT, check=True, timeout=30)
