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
    "queue_ms": TIMES,
    "inference_ms": TIMES,
    "workers": [WORKER],
}
ASK = {"model": "news-classifier", "messages": [{"role": "user", "content": NEWS}]}
WRITE = {"model": "newsroom-mini", "prompt": "央行宣布", "max_tokens": 16, "temperature": 0}

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
    "ModelList": [{"object": "list", "data": [MODEL]}],
    "NotReady": [{"status": "not ready", "missing": ["no worker has its model loaded"]}],
    "Accepting": [{"status": "draining"}],
    "Stats": [STATS],
}
"""Name of the schema -> examples."""

PATHS: dict[str, dict[str, Any]] = {
    "job_id": {"description": "The id of one of the caller's jobs.", "example": JOB},
    "model_id": {"description": "An id of GET /v1/models.", "example": "news-classifier"},
    "name": {"description": "A file of the page.", "example": "swagger-ui.css"},
}
"""Path parameter -> what it is."""
