"""JSON answers, as UTF-8: Chinese is not escaped."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Response
from pydantic import BaseModel


def json_response(
    body: BaseModel | Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Response:
    text = body.model_dump_json() if isinstance(body, BaseModel) else json.dumps(body, ensure_ascii=False)
    response = Response(text, status, content_type=content_type)
    response.headers.update(dict(headers or {}))
    return response
