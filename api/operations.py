"""The routes for operators and clients that look around: health, ready, stats, models."""

from collections.abc import Mapping
from statistics import fmean, quantiles

from flask import Blueprint, Response
from redis import RedisError

from api.documented import READS_QUEUE, Answer, documented
from api.errors import ApiError
from api.models import Worker
from api.operations_schemas import Health, NoTimes, NotReady, Ready, Rejected, Stats, Times, WorkerStats
from api.responses import json_response
from api.schemas import Model, ModelCard, ModelList
from api.service import Service, service

routes = Blueprint("operations", __name__)

COUNTED = ("requests", "joined", "cached", "succeeded", "failed", "cancelled", "expired")
REJECTED = {
    "client_rate": ("client", "client_hour"),
    "total_rate": ("all",),
    "queue_full": ("full", "full_bulk"),
    "draining": ("draining",),
}


@routes.get("/health")
@documented("Alive", answers={200: Answer(text="Yes.", body=Health)}, errors=("internal_error",))
def health() -> Response:
    """This process is alive; asks nobody else."""
    return json_response(Health())


@routes.get("/ready")
@documented(
    "Ready",
    answers={
        200: Answer(text="Yes.", body=Ready),
        503: Answer(text="No, and why.", body=NotReady, headers=("Retry-After",)),
    },
    errors=("internal_error",),
)
def ready() -> Response:
    """200 when a request would be answered now, else 503 saying what is missing."""
    missing = _missing(service())
    if not missing:
        return json_response(Ready())
    return json_response(NotReady(missing=missing), 503, {"Retry-After": "1"})


@routes.get("/v1/models")
@documented("Models on offer", answers={200: Answer(text="All of them.", body=ModelList)}, errors=READS_QUEUE)
def list_models() -> Response:
    """What the workers serve; empty before any worker came."""
    served = service().models.served()
    cards = [ModelCard(name=model.id, description=f"Revision {model.revision}.") for model in served]
    return json_response(ModelList(data=served, models=cards))


@routes.get("/v1/models/<path:model_id>")
@documented(
    "One model",
    answers={200: Answer(text="The model.", body=Model)},
    errors=("model_not_found", *READS_QUEUE),
)
def get_model(model_id: str) -> Response:
    """Its labels and its revision."""
    for model in service().models.served():
        if model.id == model_id:
            return json_response(model)
    raise ApiError(404, "model_not_found", "There is no such model (GET /v1/models).", "model")


@routes.get("/stats")
@documented("Counters and times", answers={200: Answer(text="As of now.", body=Stats)}, errors=READS_QUEUE)
def stats() -> Response:
    """Counters since the first start, the queue as it is now, and times of recent texts."""
    desk = service()
    workers = desk.models.workers()
    pipe = desk.redis.pipeline(transaction=False)
    pipe.hgetall(desk.keys.stats)
    pipe.llen(desk.keys.queue)
    pipe.llen(desk.keys.bulk)
    pipe.zcard(desk.keys.failed_jobs)
    pipe.lrange(desk.keys.recent, 0, -1)
    pipe.zcard(desk.keys.open_batches)
    pipe.exists(desk.keys.feeder)
    for worker in workers:
        pipe.hlen(desk.keys.unacked(worker.node))
    counters, interactive, bulk, dead_letters, recent, open_batches, feeder, *in_hand = pipe.execute()
    times = [line.split() for line in recent]
    return json_response(
        Stats(
            **{name: int(counters.get(name, 0)) for name in COUNTED},
            rejected=_rejected(counters),
            waiting=interactive + bulk,
            waiting_bulk=bulk,
            dead_letters=dead_letters,
            running=sum(in_hand),
            texts=int(counters.get("texts", 0)),
            batches=int(counters.get("batches", 0)),
            open_batches=open_batches,
            feeder=bool(feeder),
            queue_ms=_summary([float(line[0]) for line in times]),
            inference_ms=_summary([float(line[1]) for line in times]),
            workers=[_worker(worker) for worker in workers],
        )
    )


def _rejected(counters: Mapping[str, str]) -> Rejected:
    return Rejected(
        **{
            name: sum(int(counters.get(f"rejected:{verdict}", 0)) for verdict in verdicts)
            for name, verdicts in REJECTED.items()
        }
    )


def _worker(worker: Worker) -> WorkerStats:
    return WorkerStats(
        node=worker.node,
        ready=worker.ready,
        model=worker.name,
        revision=worker.revision,
        device=worker.device,
        quantization=worker.quantization,
        memory_bytes=worker.memory_bytes,
    )


def _missing(desk: Service) -> list[str]:
    try:
        if desk.redis.exists(desk.keys.draining):
            return ["an operator has stopped admission (POST /admin/resume)"]
        return [] if desk.models.ready_workers() else ["no worker has its model loaded"]
    except RedisError:
        return ["Redis does not answer"]


def _summary(values: list[float]) -> Times | NoTimes:
    if not values:
        return NoTimes()
    p95 = quantiles(values, n=20, method="inclusive")[-1] if len(values) > 1 else values[0]
    return Times(count=len(values), mean=round(fmean(values), 1), p95=round(p95, 1))
