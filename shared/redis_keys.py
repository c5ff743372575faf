"""Every Redis key: its name, type and lifetime. All begin with WIREDESK_KEY_PREFIX.

key                     type    lifetime
queue                   list    permanent while texts wait (a Celery queue; waiting = queue + queue:bulk)
queue:bulk              list    the same at bulk priority
unacked:<node>          hash    permanent while that worker has texts in hand (kept by kombu)
unacked_index:<node>    zset    as unacked (kept by kombu)
job:<id>                hash    an open job: none; an ended one: WIREDESK_RESULT_TTL from its end, a failed
                                one WIREDESK_DEAD_LETTER_TTL while it is among the last DEAD_LETTERS
jobs:open               zset    permanent: one member per text of an open job, in order of admission
jobs:failed             zset    permanent: ids of the last DEAD_LETTERS failed jobs
jobs:client:<client>    zset    a queue time-out and a result's lifetime from the last: ids of a client's jobs
done:<id>               list    as the ended job; wakes waiting requests
tokens:<id>             stream  while its job writes text for a stream, and a minute more
flight:<fingerprint>    string  while the job that does this work is open
idempotency:<digest>    string  WIREDESK_QUEUE_TIMEOUT + WIREDESK_RESULT_TTL; void once its job is gone
cache:<digest>          string  WIREDESK_CACHE_TTL; the engine's answer to one text
cached                  zset    permanent: what stands in the cache, oldest first
cached:bytes            string  permanent: its size, at most WIREDESK_CACHE_BYTES
file:<id>               hash    until the file expires: whose it is, its size; the bytes are on disk
files:client:<client>   zset    as its last file: ids of a client's files
batch:<id>              hash    an open batch: none; an ended one: WIREDESK_FILE_TTL from its end
batches:open            zset    permanent: ids of open batches, in order of creation
batches:rows            hash    permanent: client -> requests in its open batches; gone at 0
batches:client:<client> zset    WIREDESK_FILE_TTL and a day from the last: ids of a client's batches
batches:wake            list    a minute: the feeder has something to look at
feeder                  string  FEEDER_TTL; a feeder is at work
draining                string  permanent while an operator has stopped admission
window:client:<client>  zset    the window's length
window:hour:<client>    zset    the window's length
window:auth:<address>   zset    the window's length: wrong API keys
window:all              zset    the window's length
alive:<node>            string  ALIVE_TTL; holds the token of the process that owns the node name
worker:<node>           string  DESCRIPTION_TTL; what that worker serves
workers                 set     permanent: node names; pruned once their description has expired
stats                   hash    permanent: counters
stats:recent            list    permanent: the last RECENT finished texts
_kombu.* unacked_mutex  -       kept by kombu

Scripts that change jobs get the prefix and make the names themselves (shared/job.lua).
"""

from dataclasses import dataclass

QUEUE = "queue"
BULK = "queue:bulk"
ALIVE_TTL_MS = 3_000
FEEDER_TTL_MS = 10_000
DESCRIPTION_TTL = 7 * 24 * 3600
RECENT = 1_000
DEAD_LETTERS = 1_000


@dataclass(frozen=True)
class Keys:
    """Key names under one prefix."""

    prefix: str

    @property
    def queue(self) -> str:
        return self.prefix + QUEUE

    @property
    def bulk(self) -> str:
        return self.prefix + BULK

    @property
    def failed_jobs(self) -> str:
        return self.prefix + "jobs:failed"

    @property
    def draining(self) -> str:
        return self.prefix + "draining"

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

    def window_auth(self, address: str) -> str:
        return f"{self.prefix}window:auth:{address}"

    def window_hour(self, client: str) -> str:
        return f"{self.prefix}window:hour:{client}"

    def idempotency(self, digest: str) -> str:
        return f"{self.prefix}idempotency:{digest}"

    def client_jobs(self, client: str) -> str:
        return f"{self.prefix}jobs:client:{client}"

    @property
    def open_batches(self) -> str:
        return self.prefix + "batches:open"

    @property
    def open_rows(self) -> str:
        return self.prefix + "batches:rows"

    @property
    def batch_wake(self) -> str:
        return self.prefix + "batches:wake"

    @property
    def feeder(self) -> str:
        return self.prefix + "feeder"

    def file(self, file_id: str) -> str:
        return f"{self.prefix}file:{file_id}"

    def client_files(self, client: str) -> str:
        return f"{self.prefix}files:client:{client}"

    def batch(self, batch_id: str) -> str:
        return f"{self.prefix}batch:{batch_id}"

    def client_batches(self, client: str) -> str:
        return f"{self.prefix}batches:client:{client}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def done(self, job_id: str) -> str:
        return f"{self.prefix}done:{job_id}"

    def tokens(self, job_id: str) -> str:
        return f"{self.prefix}tokens:{job_id}"

    def unacked(self, node: str) -> str:
        return f"{self.prefix}unacked:{node}"

    def unacked_index(self, node: str) -> str:
        return f"{self.prefix}unacked_index:{node}"

    def alive(self, node: str) -> str:
        return f"{self.prefix}alive:{node}"

    def worker(self, node: str) -> str:
        return f"{self.prefix}worker:{node}"
