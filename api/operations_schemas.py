"""The answers of the routes for operators, as pydantic models."""

from typing import Literal

from pydantic import Field

from api.schemas import Schema


class Health(Schema):
    """The process is alive."""

    status: Literal["ok"] = Field("ok", description="Always the same.")


class Ready(Schema):
    """A request would be answered now."""

    status: Literal["ready"] = Field("ready", description="Always the same.")


class NotReady(Schema):
    """A request would not be answered now."""

    status: Literal["not ready"] = Field("not ready", description="Always the same.")
    missing: list[str] = Field(description="What is missing, in words.")


class Accepting(Schema):
    """Whether new work is accepted."""

    status: Literal["accepting", "draining"] = Field(description="`draining`: it is not.")


class Rejected(Schema):
    """Refused requests since the first start."""

    client_rate: int = Field(description="A client's minute or hour was used up.")
    total_rate: int = Field(description="Everybody's hour was used up.")
    queue_full: int = Field(description="Too many texts waited.")
    draining: int = Field(description="An operator had stopped admission.")


class NoTimes(Schema):
    """Nothing was measured yet."""

    count: Literal[0] = Field(0, description="Always 0.")


class Times(Schema):
    """Milliseconds of recent texts."""

    count: int = Field(description="How many texts.")
    mean: float = Field(description="Their mean.")
    p95: float = Field(description="Their 95th percentile.")


class WorkerStats(Schema):
    """A worker that has published itself."""

    node: str = Field(description="Its name.")
    ready: bool = Field(description="It is alive and has its model loaded.")
    model: str = Field(description="The artifact's name.")
    revision: str = Field(description="The artifact's revision.")
    device: str = Field(description="Where the model is.")
    quantization: str = Field(description="The data type of the weights.")
    memory_bytes: int | None = Field(description="What the model takes.")


class Stats(Schema):
    """Counters since the first start, the queue as it is now, and times of recent texts."""

    requests: int = Field(description="Accepted requests.")
    joined: int = Field(description="Requests that joined an open job.")
    cached: int = Field(description="Requests answered from kept answers.")
    succeeded: int = Field(description="Jobs that succeeded.")
    failed: int = Field(description="Jobs that failed.")
    cancelled: int = Field(description="Jobs that were cancelled.")
    expired: int = Field(description="Jobs that nobody began in time.")
    rejected: Rejected
    waiting: int = Field(description="Texts that wait.")
    waiting_bulk: int = Field(description="Of those, at bulk priority.")
    dead_letters: int = Field(description="Failed jobs that can be retried.")
    running: int = Field(description="Texts in the hands of workers.")
    texts: int = Field(description="Texts that were answered.")
    batches: int = Field(description="Engine steps that answered them.")
    open_batches: int = Field(description="Batches of files that have not ended.")
    feeder: bool = Field(description="A feeder is at work.")
    queue_ms: Times | NoTimes = Field(description="Waiting in the queue.")
    inference_ms: Times | NoTimes = Field(description="In the engine.")
    workers: list[WorkerStats] = Field(description="Live or not.")
