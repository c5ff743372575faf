"""Files of batches: whose they are, what is refused, how long they live."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api.batches.uploads import shown_name
from shared.redis_keys import Keys
from tests.api.batching import create, jsonl, rows, upload
from tests.services import Api, RedisServer, running

FILES = "/v1/files"


@pytest.fixture
def api(make_client: Callable[..., FlaskClient]) -> FlaskClient:
    return make_client(max_file_bytes=1_000_000, trusted_proxies="127.0.0.1")


def code(response) -> str:
    return response.get_json()["error"]["code"]


def test_what_is_uploaded_can_be_read_listed_downloaded_and_deleted(api: FlaskClient, tmp_path: Path):
    content = jsonl(rows(3))
    file = upload(api, content).get_json()
    assert (file["bytes"], file["purpose"], file["filename"]) == (len(content), "batch", "in.jsonl")
    assert file["expires_at"] - file["created_at"] == 2_592_000
    assert api.get(f"{FILES}/{file['id']}").get_json() == file
    downloaded = api.get(f"{FILES}/{file['id']}/content")
    assert (downloaded.get_data(), downloaded.content_length) == (content, len(content))
    assert api.get(FILES).get_json()["data"] == [file]
    assert api.delete(f"{FILES}/{file['id']}").get_json()["deleted"]
    assert code(api.get(f"{FILES}/{file['id']}")) == "file_not_found"
    assert list((tmp_path / "files").iterdir()) == []


def test_nobody_sees_or_changes_the_files_of_another(api: FlaskClient):
    file = upload(api, jsonl(rows(1))).get_json()["id"]
    other = {"X-Forwarded-For": "10.0.0.9"}
    paths = (f"{FILES}/{file}", f"{FILES}/{file}/content")
    assert [code(api.get(path, headers=other)) for path in paths] == ["file_not_found"] * 2
    assert code(api.delete(paths[0], headers=other)) == "file_not_found"
    body = {"input_file_id": file, "endpoint": "/v1/classify", "completion_window": "24h"}
    assert code(api.post("/v1/batches", json=body, headers=other)) == "file_not_found"
    assert api.get(FILES, headers=other).get_json()["data"] == []
    assert api.get(paths[0]).status_code == 200


def test_files_are_listed_by_page_in_both_orders_and_by_purpose(api: FlaskClient):
    files = [upload(api, jsonl(rows(1)), f"{n}").get_json()["id"] for n in range(3)]
    first = api.get(f"{FILES}?limit=2").get_json()
    assert ([file["id"] for file in first["data"]], first["has_more"]) == (files[:0:-1], True)
    rest = api.get(f"{FILES}?limit=2&after={first['last_id']}").get_json()
    assert ([file["id"] for file in rest["data"]], rest["has_more"]) == (files[:1], False)
    ordered = api.get(f"{FILES}?order=asc").get_json()
    assert [file["id"] for file in ordered["data"]] == files
    assert api.get(f"{FILES}?purpose=batch_output").get_json()["data"] == []


@pytest.mark.parametrize("query", ["limit=0", "limit=10001", "limit=x", "order=up", "after=file-unknown"])
def test_a_bad_query_names_its_field(api: FlaskClient, query: str):
    response = api.get(f"{FILES}?{query}")
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, query.partition("=")[0])


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": "assistants"}, "purpose"),
        ({"expires_after[anchor]": "created_at", "expires_after[seconds]": "60"}, "expires_after.seconds"),
        ({"expires_after[anchor]": "last_used", "expires_after[seconds]": "3600"}, "expires_after.anchor"),
        ({"expires_after": "3600"}, "expires_after"),
        ({"expires_after": "3600", "expires_after[seconds]": "3600"}, "expires_after"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_field_is_refused_and_leaves_nothing(
    api: FlaskClient, tmp_path: Path, fields: dict, param: str
):
    response = upload(api, jsonl(rows(1)), **fields)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, param)
    assert list((tmp_path / "files").iterdir()) == []


def test_a_client_may_ask_for_a_shorter_life_but_not_for_a_longer_one(make_client):
    api = make_client(file_ttl=7200)
    asked = {"expires_after[anchor]": "created_at"}
    for seconds, kept in (("3600", 3600), ("86400", 7200)):
        file = upload(api, b"x", **asked, **{"expires_after[seconds]": seconds}).get_json()
        assert file["expires_at"] - file["created_at"] == kept


def test_what_is_no_upload_is_refused(api: FlaskClient):
    assert code(api.post(FILES, json={"purpose": "batch"})) == "invalid_form"
    assert (
        code(api.post(FILES, data={"purpose": "batch"}, content_type="multipart/form-data"))
        == "missing_field"
    )
    assert code(upload(api, b"")) == "empty_input"
    cut = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nabc'
    response = api.post(FILES, data=cut, content_type="multipart/form-data; boundary=b")
    assert response.status_code == 400


def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(api: FlaskClient, tmp_path: Path):
    for size in (1_000_001, 3_000_000):  # beyond the file's limit; beyond the body's
        response = upload(api, b"x" * size)
        assert (response.status_code, code(response)) == (413, "file_too_large")
    assert upload(api, b"x" * 1_000_000).status_code == 200
    assert len(list((tmp_path / "files").iterdir())) == 1


def test_uploads_do_not_lift_the_limit_of_other_routes(make_client):
    api = make_client(max_waiting=1, max_characters=100)
    assert upload(api, b"x" * 600_000).status_code == 200
    assert code(api.post("/v1/classify", data=b"x" * 600_000)) == "body_too_large"


def test_all_files_together_have_a_bound(make_client):
    api = make_client(files_bytes=1000)
    assert upload(api, b"x" * 900).status_code == 200
    assert upload(api, b"x" * 200).status_code == 200  # it fits when it begins
    response = upload(api, b"x")
    assert (response.status_code, code(response)) == (507, "storage_full")
    assert response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    "name, shown",
    [
        ("../../etc/passwd", "passwd"),
        ("新闻.jsonl", "新闻.jsonl"),
        ("..", ".."),
    ],
)
def test_names_of_clients_are_shown_and_are_no_paths(api: FlaskClient, tmp_path: Path, name: str, shown: str):
    file = upload(api, b"x", name).get_json()
    assert file["filename"] == shown
    assert [path.name for path in (tmp_path / "files").iterdir()] == [file["id"]]


def test_a_name_is_shown_without_folders_and_control_characters():
    assert [shown_name(name) for name in ("C:\\news\\in.jsonl", "新\x00\n闻", "a/", "")] == [
        "in.jsonl",
        "新闻",
        "file",
        "file",
    ]


@pytest.mark.parametrize("name", ["feeder.lock", "..", "file-x", "%2e%2e%2fflower-auth"])
def test_what_is_no_id_is_no_file(api: FlaskClient, name: str):
    assert api.get(f"{FILES}/{name}/content").status_code == 404


def test_an_open_batch_keeps_its_input(api: FlaskClient):
    batch = create(api, jsonl(rows(1))).get_json()
    refused = api.delete(f"{FILES}/{batch['input_file_id']}")
    assert (refused.status_code, code(refused)) == (409, "file_in_use")
    assert refused.headers["x-should-retry"] == "false"


def test_the_sweep_takes_what_nobody_can_read_any_more(
    api: FlaskClient, redis: Redis, keys: Keys, tmp_path: Path
):
    """Expired, abandoned half-way, needed by an open batch although expired, and still to be read."""
    files = api.application.extensions["wiredesk"].files
    expired, needed, kept = [upload(api, b"x").get_json()["id"] for _ in range(3)]
    redis.delete(keys.file(expired), keys.file(needed))
    abandoned = tmp_path / "files" / "file-abandoned.upload"
    abandoned.touch()
    for path in (tmp_path / "files").iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    (tmp_path / "files" / "file-young.upload").touch()
    files.sweep({needed})
    assert {path.name for path in (tmp_path / "files").iterdir()} == {needed, kept, "file-young.upload"}


def test_a_large_upload_is_never_whole_in_memory(redis_server: RedisServer, redis: Redis, tmp_path: Path):
    """60 MB through gunicorn: the process grows by a small part of that, and other requests are answered."""
    import httpx2 as httpx

    def memory() -> int:
        pages = [Path(f"/proc/{pid}/status").read_text() for pid in workers]
        return max(int(text.partition("VmHWM:")[2].split()[0]) for text in pages)  # kB

    with running(Api(redis_server, tmp_path, data=tmp_path)) as api:
        children = Path(f"/proc/{api.process.pid}/task/{api.process.pid}/children").read_text()
        workers = [int(pid) for pid in children.split()]
        before = memory()
        content = b"x" * 999 + b"\n"
        form = {"file": ("in.jsonl", content * 60_000)}
        answer = httpx.post(f"{api.url}{FILES}", data={"purpose": "batch"}, files=form, timeout=60)
        assert answer.json()["bytes"] == 60_000_000, answer.text
        assert httpx.get(f"{api.url}{FILES}/{answer.json()['id']}/content").content == content * 60_000
        assert memory() - before < 20_000
