"""What a thousand idle and half-sent connections cost those who ask: /health beside and without them.

python -m bench.connections [--connections 1000] [--requests 500]     on a private Redis, one api process
"""

import argparse
import json
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.load import percentile
from bench.processes import private_redis, wiredesk

HALF_SENT = (  # by turns: nothing, a line, a head without its end, a body without its end
    b"",
    b"GET /health HTTP/1.1\r\n",
    b"GET /health HTTP/1.1\r\nHost: bench\r\nX-Slow: ",
    b'POST /v1/classify HTTP/1.1\r\nHost: bench\r\nContent-Length: 9000\r\n\r\n{"input": "',
)
ASK = b"GET /health HTTP/1.1\r\nHost: bench\r\n\r\n"
ROUNDS = 3
ROW = "{:<34} {:>9} {:>9} {:>9} {:>8}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=1000, help="half of them silent after an answer")
    parser.add_argument("--requests", type=int, default=500, help="of each measurement")
    asked = parser.parse_args()
    print(ROW.format("/health", "p50 ms", "p95 ms", "max ms", "MB"))
    alone: list[float] = []
    beside: list[float] = []
    with private_redis() as redis, wiredesk(redis, 0.05, api_processes=1, read_timeout=3600) as port:
        for _ in range(ROUNDS):  # in turn, since other work on the machine comes and goes
            alone += health(port, asked.requests)
            with held(port, asked.connections) as answered:
                beside += health(port, asked.requests)
                memory = api_memory()
        result = {
            "bench": "connections",
            "cores": os.cpu_count(),
            "connections": asked.connections,
            "kept_after_an_answer": answered,
            "alone": row("alone", alone, None),
            "beside": row(f"beside {asked.connections} connections", beside, memory),
        }
    for share in ("p50", "p95"):
        result[f"{share}_ratio"] = round(result["beside"][f"{share}_ms"] / result["alone"][f"{share}_ms"], 2)
    print(f"beside/alone: p50 {result['p50_ratio']}, p95 {result['p95_ratio']}")
    print(json.dumps(result))


@contextmanager
def held(port: int, count: int) -> Iterator[int]:
    """Connections that stay: half have had an answer and say nothing more, half have sent half a request."""
    with ExitStack() as stack:
        half = count // 2
        for number in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            if number < half:
                ask(connection)
            else:
                connection.sendall(HALF_SENT[number % len(HALF_SENT)])
        yield half


def health(port: int, requests: int) -> list[float]:
    """Seconds of each answer, every one on a new connection: a probe keeps none."""
    return [one_answer(port) for _ in range(requests)]


def one_answer(port: int) -> float:
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        ask(connection)
    return time.perf_counter() - began


def ask(connection: socket.socket) -> None:
    connection.sendall(ASK)
    data = b""
    while not data.endswith(b'"ok"}'):
        data += connection.recv(65536)


def row(name: str, spent: Sequence[float], memory: float | None) -> dict[str, float | None]:
    values = {
        "p50_ms": round(percentile(list(spent), 0.5), 2),
        "p95_ms": round(percentile(list(spent), 0.95), 2),
        "max_ms": round(max(spent) * 1000, 2),
        "api_mb": memory,
    }
    print(ROW.format(name, *("-" if value is None else value for value in values.values())))
    return values


def api_memory() -> float:
    """Megabytes of the largest gunicorn process that this benchmark has started."""
    return max(_megabytes(path) for path in _descendants(os.getpid()))


def _descendants(pid: int) -> Iterator[Path]:
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        if b"gunicorn" in Path(f"/proc/{child}/cmdline").read_bytes():
            yield Path(f"/proc/{child}")
        yield from _descendants(int(child))


def _megabytes(process: Path) -> float:
    lines = (process / "status").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024, 1)


if __name__ == "__main__":
    main()
