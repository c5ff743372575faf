"""`make run`: check, start everything, wait until it is ready, classify one item, stop in order."""

import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deploy.checks import CannotStart, check_ports, only_one, redis_url
from deploy.flower import auth_of
from deploy.greeting import greeting, url
from deploy.redis_server import NoRedisServer
from deploy.supervisor import configuration
from shared.errors import SettingsError
from shared.settings import Settings, settings

ROOT = Path(__file__).resolve().parent.parent
LONGEST_START = 600  # seconds; an 8-billion-parameter model takes minutes to load and quantise
USUAL_START = 20  # seconds, after which a person wants to know where to look
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    config = settings()
    lock = only_one(config.data)
    check_ports(config)
    redis = redis_url(config)
    auth, generated = auth_of(config)
    supervisor = start(config, redis)
    try:
        wait_until_ready(config, supervisor)
        say(greeting(config, redis, auth, generated))
        wait_until_gone(supervisor)
        raise CannotStart(f"the supervisor ended by itself; see {config.data / 'logs'}")
    finally:
        stop(supervisor)
        lock.close()


def start(config: Settings, redis: str) -> subprocess.Popen:
    """supervisord in a session of its own, so that Ctrl-C reaches it only through us, in order."""
    path = config.data.resolve() / "supervisord.conf"
    path.write_text(configuration(config, ROOT, own_redis=not config.redis_url), encoding="utf-8")
    ours = {"WIREDESK_REDIS_URL": redis, "WIREDESK_DATA": str(config.data.resolve())}
    supervisord = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(path)]
    say("starting …")
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.tied", "TERM", *supervisord],
        cwd=ROOT,
        env=os.environ | ours,
        start_new_session=True,
    )


def wait_until_ready(config: Settings, supervisor: subprocess.Popen) -> None:
    """Returns once the api says so.

    Raises:
        CannotStart: the worker left with a reason, the supervisor left, or it takes too long.
    """
    logs = config.data / "logs"
    reason_of_leaving = watch(logs / "worker.log")
    begin, told = time.monotonic(), False
    while not is_ready(config):
        elapsed = time.monotonic() - begin
        if supervisor.poll() is not None:
            raise CannotStart(f"the supervisor did not start; see {logs / 'supervisord.log'}")
        if reason := reason_of_leaving():
            raise CannotStart(reason)
        if elapsed > LONGEST_START:
            raise CannotStart(f"not ready after {LONGEST_START} s; see {logs}")
        if elapsed > USUAL_START and not told:
            say(f"still starting; what happens is in {logs}")
            told = True
        time.sleep(0.1)


def watch(log: Path) -> Callable[[], str]:
    """Gives the line with which a worker left since now, if it did; Redis may be a moment late."""
    start = log.stat().st_size if log.exists() else 0

    def reason() -> str:
        if not log.exists():
            return ""
        lines = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
        return next((line for line in lines if line.startswith("worker: ") and "Redis" not in line), "")

    return reason


def is_ready(config: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{url(config)}/ready", timeout=5):
            return True
    except OSError:
        return False


def wait_until_gone(supervisor: subprocess.Popen) -> None:
    """Until the supervisor ends, or the terminal does: `make`, when it is the first process of a
    terminal (ssh -t host make run), gets the hang-up signal and keeps it to itself.
    """
    terminal = select.poll()
    if sys.stdin.isatty():
        terminal.register(sys.stdin, 0)  # asks for no event: hang-ups are always told
    while supervisor.poll() is None:
        if terminal.poll(500):
            raise KeyboardInterrupt


def stop(supervisor: subprocess.Popen) -> None:
    """Stop everything in order and wait for it."""
    if supervisor.poll() is None:
        supervisor.terminate()
        say("stopping …")
    supervisor.wait()


def say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone, which must not keep us from stopping
        print(line, flush=True)


def leave(*_: object) -> None:
    """A second signal must not interrupt the ordered stop."""
    for number in ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    for ending in ENDINGS:
        signal.signal(ending, leave)
    try:
        main()
    except (CannotStart, NoRedisServer, SettingsError) as problem:
        sys.exit(f"wiredesk: {problem}")
    except KeyboardInterrupt:
        sys.exit(0)
