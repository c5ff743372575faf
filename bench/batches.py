"""A batch on the stand-in model: rows a second, and what somebody who waits for an answer notices of it.

python -m bench.batches [--rows 2000]     with the default bounds: 10 texts may wait, 5 at bulk priority
"""

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from bench.load import percentile
from bench.processes import private_redis, process, wait_until, wiredesk

STEP = 0.05  # seconds of a stand-in step of up to 3 texts
CEILING = 3 / STEP
PAUSE = 0.2  # seconds between two questions of the one who waits
IDLE_QUESTIONS = 50
ROW = "{:<34} {:>9} {:>9} {:>9} {:>9}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=2000)
    rows = parser.parse_args().rows
    with private_redis() as redis, tempfile.TemporaryDirectory() as data:
        ours = {"data": data, "max_waiting": 10, "max_waiting_bulk": 5}
        environment = {"WIREDESK_REDIS_URL": redis, "WIREDESK_CACHE_TTL": "0", "WIREDESK_DATA": data}
        feeder = [sys.executable, "-m", "api.feeder"]
        with wiredesk(redis, STEP, **ours) as port, process(feeder, environment):
            desk = Desk(port)
            idle = desk.ask(lambda: len(desk.latencies) < IDLE_QUESTIONS)
            alone = desk.run(rows)
            beside = desk.run(rows, asking=True)
            report(rows, idle, alone, beside, desk.latencies)


class Desk:
    """One client of the api."""

    def __init__(self, port: int):
        self._url = f"http://127.0.0.1:{port}"
        self._count = 0
        self.latencies: list[float] = []

    def ask(self, go_on: Callable[[], bool]) -> list[float]:
        """Labels for one text after the other; seconds that each took."""
        self.latencies = []
        while go_on():
            time.sleep(PAUSE)
            self._count += 1
            began = time.perf_counter()
            self._send("/v1/classify", {"input": f"央行开展逆回购操作 {self._count}"})
            self.latencies.append(time.perf_counter() - began)
        return self.latencies

    def run(self, rows: int, *, asking: bool = False) -> float:
        """Seconds from a batch's creation to its end."""
        self._count += 1
        lines = [
            {
                "custom_id": f"{n}",
                "method": "POST",
                "url": "/v1/classify",
                "body": {"input": f"批量新闻 {self._count} {n}"},
            }
            for n in range(rows)
        ]
        file = self._upload("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
        asked = {"input_file_id": file, "endpoint": "/v1/classify", "completion_window": "24h"}
        began = time.perf_counter()
        batch = self._send("/v1/batches", asked)["id"]
        if asking:
            self.ask(lambda: not self._ended(batch))
        else:
            wait_until(lambda: self._ended(batch), 20 * rows / CEILING)
        seconds = time.perf_counter() - began
        counts = self._get(f"/v1/batches/{batch}")["request_counts"]
        assert counts == {"total": rows, "completed": rows, "failed": 0}, counts
        return seconds

    def _ended(self, batch: str) -> bool:
        return self._get(f"/v1/batches/{batch}")["status"] not in ("validating", "in_progress", "finalizing")

    def _upload(self, content: str) -> str:
        fields = 'Content-Disposition: form-data; name="purpose"\r\n\r\nbatch'
        file = f'Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n{content}'
        body = f"--b\r\n{fields}\r\n--b\r\n{file}\r\n--b--\r\n".encode()
        return self._open("/v1/files", body, "multipart/form-data; boundary=b")["id"]

    def _send(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._open(path, json.dumps(body).encode(), "application/json")

    def _get(self, path: str) -> dict[str, Any]:
        return self._open(path, None, "")

    def _open(self, path: str, body: bytes | None, kind: str) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, body, {"Content-Type": kind} if body else {})
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


def report(rows: int, idle: list[float], alone: float, beside: float, asked: list[float]) -> None:
    p50, p95 = percentile(asked, 0.5), percentile(asked, 0.95)
    print(ROW.format("", "rows/s", "of 60/s", "p50 ms", "p95 ms"))
    idle_p50 = percentile(idle, 0.5)
    print(
        ROW.format(
            "a question while nothing runs", "", "", f"{idle_p50:.1f}", f"{percentile(idle, 0.95):.1f}"
        )
    )
    print(ROW.format("a batch", f"{rows / alone:.1f}", f"{rows / alone / CEILING:.2f}", "", ""))
    rate = (rows + len(asked)) / beside
    print(
        ROW.format(
            "a batch and questions beside it",
            f"{rate:.1f}",
            f"{rate / CEILING:.2f}",
            f"{p50:.1f}",
            f"{p95:.1f}",
        )
    )
    result = {
        "bench": "batches",
        "cores": os.cpu_count(),
        "rows": rows,
        "rows_per_s": round(rows / alone, 1),
        "of_ceiling": round(rows / alone / CEILING, 3),
        "texts_per_s_beside": round(rate, 1),
        "idle_p50_ms": round(idle_p50, 1),
        "beside_p50_ms": round(p50, 1),
        "beside_p95_ms": round(p95, 1),
        "p50_ratio": round(p50 / idle_p50, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
