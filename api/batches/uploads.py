"""A multipart upload, read piece by piece: its size is bounded by the file's limit, never held in memory."""

import unicodedata
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.formparser import MultiPartParser

from api.batches.draft import Draft, file_too_large
from api.batches.files import Files
from api.batches.schemas import FileRequest
from api.body import parse
from api.errors import ApiError

FORM_BYTES, FORM_PARTS = 512 * 1024, 20  # what the parser holds at once: fields, the space between parts
LONGEST_NAME = 255


class Upload:
    """The drafts of one request; those that were not kept are thrown away.

    As a context manager: `with Upload(files, client, most) as upload: asked, draft, name = upload.read()`.
    """

    def __init__(self, files: Files, client: str, most: int):
        self._files = files
        self._client = client
        self._most = most
        self._drafts: list[Draft] = []

    def __enter__(self) -> "Upload":
        return self

    def __exit__(self, *_: object) -> None:
        for draft in self._drafts:
            draft.discard()

    def read(self) -> tuple[FileRequest, Draft, str]:
        """The validated fields, the file, and its name at the client.

        Raises:
            ApiError: 400, it is no such form; 413, the file is too large; 507, there is no room.
        """
        fields, files = self._parts()
        asked = parse(FileRequest, _nested(fields))
        (file,) = files.getlist("file")[:1] or (None,)
        if file is None or len(self._drafts) > 1:
            message = "'file' is missing; send one file under this name."
            raise ApiError(400, "missing_field", message, "file")
        if not self._drafts[0].size:
            raise ApiError(400, "empty_input", "'file' is empty; send one request in each line.", "file")
        return asked, self._drafts[0], shown_name(file.filename or "")

    def _parts(self) -> Any:
        boundary = request.mimetype_params.get("boundary", "")
        if request.mimetype != "multipart/form-data" or not boundary.isascii() or not boundary:
            message = "A file is uploaded as multipart/form-data, with its fields 'purpose' and 'file'."
            raise ApiError(400, "invalid_form", message)
        request.max_content_length = self._most + FORM_BYTES  # of this request alone
        parser = MultiPartParser(self._draft, max_form_memory_size=FORM_BYTES, max_form_parts=FORM_PARTS)
        try:
            return parser.parse(request.stream, boundary.encode(), request.content_length)
        except RequestEntityTooLarge:
            raise file_too_large(self._most) from None
        except ValueError:
            raise ApiError(400, "invalid_form", "The body is no complete multipart/form-data.") from None

    def _draft(self, *_: object, **__: object) -> Any:
        if self._drafts:
            raise ApiError(400, "invalid_form", "Send one file in a request.", "file")
        self._drafts.append(self._files.draft(self._client))
        return self._drafts[-1]


def shown_name(name: str) -> str:
    """What is shown of a client's file name: its last part, without control characters."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(c for c in last if unicodedata.category(c)[0] != "C")[:LONGEST_NAME] or "file"


def _nested(fields: Any) -> dict[str, Any]:
    """expires_after[seconds]=3600 -> {"expires_after": {"seconds": 3600}}, as OpenAI's clients write it."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        outer, bracket, inner = name.removesuffix("]").partition("[")
        if bracket:
            number = int(value) if value.isascii() and value.isdigit() and len(value) < 12 else value
            found.setdefault(outer, {})
            if isinstance(found[outer], dict):
                found[outer][inner] = number
        else:
            found[name] = value
    return found
