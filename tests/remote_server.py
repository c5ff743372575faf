"""A small server that speaks OpenAI's completions, with token prompts, echo and streams, on a real model.

python -m tests.remote_server MODEL_FOLDER PORT
Plain transformers without a cache: slow, and beyond doubt. A prompt of more than 400 tokens is refused.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import torch
from flask import Flask, Response, request
from transformers import AutoModelForCausalLM, AutoTokenizer

LONGEST = 400


def serve(folder: str, port: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    app = Flask("remote")

    @app.post("/v1/completions")
    def complete() -> Any:
        asked = request.get_json()
        prompts = asked["prompt"] if isinstance(asked["prompt"][0], list) else [asked["prompt"]]
        if max(map(len, prompts)) > LONGEST:
            return {"error": {"message": "prompt too long", "type": "invalid_request_error"}}, 400
        if asked["model"] != "tiny" or request.headers["Authorization"] != "Bearer sesame":
            return {"error": {"message": "no such model or key"}}, 404
        if asked.get("stream"):
            return Response(write(prompts[0], asked), content_type="text/event-stream")
        choices = [
            {
                "index": place,
                "text": "",
                "finish_reason": "length",
                "logprobs": {
                    "tokens": [],
                    "token_logprobs": echo(ids),
                    "top_logprobs": [],
                    "text_offset": [],
                },
            }
            for place, ids in enumerate(prompts)
        ]
        return {"id": "x", "object": "text_completion", "created": 0, "model": "tiny", "choices": choices}

    @torch.inference_mode()
    def echo(ids: list[int]) -> list[float | None]:
        """log P of each token of the prompt; none for the first."""
        log_p = model(torch.tensor([ids])).logits[0].log_softmax(-1)
        return [None, *(float(log_p[place, token]) for place, token in enumerate(ids[1:]))]

    def write(ids: list[int], asked: dict[str, Any]) -> Iterator[str]:
        written: list[int] = []
        text, reason = "", "length"
        while len(written) < asked["max_tokens"]:
            with torch.inference_mode():
                log_p = model(torch.tensor([[*ids, *written]])).logits[0, -1].log_softmax(-1)
            token = int(log_p.argmax())
            if token == tokenizer.eos_token_id:
                reason = "stop"
                break
            written.append(token)
            now = tokenizer.decode(written)
            new, text = (now[len(text) :], now) if not now.endswith("\ufffd") else ("", text)
            logprobs = {
                "tokens": [tokenizer.decode([token])],
                "token_logprobs": [float(log_p[token])],
                "top_logprobs": None,
                "text_offset": [0],
            }
            yield event([{"index": 0, "text": new, "finish_reason": None, "logprobs": logprobs}])
        rest = tokenizer.decode(written)[len(text) :]
        yield event([{"index": 0, "text": rest, "finish_reason": reason, "logprobs": None}])
        total = len(ids) + len(written)
        usage = {"prompt_tokens": len(ids), "completion_tokens": len(written), "total_tokens": total}
        yield event([], usage=usage)
        yield "data: [DONE]\n\n"

    def event(choices: list[dict[str, Any]], **more: Any) -> str:
        chunk = {"id": "x", "object": "text_completion", "created": 0, "model": "tiny", "choices": choices}
        return f"data: {json.dumps(chunk | more)}\n\n"

    app.run("127.0.0.1", port, threaded=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(sys.argv[1], int(sys.argv[2]))
