"""The routes that describe the api: /openapi.json, and /docs to read and try it. They need no key."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request

from api.documented import Answer, documented
from api.errors import ApiError
from api.openapi import openapi

routes = Blueprint("documentation", __name__)
OURS = Path(__file__).parent / "pages"
THEIRS = Path(str(files("flask_swagger_ui"))) / "dist"  # Swagger UI, without a host of others
FILES = {
    "start.js": (OURS, "text/javascript; charset=utf-8"),
    "swagger-ui-bundle.js": (THEIRS, "text/javascript; charset=utf-8"),
    "swagger-ui.css": (THEIRS, "text/css; charset=utf-8"),
    "favicon-32x32.png": (THEIRS, "image/png"),
}
CACHED = "no-cache"  # kept, and asked about by ETag: it changes with the program only
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
UNCHANGED = Answer(text="It is still what `If-None-Match` names.", headers=("ETag",))


def register_documentation(app: Flask, *, keys: bool) -> None:
    """`keys`: requests need one. The document is made when it is first asked for, of all routes then."""
    app.register_blueprint(routes)
    app.extensions["openapi"] = cache(lambda: json.dumps(openapi(app, keys=keys), ensure_ascii=False))


@routes.get("/openapi.json")
@documented(
    "This description",
    answers={200: Answer(text="OpenAPI 3.1.", body=dict[str, Any], headers=("ETag",)), 304: UNCHANGED},
    errors=("internal_error",),
)
def describe() -> Response:
    """Made of the same schemas that validate requests and make answers."""
    return _sent(current_app.extensions["openapi"](), "application/json")


@routes.get("/docs")
@documented(
    "The same as a page",
    answers={
        200: Answer(text="A page that asks no other host.", media="text/html", headers=("ETag",)),
        304: UNCHANGED,
    },
    errors=("internal_error",),
)
def show() -> Response:
    """To read, and to try each route."""
    response = _sent(_read(OURS / "docs.html"), "text/html; charset=utf-8")
    response.headers["Content-Security-Policy"] = POLICY
    return response


@routes.get("/docs/<name>")
@documented(
    "Scripts and styles of the page",
    answers={200: Answer(text="The file.", media="*/*", headers=("ETag",)), 304: UNCHANGED},
    errors=("unknown_route", "internal_error"),
)
def show_part(name: str) -> Response:
    """Served from here, so that the page works without the internet."""
    if name not in FILES:
        raise ApiError(404, "unknown_route", "The page has no such file.")
    folder, kind = FILES[name]
    return _sent(_read(folder / name), kind)


def _sent(content: str | bytes, kind: str) -> Response:
    response = Response(content, content_type=kind, headers={"Cache-Control": CACHED})
    response.add_etag()
    response.make_conditional(request)
    return response


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()
