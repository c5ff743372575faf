"""What one admission costs: the whole call from Python, and the script in Redis.

python -m bench.admission [--calls 3000]     on a private Redis; nobody works the queue off
"""

import argparse
import json
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from redis import Redis

from api.admission import Admission, Terms
from api.clients import Client
from api.errors import ApiError
from bench.processes import private_redis
from shared.job import Request
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings

ROW = "{:<24} {:>12} {:>14}"
FULL_SAMPLE = ["120 50.0 3 1795489872000"] * 50  # recent texts, from which the pace is measured


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=3000)
    calls = parser.parse_args().calls
    print(ROW.format("a request that is", "call, us", "script, us"))
    result: dict[str, Any] = {"bench": "admission", "calls": calls}
    with private_redis() as url, connect(url, timeout=5) as redis:
        result |= {
            "admitted": measure("admitted", redis, url, calls, calls + 1, 0),
            "admitted_windows": measure("admitted, two windows", redis, url, calls, calls + 1, calls + 1),
            "refused_full": measure("refused, queue full", redis, url, calls, 1, 0),
            "refused_window": measure("refused, window", redis, url, calls, calls + 1, 1),
        }
    print(json.dumps(result))


def measure(name: str, redis: Redis, url: str, calls: int, bound: int, rate: int) -> dict[str, float]:
    """Microseconds a call; 0 for `rate` is no window."""
    redis.flushall()
    config = Settings(redis_url=url, max_waiting=bound, rate_per_minute=rate, rate_per_hour=rate)
    keys = Keys(config.key_prefix)
    redis.rpush(keys.recent, *FULL_SAMPLE)
    admission = Admission(redis, keys, config)
    client = Client(id="bench", rate_per_minute=rate)
    ask = one_request(admission, client)
    for number in range(2):
        ask(number)
    redis.config_resetstat()
    spent = []
    for number in range(2, calls):
        began = time.perf_counter()
        ask(number)
        spent.append(time.perf_counter() - began)
    script = redis.info("commandstats")["cmdstat_evalsha"]["usec_per_call"]
    values = {"call_us": round(median(spent) * 1e6, 1), "script_us": script}
    print(ROW.format(name, *values.values()))
    return values


def one_request(admission: Admission, client: Client) -> Callable[[int], None]:
    def ask(number: int) -> None:
        try:
            admission.admit(
                client, "/v1/classify", Request((f"text {number}",), "news-classifier"), Terms(waits=True)
            )
        except ApiError:
            return

    return ask


if __name__ == "__main__":
    main()
