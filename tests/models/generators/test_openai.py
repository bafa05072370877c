from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from honed.errors import ServiceError, UsageError
from honed.models.generators import openai
from honed.models.generators.openai import OpenAICompatible
from honed.models.registry import load, parse
from honed.protocols import Generator
from honed.types import Context, Passage

Behave = Callable[["Handler"], None]
CONTEXTS = [Context(Passage("p", "d", 0, "Gout", "Gout is a kind of arthritis."), 1.0, 1)]
KEY = "sk-very-secret-key"


class Handler(BaseHTTPRequestHandler):
    """Does what the test told its server to do, request by request; the last one repeats."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server = self.server
        assert isinstance(server, Server)
        server.requests.append((self.path, dict(self.headers), self.body))
        server.behaviours[min(len(server.requests), len(server.behaviours)) - 1](self)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        return

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def stream(self, *lines: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("connection", "close")
        self.end_headers()
        for line in lines:
            self.wfile.write(line.encode() + b"\n\n")
            self.wfile.flush()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, dict[str, str], dict[str, object]]] = []
        self.behaviours: list[Behave] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


def chunk(text: str) -> str:
    return "data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]})


def good(handler: Handler) -> None:
    role = 'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}'
    usage = 'data: {"choices":[],"usage":{"total_tokens":9}}'
    handler.stream(": ping", role, chunk("Gout is "), chunk("arthritis [1]. é"), usage, "data: [DONE]")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HONED_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(openai, "LONGEST_WAIT", 0.01)
    running = Server()
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def ask(server: Server, *behaviours: Behave, timeout: float = 5.0, max_tokens: int = 50) -> str:
    server.behaviours = list(behaviours)
    generator = OpenAICompatible("tiny:1b", url=server.url, timeout=timeout)
    return "".join(generator.generate("What is gout?", CONTEXTS, max_tokens=max_tokens))


def test_an_answer_is_streamed(server: Server) -> None:
    assert ask(server, good) == "Gout is arthritis [1]. é"
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert body["model"] == "tiny:1b"
    assert body["stream"] is True
    assert body["max_tokens"] == 50
    assert body["temperature"] == 0
    assert "Gout is a kind of arthritis." in str(body["messages"])
    assert "Authorization" not in headers


def test_pieces_come_as_they_are_written(server: Server) -> None:
    go_on = threading.Event()

    def slow(handler: Handler) -> None:
        handler.stream(chunk("first"))
        go_on.wait(5)
        handler.wfile.write(chunk(" second").encode() + b"\n\n")

    server.behaviours = [slow]
    pieces = OpenAICompatible("m", url=server.url).generate("q", CONTEXTS)
    assert next(pieces) == "first"
    go_on.set()
    assert next(pieces) == " second"


def test_a_server_that_does_not_stream_will_do(server: Server) -> None:
    body = json.dumps({"choices": [{"message": {"role": "assistant", "content": "Whole."}}]}).encode()
    assert ask(server, lambda handler: handler.reply(200, body)) == "Whole."


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_tried_again(server: Server, status: int) -> None:
    assert ask(server, lambda handler: handler.reply(status, b"{}", retry_after="0"), good).startswith("Gout")
    assert len(server.requests) == 2


def test_it_gives_up_after_some_tries(server: Server) -> None:
    with pytest.raises(ServiceError, match="answered 500: out of memory") as caught:
        ask(server, lambda handler: handler.reply(500, b'{"error":{"message":"out of memory"}}'))
    assert len(server.requests) == 1 + openai.RETRIES
    assert "tiny:1b" in caught.value.hint


def test_a_wrong_key_is_not_tried_again_and_not_shown(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HONED_API_KEY", KEY)
    with pytest.raises(ServiceError) as caught:
        ask(server, lambda handler: handler.reply(401, json.dumps({"error": f"bad key {KEY}"}).encode()))
    assert len(server.requests) == 1
    assert caught.value.hint == "Set HONED_API_KEY."
    assert "bad key ***" in caught.value.message


def test_a_missing_model_is_said(server: Server) -> None:
    with pytest.raises(ServiceError, match="404: model not found"):
        ask(server, lambda handler: handler.reply(404, b'{"error": "model not found"}'))


def test_a_stream_that_breaks_off_is_an_error_after_what_came(server: Server) -> None:
    def broken(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("content-length", "9999")
        handler.end_headers()
        handler.wfile.write(chunk("Gout is").encode() + b"\n\n")

    server.behaviours = [broken]
    pieces = OpenAICompatible("m", url=server.url).generate("q", CONTEXTS)
    assert next(pieces) == "Gout is"
    with pytest.raises(ServiceError, match="broke off"):
        next(pieces)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behave",
    [
        lambda handler: handler.reply(200, b"<html>hello</html>", "text/html"),
        lambda handler: handler.reply(200, b"[1, 2]"),
        lambda handler: handler.reply(200, b"{broken"),
        lambda handler: handler.reply(200, b'{"choices": 3}'),
        lambda handler: handler.stream("data: {not json"),
        lambda handler: handler.stream('data: "text"'),
        lambda handler: handler.stream("data: " + "[" * 100_000),
        lambda handler: handler.stream('data: {"choices":[{"delta":3}]}'),
        lambda handler: handler.stream('data: {"error":{"message":"overloaded"}}'),
        lambda handler: handler.stream("data: [DONE]"),
        lambda handler: handler.reply(302, b"", location="http://127.0.0.1:1/steal"),
    ],
)
def test_garbage_is_an_outside_failure(server: Server, behave: Behave) -> None:
    with pytest.raises(ServiceError):
        ask(server, behave)


def test_silence_is_not_waited_for(server: Server) -> None:
    release = threading.Event()
    with pytest.raises(ServiceError, match="cannot be reached"):
        ask(server, lambda _: release.wait(5) and None, timeout=0.1)
    release.set()


def test_an_endless_answer_is_cut(server: Server) -> None:
    assert len(ask(server, lambda handler: handler.stream(*[chunk("x" * 100)] * 50), max_tokens=5)) <= 200


def test_nobody_there() -> None:
    with pytest.raises(ServiceError, match="cannot be reached"):
        list(OpenAICompatible("m", url="http://127.0.0.1:9/v1").generate("q", CONTEXTS))


def test_a_proxy_of_the_environment_is_not_used(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert ask(server, good).startswith("Gout")


def test_whose_key_goes_where(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "cloud")
    ask(server, good)
    assert server.requests[-1][1]["Authorization"] == "Bearer cloud"
    monkeypatch.setenv("HONED_API_KEY", "own")
    ask(server, good)
    assert server.requests[-1][1]["Authorization"] == "Bearer own"
    monkeypatch.delenv("HONED_API_KEY")
    assert openai._key("http", "gpu.example.com") == ""
    assert openai._key("https", "gpu.example.com") == "cloud"


def test_the_key_is_nowhere_to_be_read(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HONED_API_KEY", KEY)
    with caplog.at_level(logging.DEBUG):
        ask(server, good)
    generator = OpenAICompatible("m", url="http://me:word@127.0.0.1:9/v1")
    assert KEY not in caplog.text
    assert KEY not in repr(generator)
    assert generator.name == "m@127.0.0.1:9"


def test_the_spec_is_model_at_address() -> None:
    generator = load("generator", "openai:llama3.2:1b@http://localhost:11434/v1", threads=2)
    assert isinstance(generator, Generator)
    assert generator.name == "llama3.2:1b@localhost:11434"
    assert parse("generator", "openai:m@http://u:p@h/v1").revision == "http://u:p@h/v1"


@pytest.mark.parametrize(
    "spec", ["openai:m", "openai:@http://h/v1", "openai:m@ftp://h/v1", "openai:m@h:80/v1", "openai:m@http://h:99999/v1"]
)
def test_a_bad_spec_says_how_it_is_written(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        load("generator", spec)
    assert caught.value.hint == "openai:MODEL@http://host:port/v1"
