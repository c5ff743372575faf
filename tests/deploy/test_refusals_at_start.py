"""What keeps `make run` from starting is said in one line, on stderr, with a status that is not 0."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.services import ROOT, free_port


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def refusal(folder, told: str = "", **settings: object) -> str:
    """What the start writes to stderr; `told`: what it may have written to stdout before."""
    ours = {"data": folder / "data", "port": free_port(), "flower_port": free_port(), "model": "standin"}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WIREDESK_")}
    chosen = {f"WIREDESK_{name.upper()}": str(value) for name, value in (ours | settings).items()}
    done = subprocess.run(
        [sys.executable, "-m", "deploy.up"],
        cwd=ROOT,
        env=clean | chosen,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == told
    return done.stderr


def test_a_port_in_use(tmp_path, taken_port):
    assert refusal(tmp_path, port=taken_port) == (
        f"wiredesk: port {taken_port} on 127.0.0.1: Address already in use; set WIREDESK_PORT to a free one\n"
    )


def test_flowers_port_in_use(tmp_path, taken_port):
    assert "set WIREDESK_FLOWER_PORT" in refusal(tmp_path, flower_port=taken_port)


def test_a_redis_that_does_not_answer(tmp_path):
    port = free_port()
    line = refusal(tmp_path, redis_url=f"redis://:secret@127.0.0.1:{port}/0")
    assert line == (
        f"wiredesk: Redis does not answer at 127.0.0.1:{port}/0 (ConnectionError); check WIREDESK_REDIS_URL\n"
    )


def test_a_bad_setting(tmp_path):
    assert refusal(tmp_path, batch_size=0).startswith("wiredesk: WIREDESK_BATCH_SIZE=")


def test_a_password_that_flower_would_misread(tmp_path):
    assert "WIREDESK_FLOWER_AUTH" in refusal(tmp_path, flower_auth="ops:a,b")


def test_a_model_that_is_not_there(tmp_path):
    line = refusal(tmp_path, model=tmp_path / "none", told="starting …\nstopping …\n")
    assert line.startswith("wiredesk: worker: ")
    assert len(line.splitlines()) == 1
