"""The routes of operators: stop admission for a while, and begin again."""

import json

from flask import Blueprint, Response

from api.auth import require_admin
from api.responses import json_response
from api.service import service

routes = Blueprint("admin", __name__)


@routes.post("/admin/drain")
def drain() -> Response:
    """Nothing new is accepted from any process; what was accepted goes on."""
    operator, desk = require_admin(), service()
    desk.redis.set(desk.keys.draining, json.dumps({"by": operator.id, "since": desk.now()}))
    return json_response({"status": "draining"})


@routes.post("/admin/resume")
def resume() -> Response:
    require_admin()
    desk = service()
    desk.redis.delete(desk.keys.draining)
    return json_response({"status": "accepting"})
