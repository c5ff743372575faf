"""What clients were promised and what they saw: the ground truth of a chaos run."""

import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2 as httpx

NO_CACHE = {"Cache-Control": "no-store"}
WRITTEN = ("2", "7")  # texts whose number ends so are prompts to write after
TOKENS = 20
ENDED = ("succeeded", "failed", "cancelled", "expired")


@dataclass
class Ledger:
    """Shared by all client threads; appends are atomic."""

    accepted: dict[str, str] = field(default_factory=dict)  # job id -> text
    seen: dict[str, list[dict]] = field(default_factory=dict)  # job id -> its results, as first seen
    ended: list[float] = field(default_factory=list)  # times at which a client saw an end
    refused: Counter[str] = field(default_factory=Counter)

    def saw(self, job_id: str, results: list[dict]) -> None:
        first = self.seen.setdefault(job_id, results)
        if first != results:
            self.refused["CHANGED AFTER IT WAS SEEN"] += 1
        self.ended.append(time.monotonic())


class Clients:
    """Closed-loop clients that retry as ordinary ones do: half ask and wait, half create jobs and poll, one
    in five of which have a text written."""

    def __init__(self, url: str, count: int, ledger: Ledger):
        self._url = url
        self._ledger = ledger
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, args=(n,)) for n in range(count)]

    def __enter__(self) -> "Clients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self, client: int) -> None:
        with httpx.Client(base_url=self._url, timeout=30, headers=NO_CACHE) as http:
            while not self._stop.is_set():
                number = next(self._numbers)
                text = f"bad {number}" if number % 50 == 49 else f"news {number}"
                (self._wait_for if client % 2 else self._poll)(http, text)

    def _wait_for(self, http: httpx.Client, text: str) -> None:
        body = self._insist(http, "POST", "/v1/classify", {"input": text})
        if body and "results" in body:
            self._ledger.accepted[body["id"]] = text
            self._ledger.saw(body["id"], body["results"])

    def _poll(self, http: httpx.Client, text: str) -> None:
        work: dict[str, object] = {"endpoint": "/v1/classify", "input": text}
        if text.endswith(WRITTEN):
            written = {"model": "standin", "prompt": text, "max_tokens": TOKENS}
            work = {"endpoint": "/v1/completions"} | written
        job = self._insist(http, "POST", "/v1/jobs", work)
        if not job or "id" not in job:
            return
        self._ledger.accepted[job["id"]] = text
        while job and job.get("status") not in ENDED and not self._stop.is_set():
            self._stop.wait(0.02)
            job = self._insist(http, "GET", f"/v1/jobs/{job['id']}")
        if job and job.get("status") in ENDED:
            self._ledger.saw(job["id"], results_of(job))

    def _insist(self, http: httpx.Client, method: str, path: str, body: dict | None = None) -> dict | None:
        """The answer, asking again after a refusal or a lost connection."""
        while not self._stop.is_set():
            try:
                response = http.request(method, path, json=body)
            except httpx.TransportError:
                self._ledger.refused["no connection"] += 1
            else:
                if response.status_code not in (429, 503):
                    return response.json()
                self._ledger.refused[response.json()["error"]["code"]] += 1
            self._stop.wait(0.05)
        return None


def results_of(job: dict) -> list[dict]:
    if "result" not in job:
        return [{"error": job.get("error", {})}]
    result = job["result"]
    return result["results"] if "results" in result else [{"label": c["text"]} for c in result["choices"]]
