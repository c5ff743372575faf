"""The routes of operators: stop admission for a while, and begin again."""

import json

from flask import Blueprint, Response

from api.auth import require_admin
from api.documented import READS_QUEUE, Answer, documented
from api.operations_schemas import Accepting
from api.responses import json_response
from api.service import service

routes = Blueprint("admin", __name__)


STATE = Answer(text="What holds now.", body=Accepting)


@routes.post("/admin/drain")
@documented("Stop admission", answers={200: STATE}, errors=("admin_key_needed", *READS_QUEUE))
def drain() -> Response:
    """Nothing new is accepted from any process; what was accepted goes on."""
    operator, desk = require_admin(), service()
    desk.redis.set(desk.keys.draining, json.dumps({"by": operator.id, "since": desk.now()}))
    return json_response(Accepting(status="draining"))


@routes.post("/admin/resume")
@documented("Accept again", answers={200: STATE}, errors=("admin_key_needed", *READS_QUEUE))
def resume() -> Response:
    """In every process."""
    require_admin()
    desk = service()
    desk.redis.delete(desk.keys.draining)
    return json_response(Accepting(status="accepting"))
