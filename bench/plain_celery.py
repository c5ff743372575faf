"""What an engineer would write in an afternoon: Flask, task.delay and one Celery task per text."""

import os
import time

from celery import Celery
from flask import Flask, Response, jsonify, request

SECONDS = float(os.environ.get("PLAIN_SECONDS", "0.05"))
URL = os.environ["PLAIN_REDIS"]

celery = Celery("plain", broker=URL, backend=URL)
web = Flask("plain")


@celery.task
def classify(text: str) -> dict:
    if SECONDS:
        time.sleep(SECONDS)
    return {"label": "其他", "length": len(text)}


@web.post("/v1/classify")
def post() -> Response:
    return jsonify(classify.delay(request.get_json()["input"]).get(timeout=120))


@web.get("/ready")
def ready() -> str:
    return "ok"
