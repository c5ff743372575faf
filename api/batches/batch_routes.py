"""The routes of batches: create, list, read, cancel. A client sees its own only."""

from flask import Blueprint, Response

from api.auth import caller
from api.batches.schemas import Batch, BatchesQuery, BatchList, BatchRequest
from api.body import parse, read_json_object
from api.codes import Code
from api.documented import READS_BODY, READS_QUEUE, Answer, documented
from api.errors import ApiError
from api.parameters import asked_query
from api.responses import json_response
from api.service import service

routes = Blueprint("batches", __name__)
BATCH = Answer(text="The batch.", body=Batch)
NAMES_BATCH: tuple[Code, ...] = ("batch_not_found", *READS_QUEUE)


@routes.post("/v1/batches")
@documented(
    "Thousands of requests in a file",
    request=BatchRequest,
    answers={200: BATCH},
    errors=(*READS_BODY, "file_not_found", "too_many_open_rows", "draining", *READS_QUEUE),
)
def create_batch() -> Response:
    """They run while nobody waits for an answer, and are answered in a file."""
    asked, desk, client = parse(BatchRequest, read_json_object()), service(), caller().id
    if desk.files.read(client, asked.input_file_id, "input_file_id").purpose != "batch":
        message = "This file is an output; upload one with purpose batch."
        raise ApiError(400, "invalid_value", message, "input_file_id")
    return json_response(desk.batches.open(client, asked, desk.now()).shown())


@routes.get("/v1/batches")
@documented(
    "Your batches",
    query=BatchesQuery,
    answers={200: Answer(text="One page.", body=BatchList)},
    errors=("invalid_value", "unknown_field", *READS_QUEUE),
)
def list_batches() -> Response:
    """Newest first."""
    query = asked_query(BatchesQuery)
    found, more = service().batches.listed(caller().id, query.after, query.limit)
    first, last = (found[0].id, found[-1].id) if found else (None, None)
    page = BatchList(data=[batch.shown() for batch in found], first_id=first, last_id=last, has_more=more)
    return json_response(page)


@routes.get("/v1/batches/<batch_id>")
@documented("One batch", answers={200: BATCH}, errors=NAMES_BATCH)
def get_batch(batch_id: str) -> Response:
    """How far it is, and its files once it has ended."""
    return json_response(service().batches.read(caller().id, batch_id).shown())


@routes.post("/v1/batches/<batch_id>/cancel")
@documented("Cancel a batch", answers={200: BATCH}, errors=("batch_ended", *NAMES_BATCH))
def cancel_batch(batch_id: str) -> Response:
    """What runs is finished, what waits is taken back; files say what became of each request."""
    return json_response(service().batches.cancel(caller().id, batch_id).shown())
