"""Any order of what clients, workers and operators do: nothing is lost, changed, or run when it must not be.

A rule-based machine drives the real scripts on a real Redis. A worker is reduced to its moves (take,
begin, finish, acknowledge, die), so that it can stop between any two of them.
"""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis

from api.admission import Admission, Terms
from api.clients import Client
from api.errors import ApiError
from api.records import Jobs as ClientJobs
from shared.job import ENDED, GENERATE, PartResult, Request
from shared.message import part_of
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.services import PREFIX, ROOT, RedisServer
from worker.jobs import Jobs, Outcome, Taken
from worker.peers import ROUTES
from worker.recovery import Recovery

BOUND, BULK_BOUND, MAX_ATTEMPTS = 5, 3, 3
NODES = ("one@here", "two@here")
TAKE_SOURCE = (ROOT / "worker" / "take.lua").read_text(encoding="utf-8")
node = st.sampled_from(NODES)
pick = st.integers(0, 1000)


@dataclass
class Hand:
    """What a worker process knows: gone when it dies, though a frozen one may wake up with it."""

    tags: dict[str, str] = field(default_factory=dict)  # part -> delivery tag
    begun: list[Taken] = field(default_factory=list)
    done: list[str] = field(default_factory=list)  # tags


class Desk(RuleBasedStateMachine):
    server: RedisServer
    redis: Redis

    def __init__(self) -> None:
        super().__init__()
        self.redis.flushall()
        config = Settings(
            key_prefix=PREFIX,
            max_waiting=BOUND,
            max_waiting_bulk=BULK_BOUND,
            rate_per_minute=0,
            rate_per_hour=0,
        )
        self.keys = Keys(PREFIX)
        self.admission = Admission(self.redis, self.keys, config)
        self.clients = ClientJobs(self.redis, self.redis, self.keys, config)
        self.jobs = Jobs(self.redis, config)
        self.take_script = self.redis.register_script(TAKE_SOURCE)
        self.recovery = {name: Recovery(self.redis, self.keys, self.jobs, name) for name in NODES}
        self.hands = {name: Hand() for name in NODES}
        self.stale: list[Hand] = []
        self.accepted: list[str] = []
        self.ends: dict[str, tuple] = {}  # job -> what was first seen of its end
        self.number = 0
        for name in NODES:
            self.come_alive(name)

    # Clients

    @rule(
        texts=st.integers(1, 3),
        client=st.sampled_from("ab"),
        bulk=st.booleans(),
        waits=st.booleans(),
        again=st.booleans(),
        key=st.sampled_from([None, None, "k1", "k2"]),
    )
    def submit(self, texts: int, client: str, bulk: bool, waits: bool, again: bool, key: str | None) -> None:
        self.number += not again
        work = Request(tuple(f"{self.number} {n}" for n in range(texts)), "news-classifier")
        terms = Terms(priority="bulk" if bulk else "interactive", waits=waits, idempotency_key=key)
        before, bulk_before = self.waiting(), self.redis.llen(self.keys.bulk)
        try:
            admitted = self.admission.admit(Client(id=client), "/v1/classify", work, terms)
        except ApiError as refused:
            assert refused.status in (422, 503)
            assert self.waiting() == before
            return
        if admitted.how == "admitted":
            assert self.waiting() == before + texts <= BOUND
            assert not bulk or bulk_before + texts <= BULK_BOUND
            self.accepted.append(admitted.job_id)
        else:
            assert self.waiting() == before
            assert admitted.job_id in self.accepted

    @precondition(lambda self: len(self.ends) < len(self.accepted))
    @rule(which=pick, how=st.sampled_from(["cancel", "cancel", "leave", "keep"]))
    def close(self, which: int, how: str) -> None:
        job_id = self.chosen(which)
        getattr(self.clients, how)(job_id)
        if how == "cancel":
            assert self.clients.read(job_id).ended

    @precondition(lambda self: self.accepted)
    @rule(which=pick)
    def let_time_pass(self, which: int) -> None:
        """The deadline of a job comes."""
        job_id = self.chosen(which)
        if self.redis.hexists(self.keys.job(job_id), "deadline"):
            self.redis.hset(self.keys.job(job_id), "deadline", 1)

    @precondition(lambda self: any(end[0] == "failed" for end in self.ends.values()))
    @rule(which=pick)
    def retry(self, which: int) -> None:
        failed = [job_id for job_id, end in self.ends.items() if end[0] == "failed"]
        job_id = failed[which % len(failed)]
        try:
            job = self.clients.read(job_id)
            self.admission.retry(Client(id=job.client), job)
            del self.ends[job_id]
        except ApiError as refused:
            assert refused.status == 503

    # Workers

    @rule(name=node, most=st.integers(1, 3), bulk_first=st.booleans())
    def take(self, name: str, most: int, bulk_first: bool) -> None:
        hand = self.hands[name]
        names = [self.keys.queue, self.keys.bulk, self.keys.unacked(name), self.keys.unacked_index(name)]
        raw = self.take_script(names, [most, most, int(bulk_first), GENERATE, *ROUTES, *hand.done])
        hand.done = []
        for message in raw:
            part = part_of(f"[{message}]")
            hand.tags[part] = message.partition('"delivery_tag": "')[2].partition('"')[0]

    @rule(name=node, most=st.integers(1, 3))
    def take_and_begin(self, name: str, most: int) -> None:
        self.take(name, most, False)
        self.begin(name)

    @precondition(lambda self: any(hand.tags for hand in self.hands.values()))
    @rule(name=node)
    def begin(self, name: str) -> None:
        hand = self.hands[name]
        begun = {taken.part for taken in hand.begun}
        parts = [part for part in hand.tags if part not in begun]
        taken, alone = self.jobs.begin(parts, name) if parts else ([], [])
        if not taken and alone:
            taken, _ = self.jobs.begin(alone[:1], name)
        for text in taken:
            assert self.state(text.part.rpartition(".")[0]) == "running"
            assert text.attempt <= MAX_ATTEMPTS + 1
        left = {text.part for text in taken} | set(alone)
        for part in set(parts) - left:  # nothing is left to do
            hand.done.append(hand.tags.pop(part))
        hand.begun += taken

    @precondition(lambda self: any(hand.begun for hand in self.hands.values()))
    @rule(name=node, fails=st.booleans())
    def finish(self, name: str, fails: bool) -> None:
        busy = [hand for hand in self.hands.values() if hand.begun]
        hand = self.hands[name] if self.hands[name].begun else busy[0]
        self.store(hand, fails)
        for taken in hand.begun:
            hand.done.append(hand.tags.pop(taken.part))
        hand.begun = []

    @rule(name=node)
    def die(self, name: str) -> None:
        self.redis.delete(self.keys.alive(name))
        self.stale.append(self.hands[name])
        self.hands[name] = Hand()

    @rule(name=node)
    def come_back(self, name: str) -> None:
        """A new process of that name, or a reconnect of one that holds nothing."""
        if self.hands[name].tags:
            self.die(name)
        self.recovery[name].give_back_own()
        self.come_alive(name)

    @precondition(lambda self: any(hand.begun for hand in self.stale))
    @rule(fails=st.booleans())
    def wake_stale(self, fails: bool) -> None:
        """A frozen worker goes on after another may have taken over."""
        hand = next(hand for hand in reversed(self.stale) if hand.begun)
        self.stale.remove(hand)
        self.store(hand, fails)

    @rule(name=node)
    def lose(self, name: str) -> None:
        """A worker dies between popping a message and writing it down."""
        self.redis.rpop(self.keys.queue)

    @rule(name=node)
    def sweep(self, name: str) -> None:
        if self.redis.exists(self.keys.alive(name)):
            self.recovery[name].sweep()

    # What must be true

    @invariant()
    def ended_jobs_never_change(self) -> None:
        for job_id in self.accepted:
            job = self.clients.read(job_id)
            assert job is not None
            assert job.attempts <= MAX_ATTEMPTS + 1
            if job.ended:
                seen = (job.state, job.results, job.finished)
                assert self.ends.setdefault(job_id, seen) == seen
            else:
                assert job_id not in self.ends

    @invariant()
    def open_parts_are_known_and_ended_jobs_leave_nothing(self) -> None:
        open_ids = {part.rpartition(".")[0] for part in self.redis.zrange(self.keys.open_jobs, 0, -1)}
        assert open_ids == {job_id for job_id in self.accepted if job_id not in self.ends}
        waiting = self.redis.lrange(self.keys.queue, 0, -1) + self.redis.lrange(self.keys.bulk, 0, -1)
        assert {part_of(f"[{message}]").rpartition(".")[0] for message in waiting} <= open_ids
        flights = [self.redis.get(name) for name in self.redis.scan_iter(f"{PREFIX}flight:*")]
        assert set(flights) <= open_ids
        for job_id in self.ends:
            assert self.redis.ttl(self.keys.job(job_id)) > 0

    def teardown(self) -> None:
        """Two healthy workers come: every accepted job ends."""
        for name in NODES:
            self.come_back(name)
        for _ in range(40):
            for name in NODES:
                self.recovery[name].sweep()
                self.take(name, 3, False)
                self.begin(name)
                if self.hands[name].begun:
                    self.finish(name, False)
        assert all(self.state(job_id) in ENDED for job_id in self.accepted)
        assert self.waiting() == 0
        self.ended_jobs_never_change()
        self.open_parts_are_known_and_ended_jobs_leave_nothing()

    # Helpers

    def store(self, hand: Hand, fails: bool) -> None:
        self.jobs.finish([Outcome(taken, outcome(taken, fails)) for taken in hand.begun], inference_ms=1.0)

    def come_alive(self, name: str) -> None:
        self.redis.sadd(self.keys.workers, name)
        self.redis.set(self.keys.alive(name), "token", ex=1000)

    def chosen(self, which: int) -> str:
        """An open job, mostly: those are what events happen to."""
        still_open = [job_id for job_id in self.accepted if job_id not in self.ends]
        among = still_open if still_open and which % 8 else self.accepted
        return among[which % len(among)]

    def state(self, job_id: str) -> str:
        return self.redis.hget(self.keys.job(job_id), "state")

    def waiting(self) -> int:
        return self.redis.llen(self.keys.queue) + self.redis.llen(self.keys.bulk)


def outcome(taken: Taken, fails: bool) -> PartResult:
    if fails or taken.attempt > MAX_ATTEMPTS:
        return PartResult(error_code="engine_failure", error_message="it failed")
    return PartResult(label="股市", probabilities={"股市": 1.0}, completion_tokens=taken.attempt)


@pytest.mark.parametrize("examples, steps", [(100, 60)])
def test_no_order_of_events_loses_or_changes_a_job(
    redis_server: RedisServer, redis: Redis, examples: int, steps: int
):
    machine = type("DeskOnRedis", (Desk,), {"server": redis_server, "redis": redis})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
    redis.flushall()
