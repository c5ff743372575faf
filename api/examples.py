"""Examples of requests and answers for /openapi.json; a test validates each against its schema."""

from typing import Any

NEWS = "央行宣布下调存款准备金率0.5个百分点"
JOB = "job_NTyrHjeuaUD_ff63BXaSRg"
LABELS = {
    "label": "货币政策",
    "probability": 0.91,
    "probabilities": {"货币政策": 0.91, "外汇": 0.05, "宏观经济": 0.04},
    "label_mass": 0.935,
    "truncated": False,
}
USAGE = {"prompt_tokens": 29, "completion_tokens": 3, "total_tokens": 32}
TIMING = {"queue_ms": 3, "inference_ms": 11.3}
COMMON = {"created": 1795498342, "model": "news-classifier", "timing": TIMING}
WRITTEN = COMMON | {"model": "newsroom-mini"}
RESULT = LABELS | {"status": "classified", "usage": USAGE}
CLASSIFICATION = COMMON | {"id": JOB, "object": "classification", "results": [RESULT]}
CHAT = {
    "id": "chatcmpl-NTyrHjeuaUD_ff63BXaSRg",
    "object": "chat.completion",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "这条新闻属于：货币政策", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ],
    "usage": USAGE,
}
QUEUED = {
    "id": JOB,
    "object": "job",
    "endpoint": "/v1/classify",
    "status": "queued",
    "priority": "interactive",
    "position": 0,
    "attempts": 0,
    "created_at": 1795498342,
}
DONE = QUEUED | {"status": "succeeded", "attempts": 1, "started_at": 1795498342, "finished_at": 1795498343}
MODEL = {
    "id": "news-classifier",
    "object": "model",
    "created": 0,
    "owned_by": "wiredesk",
    "labels": ["货币政策", "外汇", "宏观经济"],
    "revision": "5f1c2e",
}
TIMES = {"count": 200, "mean": 14.1, "p95": 21.7}
WORKER = {
    "node": "worker@desk-gpu0",
    "ready": True,
    "model": "newsroom-mini",
    "revision": "5f1c2e",
    "device": "cuda:0",
    "quantization": "int8",
    "memory_bytes": 7570000000,
}
STATS = {
    "requests": 1842,
    "joined": 3,
    "cached": 41,
    "succeeded": 1836,
    "failed": 1,
    "cancelled": 4,
    "expired": 1,
    "rejected": {"client_rate": 0, "total_rate": 0, "queue_full": 12, "draining": 0},
    "waiting": 2,
    "waiting_bulk": 0,
    "dead_letters": 1,
    "running": 3,
    "texts": 1901,
    "batches": 702,
    "open_batches": 1,
    "feeder": True,
    "queue_ms": TIMES,
    "inference_ms": TIMES,
    "workers": [WORKER],
}
ASK = {"model": "news-classifier", "messages": [{"role": "user", "content": NEWS}]}
WRITE = {"model": "newsroom-mini", "prompt": "央行宣布", "max_tokens": 16, "temperature": 0}

FILE = {
    "id": "file-BuW3obi6qmXksX-S5mkXOw",
    "object": "file",
    "bytes": 67659,
    "created_at": 1795498300,
    "expires_at": 1798090300,
    "filename": "news.jsonl",
    "purpose": "batch",
    "status": "processed",
}
BATCH = {
    "id": "batch_X5Hq7K2BsRRUMVKQ3ep8sA",
    "object": "batch",
    "endpoint": "/v1/classify",
    "errors": None,
    "input_file_id": FILE["id"],
    "completion_window": "24h",
    "status": "completed",
    "output_file_id": "file-t2BLl1CE9ytDLsUdf5ZzwQ",
    "error_file_id": None,
    "created_at": 1795498342,
    "in_progress_at": 1795498343,
    "expires_at": 1795584742,
    "finalizing_at": 1795498352,
    "completed_at": 1795498352,
    "failed_at": None,
    "expired_at": None,
    "cancelling_at": None,
    "cancelled_at": None,
    "request_counts": {"total": 500, "completed": 500, "failed": 0},
    "usage": {
        "input_tokens": 15769,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 1432,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 17201,
    },
    "metadata": {"run": "morning"},
}
BEGINNING = {"input_file_id": FILE["id"], "endpoint": "/v1/classify", "completion_window": "24h"}
DECIDE = {
    "model": "news-classifier",
    "input": NEWS,
    "questions": [
        {
            "type": "choice",
            "name": "topic",
            "instructions": "What is it about?",
            "choices": [
                {"value": "Stock market"},
                {"value": "Monetary policy", "description": "central banks"},
            ],
        },
        {"type": "predicate", "name": "easing", "instructions": "Policy is eased."},
    ],
}
SYSTEM_ONE = {
    "model": "news-classifier",
    "state": NEWS,
    "questions": {"topic": {"type": "choice", "criteria": {"Stock market": None, "Monetary policy": None}}},
}
DECISION = COMMON | {
    "id": "dec_NTyrHjeuaUD_ff63BXaSRg",
    "object": "decision",
    "answers": [
        {
            "type": "choice",
            "name": "topic",
            "choice": "Monetary policy",
            "confidence": 0.98,
            "probabilities": [
                {"value": "Stock market", "probability": 0.02},
                {"value": "Monetary policy", "probability": 0.98},
            ],
            "label_mass": 0.91,
        },
        {"type": "refusal", "name": "easing", "reason": "this model answers by its own labels only"},
    ],
    "truncated": False,
    "usage": {
        "input_tokens": 29,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 32,
    },
}
NAMED = COMMON | {
    "id": "sys_NTyrHjeuaUD_ff63BXaSRg",
    "answers": {
        "topic": {
            "type": "choice",
            "choice": "Monetary policy",
            "confidence": 0.98,
            "probabilities": {"Stock market": 0.02, "Monetary policy": 0.98},
            "label_mass": 0.91,
        }
    },
    "truncated": False,
    "usage": {"input_tokens": 29, "output_tokens": 3},
}
CARD = {"name": "news-classifier", "description": "Revision 5f1c2e.", "release_date": "1970-01-01"}

EXAMPLES: dict[str, list[Any]] = {
    "ClassifyRequest": [
        {"input": NEWS},
        {"input": [NEWS, "Brent crude climbed above $90"], "priority": "bulk"},
    ],
    "ChatRequest": [ASK],
    "CompletionRequest": [WRITE],
    "ClassifyJob": [{"endpoint": "/v1/classify", "input": NEWS}],
    "ChatJob": [ASK | {"endpoint": "/v1/chat/completions"}],
    "CompletionJob": [WRITE | {"endpoint": "/v1/completions"}],
    "DecisionRequest": [DECIDE],
    "DecisionJob": [DECIDE | {"endpoint": "/v1/decisions"}],
    "SystemOneRequest": [SYSTEM_ONE],
    "SystemOneJob": [SYSTEM_ONE | {"endpoint": "/v1/systemone"}],
    "Decision": [DECISION],
    "SystemOne": [NAMED],
    "Classification": [CLASSIFICATION],
    "ChatClassification": [COMMON | CHAT | {"classification": LABELS}],
    "ChatCompletion": [WRITTEN | CHAT],
    "Completion": [
        WRITTEN
        | {
            "id": "cmpl-NTyrHjeuaUD_ff63BXaSRg",
            "object": "text_completion",
            "choices": [{"index": 0, "text": "下调", "finish_reason": "stop", "logprobs": None}],
            "usage": USAGE,
        }
    ],
    "JobStatus": [QUEUED, DONE | {"result": CLASSIFICATION}],
    "JobList": [{"object": "list", "data": [DONE], "has_more": False}],
    "Model": [MODEL],
    "FileUpload": [{"purpose": "batch", "file": "…"}],
    "FileObject": [FILE],
    "FileList": [
        {"object": "list", "data": [FILE], "first_id": FILE["id"], "last_id": FILE["id"], "has_more": False}
    ],
    "FileDeleted": [{"id": FILE["id"], "object": "file", "deleted": True}],
    "BatchRequest": [BEGINNING, BEGINNING | {"metadata": {"run": "morning"}}],
    "Batch": [BATCH],
    "BatchList": [
        {
            "object": "list",
            "data": [BATCH],
            "first_id": BATCH["id"],
            "last_id": BATCH["id"],
            "has_more": False,
        }
    ],
    "ModelList": [{"object": "list", "data": [MODEL], "models": [CARD]}],
    "NotReady": [{"status": "not ready", "missing": ["no worker has its model loaded"]}],
    "Accepting": [{"status": "draining"}],
    "Stats": [STATS],
}
"""Name of the schema -> examples."""

PATHS: dict[str, dict[str, Any]] = {
    "job_id": {"description": "The id of one of the caller's jobs.", "example": JOB},
    "file_id": {"description": "The id of one of the caller's files.", "example": FILE["id"]},
    "batch_id": {"description": "The id of one of the caller's batches.", "example": BATCH["id"]},
    "model_id": {"description": "An id of GET /v1/models.", "example": "news-classifier"},
    "name": {"description": "A file of the page.", "example": "swagger-ui.css"},
}
"""Path parameter -> what it is."""
