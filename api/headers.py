"""What every answer carries besides its body: its request's id, limits, caching, safety, other origins.

header                  on
x-request-id            every answer: the caller's own if it is sane, else one of ours; systemone has it
                        as x-typesafe-request-id, too
Cache-Control           every answer: no-store
X-Content-Type-Options, Referrer-Policy, Content-Security-Policy    every answer
RateLimit-Policy, RateLimit, x-ratelimit-*    what asked for work (api/limits.py)
Vary                    Prefer where it changes the answer; Origin where other origins may call
Access-Control-*        for the origins in WIREDESK_CORS_ORIGINS
"""

import re
import secrets
from collections.abc import Sequence
from urllib.parse import quote

from flask import Flask, Response, g, request

from api.logs import REQUEST_ID

SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
SAFE = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
EXPOSED = (
    "Idempotency-Replayed, Link, Location, Preference-Applied, RateLimit, RateLimit-Policy, Retry-After, "
    "X-Cache, x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, "
    "x-request-id, x-should-retry"
)
PREFLIGHT_LASTS = "600"  # seconds
LONGEST_PATH = 200  # characters of a path in logs


def register_headers(app: Flask, origins: Sequence[str]) -> None:
    app.before_request(_name_request)
    if origins:  # after `_complete`: flask calls the last first
        app.after_request(lambda response: _share(response, origins))
    app.after_request(_complete)


def request_id() -> str:
    return g.get("request_id", "-")


def new_request_id() -> str:
    return f"req_{secrets.token_hex(12)}"


def logged_path() -> str:
    """The path of the request as one line of ASCII."""
    return quote(request.path)[:LONGEST_PATH]


def _name_request() -> None:
    asked = request.headers.get("x-request-id", "")
    g.request_id = asked if SANE_REQUEST_ID.fullmatch(asked) else new_request_id()
    REQUEST_ID.set(g.request_id)
    request.environ["wiredesk.path"] = logged_path()  # for the access log


def _complete(response: Response) -> Response:
    response.headers["x-request-id"] = request_id()
    if request.path == "/v1/systemone":  # what TypeSafe's clients show in their errors
        response.headers["x-typesafe-request-id"] = request_id()
    for name, value in SAFE.items():
        response.headers.setdefault(name, value)
    if "vary" in g:
        response.vary.add(g.vary)
    if "limits" in g:
        response.headers.update(g.limits.headers())
    if request.method == "OPTIONS" and response.status_code == 200:
        response.status_code = 204
        response.headers["Allow"] = ", ".join(sorted(response.allow))
        del response.headers["Content-Type"]
    return response


def _share(response: Response, origins: Sequence[str]) -> Response:
    """CORS, without credentials: a key is sent by the page itself."""
    response.vary.add("Origin")
    origin = request.headers.get("Origin", "")
    if not origin or not ("*" in origins or origin.lower() in origins):
        return response
    response.headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
    response.headers["Access-Control-Expose-Headers"] = EXPOSED
    if request.method == "OPTIONS":
        response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
        response.headers["Access-Control-Allow-Headers"] = request.headers.get(
            "Access-Control-Request-Headers", ""
        )
        response.headers["Access-Control-Max-Age"] = PREFLIGHT_LASTS
    return response
