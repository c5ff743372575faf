"""The routes of files: upload, list, read, download, delete. A client sees its own only."""

from collections.abc import Iterator
from pathlib import Path

from flask import Blueprint, Response

from api.auth import caller
from api.batches.draft import off_loop
from api.batches.schemas import FileDeleted, FileList, FileObject, FilesQuery, FileUpload
from api.batches.uploads import Upload
from api.codes import Code
from api.documented import READS_QUEUE, Answer, documented
from api.errors import ApiError
from api.parameters import asked_query
from api.responses import json_response
from api.service import service

routes = Blueprint("files", __name__)
CHUNK = 256 * 1024  # bytes of a file in memory at a time
JSONL = "application/jsonl"
FILE = Answer(text="The file.", body=FileObject)
NAMES_FILE: tuple[Code, ...] = ("file_not_found", *READS_QUEUE)


@routes.post("/v1/files")
@documented(
    "Upload the input of a batch",
    request=FileUpload,
    media="multipart/form-data",
    answers={200: FILE},
    errors=(
        "invalid_form",
        "missing_field",
        "unknown_field",
        "invalid_value",
        "empty_input",
        "body_too_slow",
        "http_error",
        "file_too_large",
        "storage_full",
        *READS_QUEUE,
    ),
)
def upload_file() -> Response:
    """One file in a request; it is looked into when a batch is made of it."""
    desk, client = service(), caller().id
    with Upload(desk.files, client, desk.config.max_file_bytes) as upload:
        asked, draft, name = upload.read()
        seconds = asked.expires_after.seconds if asked.expires_after else None
        return json_response(desk.files.keep(draft, client, name, seconds).shown())


@routes.get("/v1/files")
@documented(
    "Your files",
    query=FilesQuery,
    answers={200: Answer(text="One page.", body=FileList)},
    errors=("invalid_value", "unknown_field", *READS_QUEUE),
)
def list_files() -> Response:
    """Inputs that you have sent, outputs and error files of your batches."""
    query = asked_query(FilesQuery)
    found, more = service().files.listed(
        caller().id,
        purpose=query.purpose,
        after=query.after,
        limit=query.limit,
        oldest_first=query.order == "asc",
    )
    first, last = (found[0].id, found[-1].id) if found else (None, None)
    page = FileList(data=[file.shown() for file in found], first_id=first, last_id=last, has_more=more)
    return json_response(page)


@routes.get("/v1/files/<file_id>")
@documented("One file", answers={200: FILE}, errors=NAMES_FILE)
def get_file(file_id: str) -> Response:
    """What is known of it."""
    return json_response(service().files.read(caller().id, file_id).shown())


@routes.delete("/v1/files/<file_id>")
@documented(
    "Delete a file",
    answers={200: Answer(text="It is gone.", body=FileDeleted)},
    errors=("file_in_use", *NAMES_FILE),
)
def delete_file(file_id: str) -> Response:
    """Not while a batch that has not ended reads it."""
    service().files.delete(caller().id, file_id)
    return json_response(FileDeleted(id=file_id))


@routes.get("/v1/files/<file_id>/content")
@documented("The bytes of a file", answers={200: Answer(text="JSONL.", media=JSONL)}, errors=NAMES_FILE)
def download_file(file_id: str) -> Response:
    """An output has a line for each request that was answered, in the order of their ends."""
    files = service().files
    file = files.read(caller().id, file_id)
    path = files.path(file.id)
    if not path.exists():
        raise ApiError(404, "file_not_found", "The bytes of this file are gone.", "id")
    headers = {
        "Content-Length": str(path.stat().st_size),
        "Content-Disposition": f'attachment; filename="{file.id}.jsonl"',
    }
    return Response(_pieces(path), headers=headers, content_type=JSONL)


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := off_loop(file.read, CHUNK):
            yield piece
