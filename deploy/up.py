"""`make run`: check, start everything, wait until it is ready, classify one item, stop in order."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import IO

from redis import RedisError

from api.app import create_app
from api.schemas import CLASSIFIER
from deploy.flower import AUTH_FILE, auth_of
from deploy.redis_server import NoRedisServer, find_server, socket_path
from deploy.supervisor import configuration
from shared.errors import SettingsError
from shared.redis_client import connect
from shared.settings import Settings, settings

ROOT = Path(__file__).resolve().parent.parent
NEWS = "央行宣布下调存款准备金率0.5个百分点"
LONGEST_START = 600  # seconds; an 8-billion-parameter model takes minutes to load and quantise


class CannotStart(Exception):
    """One line for the terminal: what is wrong and what to do."""


def main() -> None:
    config = settings()
    lock = only_one(config.data)
    check_ports(config)
    own_redis = not config.redis_url
    environment = redis_environment(config, own_redis)
    auth, generated = auth_of(config)
    supervisor = start(config, environment, own_redis, lock)
    try:
        if wait_until_ready(config, supervisor):
            greet(config, environment, auth, generated)
            supervisor.wait()
    finally:
        stop(supervisor)


def only_one(data: Path) -> IO[str]:
    """A lock on the data folder, which supervisord inherits."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (data / "logs").mkdir(exist_ok=True)
    lock = (data / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"Wiredesk already runs with WIREDESK_DATA={data}; stop it, or set another folder"
        ) from None
    return lock


def check_ports(config: Settings) -> None:
    for variable, host, port in (
        ("WIREDESK_PORT", config.host, config.port),
        ("WIREDESK_FLOWER_PORT", config.flower_host, config.flower_port),
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error.strerror or "cannot be bound"
                raise CannotStart(f"port {port} on {host}: {reason}; set {variable} to a free one") from None


def redis_environment(config: Settings, own_redis: bool) -> dict[str, str]:
    """What the processes must know of Redis; one that was asked for must answer."""
    if own_redis:
        find_server()
        return {"WIREDESK_REDIS_URL": f"redis+socket://{socket_path(config.data)}"}
    try:
        connect(config.redis_url, timeout=3).ping()
    except RedisError as error:
        reason = type(error).__name__
        raise CannotStart(
            f"Redis does not answer at {config.redis_host} ({reason}); check WIREDESK_REDIS_URL"
        ) from None
    return {"WIREDESK_REDIS_URL": config.redis_url}


def start(config: Settings, environment: dict[str, str], own_redis: bool, lock: IO[str]) -> subprocess.Popen:
    """supervisord in a session of its own, so that Ctrl-C reaches it only through us, in order."""
    path = config.data.resolve() / "supervisord.conf"
    path.write_text(configuration(config, ROOT, own_redis), encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(path)],
        cwd=ROOT,
        env=os.environ | environment | {"WIREDESK_DATA": str(config.data.resolve())},
        start_new_session=True,
        pass_fds=[lock.fileno()],
    )


def wait_until_ready(config: Settings, supervisor: subprocess.Popen) -> bool:
    """True when the api says so; False when supervisord has left. A worker that cannot start is told."""
    deadline = time.monotonic() + LONGEST_START
    worker_log = config.data / "logs" / "worker.log"
    read = worker_log.stat().st_size if worker_log.exists() else 0
    say("starting …")
    while supervisor.poll() is None:
        if is_ready(config):
            return True
        with_problem = _new_problem(worker_log, read)
        if with_problem:
            raise CannotStart(with_problem)
        if time.monotonic() > deadline:
            raise CannotStart(f"not ready after {LONGEST_START} s; see {config.data / 'logs'}")
        time.sleep(0.1)
    return False


def _new_problem(log: Path, start: int) -> str:
    """The line with which a worker left, if it did; Redis may be a moment later than the worker."""
    if not log.exists():
        return ""
    lines = log.read_bytes()[start:].decode("utf-8", "replace").splitlines()
    return next((line for line in lines if line.startswith("worker: ") and "Redis" not in line), "")


def greet(config: Settings, environment: dict[str, str], auth: str, generated: bool) -> None:
    """The first label and where everything is."""
    user, _, password = auth.partition(":")
    say(f"\n{NEWS}\n→ {first_label(config, environment)}\n")
    say(f"API      {url(config)}/v1   (speaks OpenAI's API; model news-classifier)")
    say(f"Flower   http://{config.flower_host}:{config.flower_port}   (user {user})")
    if generated:
        say(f"         password {password}   (shown once; kept in {config.data / AUTH_FILE})")
    say(f"Logs     {config.data / 'logs'}\nStop with Ctrl-C.")


def first_label(config: Settings, environment: dict[str, str]) -> str:
    """Classified through the api's own code, the queue and the worker; takes no client's rate."""
    ours = {"rate_per_minute": 0, "rate_per_hour": 0, "redis_url": environment["WIREDESK_REDIS_URL"]}
    body = {"model": CLASSIFIER, "messages": [{"role": "user", "content": NEWS}]}
    response = (
        create_app(config.model_copy(update=ours)).test_client().post("/v1/chat/completions", json=body)
    )
    answer = response.get_json()
    if response.status_code != 200:
        return answer["detail"]
    return (
        f"{answer['choices'][0]['message']['content']}   (p = {answer['classification']['probability']:.2f})"
    )


def is_ready(config: Settings) -> bool:
    try:
        with urllib.request.urlopen(f"{url(config)}/ready", timeout=5):
            return True
    except OSError:
        return False


def url(config: Settings) -> str:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)  # noqa: S104 - read, not bound
    return f"http://[{host}]:{config.port}" if ":" in host else f"http://{host}:{config.port}"


def stop(supervisor: subprocess.Popen) -> None:
    """Stop everything in order and wait for it; a second Ctrl-C changes nothing."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if supervisor.poll() is None:
        say("stopping …")
        supervisor.terminate()
    supervisor.wait()


def say(line: str) -> None:
    print(line, flush=True)


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGHUP, _leave)
    try:
        main()
    except (CannotStart, NoRedisServer, SettingsError) as problem:
        sys.exit(f"wiredesk: {problem}")
    except KeyboardInterrupt:
        sys.exit(0)
