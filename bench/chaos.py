"""Faults under load: is every accepted job there, ended once, and never changed after it was seen?

python -m bench.chaos --faults 320 --clients 13 --seed 1      prints a table and one JSON line
python -m bench.chaos --admission 100000                      over-admission of 8 processes at once
"""

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from redis import Redis

from api.admission import Admission, Terms
from api.clients import Client
from api.errors import ApiError
from bench.faults import ALL, Fault, Stack, start_worker
from bench.ledger import Clients, Ledger
from shared.job import JobRecord, PartResult, Request
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.services import KEYS, Api, RedisServer, running
from tests.waiting import wait_until
from worker.jobs import Jobs, Outcome

BOUND = 10
BROKEN_PROMISES = ("lost", "without_an_end", "changed_after_seen", "over_admitted")


def run(folder: Path, faults: list[Fault], clients: int, freeze: float, seed: int) -> dict:
    """Do the faults one after the other under load, let the queue drain, and compare with the ledger."""
    runs = folder / "runs.txt"
    runs.touch()
    os.environ["CHAOS_RUNS"] = str(runs)
    ledger, recoveries = Ledger(), []
    with ExitStack() as open_processes:
        server = RedisServer(folder)
        open_processes.callback(server.stop)
        redis = open_processes.enter_context(connect(server.url, timeout=5))
        pace = {"standin_seconds": 0.02, "job_limit": 2, "max_attempts": 5}
        workers = [start_worker(server, folder, f"{name}@chaos", **pace) for name in ("one", "two")]
        api = Api(server, folder, api_processes=2, max_waiting=BOUND)
        for process in (*workers, api):
            open_processes.enter_context(running(process))
        for worker in workers:
            worker.wait_until_ready()
        stack = Stack(server, redis, api, workers, freeze, random.Random(seed))
        supervised = Supervisor(stack)
        open_processes.callback(supervised.stop)
        with Clients(api.url, clients, ledger):
            for fault in faults:
                began = time.monotonic()
                fault(stack)
                recoveries.append(_seconds_until_an_answer(ledger, began))
                time.sleep(stack.chance.uniform(0.05, 0.4))
        redis.delete("faults")
        wait_until(lambda: redis.zcard(KEYS.open_jobs) == 0, "every accepted job ends", 180)
        return _account(ledger, redis, faults, recoveries, runs)


class Supervisor(threading.Thread):
    """Starts again whatever dies, as supervisord does."""

    def __init__(self, stack: Stack):
        super().__init__(daemon=True)
        self._stack = stack
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.wait(0.05):
            self._stack.revive()

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def _seconds_until_an_answer(ledger: Ledger, since: float) -> float:
    known = len(ledger.ended)
    wait_until(lambda: len(ledger.ended) > known, "a client is answered again", 120)
    return ledger.ended[known] - since


def _account(ledger: Ledger, redis: Redis, faults: list[Fault], recoveries: list[float], runs: Path) -> dict:
    states: Counter[str] = Counter()
    reasons: Counter[str | None] = Counter()
    changed = 0
    for job_id in list(ledger.accepted):
        value = redis.hgetall(KEYS.job(job_id))
        if not value:
            states["lost"] += 1
            continue
        job = JobRecord.from_hash(job_id, value)
        states[job.state] += 1
        reasons.update(part.error_code for part in job.results if part.failed)
        if job_id in ledger.seen and not _same(job, ledger.seen[job_id]):
            changed += 1
    executed = Counter(runs.read_text(encoding="utf-8").splitlines())
    return {
        "accepted": len(ledger.accepted),
        "faults": len(faults),
        "kinds": len({fault.__name__ for fault in faults}),
        "lost": states.pop("lost", 0),
        "without_an_end": sum(count for state, count in states.items() if state in ("queued", "running")),
        "changed_after_seen": changed + ledger.refused.pop("CHANGED AFTER IT WAS SEEN", 0),
        "states": dict(states),
        "failed_because": dict(reasons),
        "texts_run_more_than_once": sum(times > 1 for text, times in executed.items() if text[:3] != "bad"),
        "refused": dict(ledger.refused),
        "recover_p50_s": round(statistics.median(recoveries), 2),
        "recover_max_s": round(max(recoveries), 2),
    }


def _same(job: JobRecord, seen: list[dict]) -> bool:
    now = [part.error_code or part.label or part.text for part in job.results]
    then = [part["error"].get("code") if "error" in part else part["label"] for part in seen]
    return now == then


def plan(count: int, seed: int) -> list[Fault]:
    """`count` faults, each kind as often as the others, in an order that the seed decides."""
    faults = [ALL[n % len(ALL)] for n in range(count)]
    random.Random(seed).shuffle(faults)
    return faults


def over_admission(submits: int) -> dict:
    """8 processes submit without pause while one takes away: how often did more than the bound wait?"""
    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder))
        try:
            with multiprocessing.get_context("spawn").Pool(8) as pool:
                share = [(server.url, n, submits // 8) for n in range(8)]
                verdicts: Counter[str] = Counter()
                for counted in pool.starmap(_submit, share):
                    verdicts.update(counted)
        finally:
            server.stop()
    return {"submits": sum(verdicts[name] for name in ("admitted", "refused")), **verdicts}


def _submit(url: str, who: int, count: int) -> Counter[str]:
    config = Settings(
        redis_url=url, key_prefix="test:", max_waiting=BOUND, rate_per_minute=0, rate_per_hour=0
    )
    keys, verdicts = Keys("test:"), Counter(over_admitted=0)
    with connect(url, timeout=30) as redis:
        admission, jobs = Admission(redis, keys, config), Jobs(redis, config)
        for n in range(count):
            try:
                work = Request((f"{who} {n}",), "m")
                admitted = admission.admit(Client(id=str(who)), "/v1/classify", work, Terms())
            except ApiError:
                verdicts["refused"] += 1
                _serve_one(redis, keys, jobs)
                continue
            verdicts["admitted"] += 1
            verdicts["over_admitted"] += admitted.position >= BOUND
            verdicts["over_admitted"] += redis.llen(keys.queue) > BOUND
    return verdicts


def _serve_one(redis: Redis, keys: Keys, jobs: Jobs) -> None:
    if message := redis.rpop(keys.queue):
        part = json.loads(message)["properties"]["correlation_id"]
        taken, _ = jobs.begin([part], "bench@here")
        jobs.finish([Outcome(text, PartResult(label="其他")) for text in taken], inference_ms=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=320)
    parser.add_argument("--clients", type=int, default=13)
    parser.add_argument("--freeze", type=float, default=10, help="seconds that Redis stays frozen")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--admission", type=int, metavar="SUBMITS", help="measure over-admission instead")
    asked = parser.parse_args()
    if asked.admission:
        figures = over_admission(asked.admission)
    else:
        with tempfile.TemporaryDirectory() as folder:
            faults = plan(asked.faults, asked.seed)
            figures = run(Path(folder), faults, asked.clients, asked.freeze, asked.seed)
    for name, value in figures.items():
        print(f"{name:26} {value}")
    print(json.dumps({"bench": "chaos", "clients": asked.clients, "seed": asked.seed} | figures))
    sys.exit(any(figures.get(name) for name in BROKEN_PROMISES))


if __name__ == "__main__":
    main()
