from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest

from honed.errors import ServiceError, UsageError
from honed.models.registry import load
from honed.models.remote import RemoteEmbedder
from honed.protocols import Embedder

KEY = "sk-secret-for-the-test"


class Server:
    """An /embeddings server on loopback: the vector of a text is [its length, 1, 0]. `script` goes first."""

    def __init__(self) -> None:
        self.script: list[tuple[int, Any]] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.requests.append({"path": self.path, **body})
                outer.keys.append(self.headers.get("authorization"))
                status, answer = outer.script.pop(0) if outer.script else (200, outer.answer(body["input"]))
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("retry-after", "0")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    @staticmethod
    def answer(texts: list[str]) -> dict[str, Any]:
        rows = [{"index": number, "embedding": [len(text), 1, 0]} for number, text in enumerate(texts)]
        return {"data": rows[::-1]}


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


def make(server: Server, **options: Any) -> RemoteEmbedder:
    return RemoteEmbedder("m", base_url=server.url, first_wait=0.001, **options)


def test_batches_come_back_in_order_as_unit_vectors(server: Server) -> None:
    embedder = make(server, batch_size=2)
    vectors = embedder.encode_document(["a", "bb", "ccc", "dddd", "eeeee"])
    np.testing.assert_allclose(vectors[:, 0] / vectors[:, 1], [1, 2, 3, 4, 5], rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert [len(request["input"]) for request in server.requests] == [2, 2, 1]
    assert {(request["path"], request["model"]) for request in server.requests} == {("/v1/embeddings", "m")}
    assert isinstance(embedder, Embedder)


def test_the_dimension_is_learned_once(server: Server) -> None:
    embedder = make(server)
    assert embedder.dimension == 3
    assert embedder.encode_query([]).shape == (0, 3)
    assert embedder.space == make(server).space != RemoteEmbedder("n", base_url=server.url).space
    assert len(server.requests) == 3


def test_a_busy_server_is_asked_again(server: Server) -> None:
    server.script = [(429, {}), (503, {}), (500, b"oops")]
    assert make(server).encode_query(["abc"]).shape == (1, 3)
    assert len(server.requests) == 4


def test_a_server_that_stays_broken_is_an_error_with_a_hint(server: Server) -> None:
    server.script = [(500, {})] * 10
    with pytest.raises(ServiceError, match="status 500") as caught:
        make(server).encode_query(["abc"])
    assert caught.value.hint
    assert len(server.requests) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_refusal_is_not_repeated(server: Server, status: int) -> None:
    server.script = [(status, {})]
    with pytest.raises(ServiceError):
        make(server).encode_query(["abc"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"not json",
        [],
        {},
        {"data": []},
        {"data": [{"index": 0}]},
        {"data": [{"index": 0, "embedding": [0, 0, 0]}]},
        {"data": [{"index": 0, "embedding": ["x"]}]},
        {"data": [{"index": 0, "embedding": [1, 2]}, {"index": 1, "embedding": [1]}]},
        b'{"data": [{"index": 0, "embedding": [NaN, 1]}]}',
    ],
)
def test_an_answer_that_is_no_vector_is_an_error(server: Server, answer: Any) -> None:
    server.script = [(200, answer)]
    with pytest.raises(ServiceError, match="one vector"):
        make(server).encode_query(["abc"])


def test_nobody_there_is_an_error() -> None:
    with pytest.raises(ServiceError, match="ConnectError"):
        RemoteEmbedder("m", base_url="http://127.0.0.1:9", first_wait=0.001).encode_query(["abc"])


def test_the_key_comes_from_the_environment_and_is_never_shown(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    embedder = make(server, api_key_env="MY_KEY")
    with caplog.at_level(logging.DEBUG):
        embedder.encode_query(["abc"])
        server.script = [(401, {})]
        with pytest.raises(ServiceError) as caught:
            embedder.encode_query(["abc"])
    assert server.keys[0] == f"Bearer {KEY}"
    assert caught.value.hint == "export MY_KEY=..."
    shown = f"{caplog.text} {caught.value} {embedder!r} {vars(embedder)}"
    assert KEY not in shown
    monkeypatch.delenv("MY_KEY")
    make(server, api_key_env="MY_KEY").encode_query(["abc"])
    assert server.keys[-1] is None


def test_specs_name_model_and_address(server: Server) -> None:
    embedder = load("embedder", f"openai:bge-m3@{server.url}", cache_dir="ignored", threads=2)
    assert embedder.model == "bge-m3"
    assert embedder.encode_query(["a"]).shape == (1, 3)


@pytest.mark.parametrize("spec", ["openai:", "openai:m@ftp://x", "openai:m@http://user:password@host/v1"])
def test_a_spec_without_model_or_address_is_refused(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("embedder", spec)
    assert "password" not in caught.value.message
