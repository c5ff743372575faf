"""The whole service beside a plain one-task-per-text Celery app, on the same stand-in model.

python -m bench.service [--seconds 8]     closed-loop clients; the two take turns within each row
"""

import argparse
import json
import os

from bench.load import Load, closed_loop, percentile
from bench.processes import plain_celery, private_redis, wiredesk

CLIENTS = (1, 3, 13, 64, 200)
STEP = 0.05  # seconds of a stand-in step of up to 3 texts
CEILING = 3 / STEP
ROW = "{:>8} {:>9} {:>7} {:>8} {:>8} {:>7} {:>9} {:>8} {:>7} {:>9}"
HEAD = (
    "clients",
    "ours/s",
    "of 60/s",
    "p50 ms",
    "p95 ms",
    "failed",
    "plain/s",
    "p50 ms",
    "failed",
    "ours/plain",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=8, help="length of one measurement")
    seconds = parser.parse_args().seconds
    with private_redis() as redis:
        result = {
            "bench": "service",
            "cores": os.cpu_count(),
            "step_50_ms": compare(redis, STEP, seconds),
            "step_free": compare(redis, 0.0, seconds),
            "overload": overload(redis, seconds),
        }
    print(json.dumps(result))


def compare(redis: str, step: float, seconds: float) -> list[dict]:
    """One row for each number of clients, ours then plain."""
    print(f"\nstand-in of {step * 1000:g} ms a step")
    print(ROW.format(*HEAD))
    with wiredesk(redis, step) as ours, plain_celery(redis, step) as plain:
        for port in (ours, plain):
            closed_loop(port, 3, 1)  # warm-up
        return [row(n, step, closed_loop(ours, n, seconds), closed_loop(plain, n, seconds)) for n in CLIENTS]


def row(clients: int, step: float, ours: Load, plain: Load) -> dict:
    values = {
        "clients": clients,
        "ours_per_s": round(ours.rate, 1),
        "of_ceiling": round(ours.rate / CEILING, 2) if step else None,
        "ours_p50_ms": round(percentile(ours.answered, 0.5), 1),
        "ours_p95_ms": round(percentile(ours.answered, 0.95), 1),
        "ours_failed": ours.failed + len(ours.refused),
        "plain_per_s": round(plain.rate, 1),
        "plain_p50_ms": round(percentile(plain.answered, 0.5), 1),
        "plain_failed": plain.failed + len(plain.refused),
        "ratio": round(ours.rate / plain.rate, 2) if plain.rate else None,
    }
    print(ROW.format(*("-" if value is None else value for value in values.values())))
    return values


def overload(redis: str, seconds: float) -> dict:
    """200 clients that ask again 20 ms after a refusal, with the default bound of 10 waiting texts."""
    with wiredesk(redis, STEP, max_waiting=10) as port:
        load = closed_loop(port, 200, seconds)
    result = {
        "answered_per_s": round(load.rate, 1),
        "refused_per_s": round(len(load.refused) / load.seconds, 1),
        "refusal_p50_ms": round(percentile(load.refused, 0.5), 1),
        "refusal_p95_ms": round(percentile(load.refused, 0.95), 1),
        "failed": load.failed,
    }
    print(f"\n200 clients at a bound of 10: {result}")
    return result


if __name__ == "__main__":
    main()
