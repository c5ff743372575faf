"""`make run` for tests: the whole of Wiredesk in a folder and on ports of its own."""

import re
import signal
import sys
from pathlib import Path

import httpx2 as httpx

from tests.services import Process, free_port
from tests.waiting import wait_until


class Stack(Process):
    """python -m deploy.up with the stand-in model."""

    def __init__(self, folder: Path, **settings: object):
        self.data = folder / "data"
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}"
        ours = {
            "data": self.data,
            "port": self.port,
            "flower_port": free_port(),
            "model": "standin",
            "api_processes": 1,
            "rate_per_minute": 0,
            "rate_per_hour": 0,
        } | settings
        self.flower = f"http://127.0.0.1:{ours['flower_port']}"
        environment = {f"WIREDESK_{name.upper()}": str(value) for name, value in ours.items()}
        folder.mkdir(exist_ok=True)
        super().__init__([sys.executable, "-m", "deploy.up"], folder / "terminal.log", environment)

    def wait_until_greeted(self) -> "Stack":
        wait_until(lambda: self._leaves() or "Ctrl-C" in self.output, "make run greets", 60)
        return self

    def interrupt(self) -> None:
        """Ctrl-C; returns when it has left."""
        self.signal(signal.SIGINT)
        self.process.wait(60)

    def post(self, path: str, body: dict) -> httpx.Response:
        return httpx.post(self.api + path, json=body, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.api + path, timeout=30)

    def spawned(self, name: str) -> list[int]:
        """Process ids of a process, in the order of its starts."""
        return [int(pid) for pid in re.findall(rf"spawned: '{name}' with pid (\d+)", self.supervisor_log)]

    def stopped(self) -> list[str]:
        return re.findall(r"stopped: (\w+) ", self.supervisor_log)

    @property
    def supervisor_log(self) -> str:
        return (self.data / "logs" / "supervisord.log").read_text(encoding="utf-8")

    def _leaves(self) -> bool:
        assert self.process.poll() is None, f"make run left:\n{self.output}"
        return False


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
