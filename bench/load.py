"""A closed-loop HTTP load generator that costs little: raw HTTP/1.1 over asyncio streams."""

import asyncio
import itertools
import json
import time
from dataclasses import dataclass, field

BACK_OFF = 0.02  # seconds before a refused client asks again


@dataclass
class Load:
    """What the clients saw. Latencies in seconds."""

    seconds: float = 0.0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    failed: int = 0

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.answered) / self.seconds


def percentile(values: list[float], share: float) -> float:
    """In milliseconds; 0 without values."""
    ordered = sorted(values)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def closed_loop(port: int, clients: int, seconds: float) -> Load:
    """`clients` connections, each asking again as soon as it has its answer, for about `seconds`.

    A request that is under way at the end is waited for, and counted with the time that it took.
    """
    return asyncio.run(_closed_loop(port, clients, seconds))


async def _closed_loop(port: int, clients: int, seconds: float) -> Load:
    load, numbers = Load(), itertools.count()
    began = time.perf_counter()
    await asyncio.gather(*(_client(port, began + seconds, numbers, load) for _ in range(clients)))
    load.seconds = time.perf_counter() - began
    return load


async def _client(port: int, end: float, numbers: "itertools.count[int]", load: Load) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        began = time.perf_counter()
        status = await _post(reader, writer, f"央行开展逆回购操作 {next(numbers)}")
        spent = time.perf_counter() - began
        if status == 200:
            load.answered.append(spent)
        elif status in (429, 503):
            load.refused.append(spent)
            await asyncio.sleep(BACK_OFF)
        else:
            load.failed += 1
    writer.close()


async def _post(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: str) -> int:
    body = json.dumps({"input": text}).encode()
    headers = f"Host: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    writer.write(f"POST /v1/classify HTTP/1.1\r\n{headers}\r\n\r\n".encode() + body)
    answer = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    await reader.readexactly(length)
    return int(answer[9:12])
