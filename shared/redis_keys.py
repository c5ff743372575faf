"""Every Redis key: its name, type and lifetime. All begin with WIREDESK_KEY_PREFIX.

key                     type    lifetime
queue                   list    permanent while texts wait (the Celery queue; its length is "waiting")
unacked:<node>          hash    permanent while that worker has texts in hand (kept by kombu)
unacked_index:<node>    zset    as unacked (kept by kombu)
job:<id>                hash    an open job: none; an ended one: WIREDESK_RESULT_TTL from its end
jobs:open               zset    permanent: one member per text of an open job, in order of admission
done:<id>               list    WIREDESK_RESULT_TTL from the end of the job; wakes waiting requests
window:client:<client>  zset    the window's length
window:all              zset    the window's length
alive:<node>            string  ALIVE_TTL; holds the token of the process that owns the node name
worker:<node>           string  DESCRIPTION_TTL; what that worker serves
workers                 set     permanent: node names; pruned once their description has expired
stats                   hash    permanent: counters
stats:recent            list    permanent: the last RECENT finished texts
_kombu.* unacked_mutex  -       kept by kombu
"""

from dataclasses import dataclass

QUEUE = "queue"
ALIVE_TTL_MS = 3_000
DESCRIPTION_TTL = 7 * 24 * 3600
RECENT = 1_000


@dataclass(frozen=True)
class Keys:
    """Key names under one prefix."""

    prefix: str

    @property
    def queue(self) -> str:
        return self.prefix + QUEUE

    @property
    def open_jobs(self) -> str:
        return self.prefix + "jobs:open"

    @property
    def workers(self) -> str:
        return self.prefix + "workers"

    @property
    def stats(self) -> str:
        return self.prefix + "stats"

    @property
    def recent(self) -> str:
        return self.prefix + "stats:recent"

    @property
    def window_all(self) -> str:
        return self.prefix + "window:all"

    def window_client(self, client: str) -> str:
        return f"{self.prefix}window:client:{client}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def done(self, job_id: str) -> str:
        return f"{self.prefix}done:{job_id}"

    def unacked(self, node: str) -> str:
        return f"{self.prefix}unacked:{node}"

    def unacked_index(self, node: str) -> str:
        return f"{self.prefix}unacked_index:{node}"

    def alive(self, node: str) -> str:
        return f"{self.prefix}alive:{node}"

    def worker(self, node: str) -> str:
        return f"{self.prefix}worker:{node}"
