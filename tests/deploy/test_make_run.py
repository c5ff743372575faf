"""`make run` as a person meets it: the greeting, a killed process, Ctrl-C, the next start."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.deploy.stack import Stack, is_running
from tests.services import running
from tests.waiting import wait_until

ALL = ("redis", "worker", "flower", "feeder", "api")
QUESTION = {"model": "news-classifier", "messages": [{"role": "user", "content": "国际油价大涨"}]}

JOB = {"endpoint": "/v1/chat/completions"} | QUESTION


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running Wiredesk for the tests that leave it running."""
    with running(Stack(tmp_path_factory.mktemp("stack"))) as up:
        yield up.wait_until_greeted()


def test_it_shows_a_first_label_and_where_everything_is(stack):
    assert "央行宣布下调存款准备金率0.5个百分点\n→ 这条新闻属于：货币政策" in stack.output
    assert f"{stack.api}/v1" in stack.output
    assert len(stack.output.splitlines()) < 15


def test_the_generated_password_is_shown_and_kept_for_this_user_only(stack):
    kept = stack.data / "flower-auth"
    assert kept.read_text().strip().partition(":")[2] in stack.output
    assert kept.stat().st_mode & 0o077 == 0


def test_no_password_stands_on_a_command_line(stack):
    password = (stack.data / "flower-auth").read_text().strip().partition(":")[2]
    commands = [Path(f"/proc/{stack.spawned(name)[-1]}/cmdline").read_text() for name in ALL]
    assert not any(password in command for command in commands)


def test_a_second_start_on_the_same_folder_is_refused(stack, tmp_path):
    second = Stack(tmp_path, data=stack.data)
    assert second.process.wait(20) == 1
    assert second.output.startswith("wiredesk: Wiredesk already runs with WIREDESK_DATA=")


@pytest.mark.parametrize("name", ["worker", "redis", "api"])
def test_a_killed_process_comes_back_and_answers(stack, name):
    before = stack.spawned(name)
    os.kill(before[-1], signal.SIGKILL)
    wait_until(lambda: len(stack.spawned(name)) > len(before), f"{name} is started again", 30)
    wait_until(lambda: answers(stack), "it answers again", 60)


def answers(stack: Stack) -> bool:
    try:
        return stack.post("/v1/chat/completions", QUESTION).status_code == 200
    except httpx.TransportError:
        return False


def test_ctrl_c_loses_nothing_and_leaves_nothing(tmp_path):
    """Jobs that ran or waited at Ctrl-C are answered after the next start; Redis stops last."""
    with running(Stack(tmp_path, standin_seconds=0.5)) as first:
        first.wait_until_greeted()
        jobs = [first.post("/v1/jobs", JOB).json()["id"] for _ in range(7)]
        first.interrupt()
    pids = [pid for name in ALL for pid in first.spawned(name)]
    assert [pid for pid in pids if is_running(pid)] == []
    assert first.stopped() == ["api", "feeder", "flower", "worker", "redis"]

    with running(Stack(tmp_path / "again", data=first.data)) as second:
        second.wait_until_greeted()
        assert "password" not in second.output
        for job in jobs:
            wait_until(lambda job=job: second.get(f"/v1/jobs/{job}").json()["status"] == "succeeded", job)
        second.interrupt()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux ties processes to their parent")
@pytest.mark.parametrize("victim", ["make run", "supervisord"])
def test_even_kill_9_leaves_no_process_behind(tmp_path, victim):
    with running(Stack(tmp_path)) as stack:
        stack.wait_until_greeted()
        pids = [pid for name in ALL for pid in stack.spawned(name)]
        supervisor = int((stack.data / "supervisord.pid").read_text())
        os.kill(stack.process.pid if victim == "make run" else supervisor, signal.SIGKILL)
        wait_until(lambda: not any(map(is_running, [*pids, supervisor])), "all have left", 60)
        assert stack.process.wait(20) != 0
