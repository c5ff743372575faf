"""The Flask application (gunicorn -c api/gunicorn.conf.py api.app:app)."""

import re
import secrets

from flask import Flask, Response, g, request

from api import admin, inference, jobs, operations
from api.errors import register_error_handlers
from api.service import Service
from shared.settings import Settings, settings

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def create_app(config: Settings) -> Flask:
    app = Flask("api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = largest_body(config)
    app.extensions["wiredesk"] = Service.start(config)
    app.register_blueprint(inference.routes)
    app.register_blueprint(jobs.routes)
    app.register_blueprint(operations.routes)
    app.register_blueprint(admin.routes)
    register_error_handlers(app)
    app.before_request(_name_request)
    app.before_request(app.extensions["wiredesk"].auth.identify)
    app.after_request(_answer_with_name)
    return app


def largest_body(config: Settings) -> int:
    """Bytes: every text at its longest, each character escaped as two \\uXXXX, and some room."""
    return 12 * config.max_characters * max(1, config.max_waiting) + 256 * 1024


def _name_request() -> None:
    asked = request.headers.get("x-request-id", "")
    g.request_id = asked if SANE_REQUEST_ID.fullmatch(asked) else f"req_{secrets.token_hex(12)}"


def _answer_with_name(response: Response) -> Response:
    response.headers["x-request-id"] = g.get("request_id", "")
    return response


def __getattr__(name: str) -> Flask:
    """`app` is made when gunicorn asks for it, not when somebody imports the module."""
    if name == "app":
        return create_app(settings())
    raise AttributeError(name)
