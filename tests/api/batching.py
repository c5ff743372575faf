"""What tests of files and batches share: input files, uploads, and a feeder that is stepped by hand."""

import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from flask.testing import FlaskClient
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from api.feeder import Feeder
from tests.waiting import wait_until

CLASSIFY = "/v1/classify"
ENDED = ("completed", "failed", "expired", "cancelled")


def row(custom_id: str, body: dict | None = None, url: str = CLASSIFY) -> dict:
    return {
        "custom_id": custom_id,
        "method": "POST",
        "url": url,
        "body": body or {"input": f"text {custom_id}"},
    }


def rows(number: int) -> list[dict]:
    return [row(f"r{n}") for n in range(number)]


def jsonl(lines: Iterable[dict | str | bytes]) -> bytes:
    """Dictionaries as JSON, anything else as it is; one a line."""
    return b"".join(
        (line if isinstance(line, bytes) else (line if isinstance(line, str) else json.dumps(line)).encode())
        + b"\n"
        for line in lines
    )


def upload(
    api: FlaskClient, content: bytes, name: str = "in.jsonl", headers: dict | None = None, **fields: str
):
    form = {"purpose": "batch"} | fields | {"file": FileStorage(io.BytesIO(content), name)}
    boundary, body = encode_multipart(form)  # the client itself would leave a temporary file open
    kind = f'multipart/form-data; boundary="{boundary}"'
    return api.post("/v1/files", data=body, headers=headers, content_type=kind)


def create(api: FlaskClient, content: bytes, endpoint: str = CLASSIFY, **fields: object):
    file = upload(api, content).get_json()["id"]
    body = {"input_file_id": file, "endpoint": endpoint, "completion_window": "24h"} | fields
    return api.post("/v1/batches", json=body)


class ByHand:
    """A feeder that moves when the test says so."""

    def __init__(self, api: FlaskClient):
        self.api = api
        self.feeder = Feeder(api.application.extensions["wiredesk"])
        self.feeder._wait = lambda seconds: time.sleep(0.002)  # the test waits, and looks at once
        self.feeder.forget()

    def turn(self) -> None:
        self.feeder._looked = float("-inf")
        self.feeder.turn()

    def batch(self, batch_id: str) -> dict:
        self.turn()
        return self.api.get(f"/v1/batches/{batch_id}").get_json()

    def ended(self, batch_id: str) -> dict:
        """The batch once it has ended."""
        return wait_until(lambda: self._if_ended(batch_id), "the batch has ended", 60)

    def _if_ended(self, batch_id: str) -> dict | None:
        batch = self.batch(batch_id)
        return batch if batch["status"] in ENDED else None


@contextmanager
def by_hand(api: FlaskClient) -> Iterator[ByHand]:
    stepped = ByHand(api)
    yield stepped
    stepped.feeder.forget()
    stepped.feeder._waits.close()


def lines_of(api: FlaskClient, file_id: str | None) -> list[dict]:
    """The lines of an output or error file; none without a file."""
    if file_id is None:
        return []
    answer = api.get(f"/v1/files/{file_id}/content")
    return [json.loads(line) for line in answer.get_data().splitlines()]


def results(api: FlaskClient, batch: dict) -> tuple[list[dict], list[dict]]:
    return lines_of(api, batch["output_file_id"]), lines_of(api, batch["error_file_id"])


def code(response) -> str:
    return response.get_json()["error"]["code"]


def failed(feeder: ByHand, content: bytes, endpoint: str = CLASSIFY) -> list[dict]:
    """What is wrong with a file, says its batch."""
    batch = feeder.ended(create(feeder.api, content, endpoint).get_json()["id"])
    assert (batch["status"], bool(batch["failed_at"])) == ("failed", True)
    assert batch["output_file_id"] is batch["error_file_id"] is None
    return batch["errors"]["data"]


def once_each(output: list[dict], errors: list[dict]) -> set[str]:
    """The custom_ids of both files, none of which may stand there twice."""
    counted = Counter(line["custom_id"] for line in [*output, *errors])
    assert set(counted.values()) <= {1}
    return set(counted)
