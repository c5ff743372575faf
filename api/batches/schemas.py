"""Requests and answers about files and batches, in OpenAI's shapes, as pydantic models."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from api.parameters import Limit, digits
from api.schemas import Schema
from shared.job import Endpoint

LONGEST_ID = 512  # characters of a custom_id
MOST_FILES_LISTED = 10_000

BatchStatus = Literal[
    "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
]
Purpose = Literal["batch", "batch_output"]
FirstId = Annotated[str | None, Field(description="The id of the first of the page.")]
LastId = Annotated[str | None, Field(description="The id of the last: `after` for the next page.")]
HasMore = Annotated[bool, Field(description="Whether there is a next page.")]


class ExpiresAfter(Schema):
    """How long a file is kept after its creation; the operator's limit holds besides."""

    anchor: Literal["created_at"] = Field(description="From when it is counted.")
    seconds: Annotated[int, Field(ge=3600, le=2_592_000)] = Field(description="An hour to 30 days.")


class FileRequest(Schema):
    """The fields of an upload beside the file."""

    purpose: Literal["batch"] = Field(description="What the file is for.")
    expires_after: ExpiresAfter | None = Field(None, description="`WIREDESK_FILE_TTL` when left out.")


class FileUpload(FileRequest):
    """An upload, as multipart/form-data."""

    file: bytes = Field(description="A request in each line, as JSON (JSONL).")


class FilesQuery(Schema):
    """Which of the caller's files are listed."""

    purpose: str | None = Field(None, description="Only files of this purpose.", examples=["batch_output"])
    after: str | None = Field(None, description="The id of the last file of the page before.")
    limit: Annotated[int, BeforeValidator(digits), Field(ge=1, le=MOST_FILES_LISTED)] = Field(
        MOST_FILES_LISTED, description="Most entries of the page.", examples=[20]
    )
    order: Literal["asc", "desc"] = Field("desc", description="`desc`: newest first.", examples=["asc"])


class FileObject(Schema):
    """A file as its client sees it; times are Unix seconds."""

    id: str = Field(description="`file-` and 22 characters.")
    object: Literal["file"] = Field("file", description="Always `file`.")
    bytes: int = Field(description="Its size.")
    created_at: int = Field(description="When it was complete.")
    expires_at: int = Field(description="When it will be gone.")
    filename: str = Field(description="Its name at the client.")
    purpose: Purpose = Field(description="`batch_output`: an output or error file.")
    status: Literal["processed"] = Field("processed", description="Always `processed`.")


class FileDeleted(Schema):
    """The file is gone."""

    id: str = Field(description="The file that was.")
    object: Literal["file"] = Field("file", description="Always `file`.")
    deleted: Literal[True] = Field(True, description="Always true.")


class FileList(Schema):
    """One page of a client's files."""

    object: Literal["list"] = Field("list", description="Always `list`.")
    data: list[FileObject] = Field(description="The files.")
    first_id: FirstId
    last_id: LastId
    has_more: HasMore


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]], Field(max_length=16)
]


class BatchRequest(Schema):
    """What POST /v1/batches takes."""

    input_file_id: Annotated[str, Field(min_length=1)] = Field(description="A file of purpose `batch`.")
    endpoint: Endpoint = Field(description="The route of all its requests.")
    completion_window: Literal["24h"] = Field(description="What has not run by then is not run.")
    metadata: Metadata | None = Field(None, description="Up to 16 texts of your own, which come back.")
    output_expires_after: ExpiresAfter | None = Field(
        None, description="How long output and error file are kept; `WIREDESK_FILE_TTL` when left out."
    )


class BatchesQuery(Schema):
    """Which of the caller's batches are listed."""

    after: str | None = Field(None, description="The id of the last batch of the page before.")
    limit: Limit = 20


class BatchError(Schema):
    """What is wrong with the input file."""

    code: str = Field(description="What is wrong, for programs.")
    message: str = Field(description="What is wrong and how to mend it.")
    param: str | None = Field(description="The field of the line.")
    line: int | None = Field(description="The line, counted from 1.")


class BatchErrors(Schema):
    """Why a batch has failed."""

    object: Literal["list"] = Field("list", description="Always `list`.")
    data: list[BatchError] = Field(description="Up to 100, in the order of the file.")


class RequestCounts(Schema):
    """How far a batch is."""

    total: int = Field(description="Requests in the file; 0 until it is validated.")
    completed: int = Field(description="Lines of the output file.")
    failed: int = Field(description="Lines of the error file.")


class InputDetails(Schema):
    """Of the tokens that were read."""

    cached_tokens: Literal[0] = Field(0, description="Always 0.")


class OutputDetails(Schema):
    """Of the tokens that were written."""

    reasoning_tokens: Literal[0] = Field(0, description="Always 0.")


class BatchUsage(Schema):
    """Tokens of all requests that were completed."""

    input_tokens: int = Field(description="Tokens that were read.")
    input_tokens_details: InputDetails = Field(InputDetails(), description="Of these.")
    output_tokens: int = Field(description="Tokens that were written.")
    output_tokens_details: OutputDetails = Field(OutputDetails(), description="Of these.")
    total_tokens: int = Field(description="Both together.")


class Batch(Schema):
    """A batch as its client sees it; times are Unix seconds, null until the moment has come."""

    id: str = Field(description="`batch_` and 22 characters.")
    object: Literal["batch"] = Field("batch", description="Always `batch`.")
    endpoint: Endpoint = Field(description="The route of all its requests.")
    errors: BatchErrors | None = Field(description="Why it has failed.")
    input_file_id: str = Field(description="The requests.")
    completion_window: Literal["24h"] = Field("24h", description="Always `24h`.")
    status: BatchStatus = Field(description="Where it stands.")
    output_file_id: str | None = Field(description="The answers, once it has ended with any.")
    error_file_id: str | None = Field(description="What was refused, failed or not run, once it has ended.")
    created_at: int = Field(description="When it was accepted.")
    in_progress_at: int | None = Field(description="When its file was validated.")
    expires_at: int = Field(description="When it ends, however far it is.")
    finalizing_at: int | None = Field(description="When its last request had ended.")
    completed_at: int | None = Field(description="When it was completed.")
    failed_at: int | None = Field(description="When its file was found wrong.")
    expired_at: int | None = Field(description="When it expired.")
    cancelling_at: int | None = Field(description="When its client cancelled it.")
    cancelled_at: int | None = Field(description="When the last of what ran had ended.")
    request_counts: RequestCounts = Field(description="How far it is.")
    usage: BatchUsage = Field(description="Tokens so far.")
    metadata: dict[str, str] | None = Field(description="Your own texts.")


class BatchList(Schema):
    """One page of a client's batches, newest first."""

    object: Literal["list"] = Field("list", description="Always `list`.")
    data: list[Batch] = Field(description="The batches.")
    first_id: FirstId
    last_id: LastId
    has_more: HasMore


class Row(Schema):
    """One line of an input file."""

    custom_id: Annotated[str, Field(min_length=1, max_length=LONGEST_ID)]
    method: Literal["POST"]
    url: str
    body: dict[str, Any]


class RowResponse(Schema):
    """What the synchronous call would have answered."""

    status_code: int
    request_id: str
    body: dict[str, Any]


class RowError(Schema):
    """Why a request was not run."""

    code: str
    message: str


class RowResult(Schema):
    """One line of an output or an error file."""

    id: str
    custom_id: str
    response: RowResponse | None
    error: RowError | None
