"""Any chat server that speaks the OpenAI protocol: vLLM, Ollama, llama.cpp, a cloud."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from honed.errors import ServiceError, UsageError
from honed.models.generators.prompt import Message, Reading, chat_messages

if TYPE_CHECKING:
    import httpx2

    from honed.models.registry import Spec
    from honed.types import Context

READING = Reading(passages=8, words=220, cites=True)
RETRIES = 2
LONGEST_WAIT = 10.0
LONGEST_ANSWER = 300.0
CHARACTERS_A_TOKEN = 16
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class OpenAICompatible:
    """Answers from contexts with a model behind `URL/chat/completions`, streamed as server-sent events.

    The key comes from HONED_API_KEY, or from OPENAI_API_KEY when the address is https or this machine, so that a cloud
    key never travels in clear text. It is sent to this address only (redirects are not followed) and appears in no
    message. Proxy variables of the environment are not read.

    Args:
        name: The model's name on the server.
        url: Address up to and including the version, such as `http://127.0.0.1:11434/v1`.
        timeout: Seconds to wait for the next piece; connecting gets at most 5.
        reading: How much of the contexts goes into the prompt.

    Raises:
        UsageError: The name is empty or the address is not http or https.
    """

    def __init__(self, name: str, *, url: str, timeout: float = 120.0, reading: Reading | None = None) -> None:
        scheme, host, port = _address(url)
        if not name or not host:
            raise UsageError("That names no model on a server.", hint="openai:MODEL@http://host:port/v1")
        self._model = name
        self._url = url.rstrip("/")
        self._host = f"{host}:{port}" if port else host
        self._key = _key(scheme, host)
        self._timeout = timeout
        self._reading = reading or READING

    @classmethod
    def from_spec(cls, spec: Spec, *, timeout: float = 120.0, **_: Any) -> OpenAICompatible:
        """Build from `openai:MODEL@URL`; options of other backends are ignored."""
        return cls(spec.name, url=spec.revision, timeout=timeout)

    @property
    def name(self) -> str:
        """Model and host, without user names or keys that the address may hold."""
        return f"{self._model}@{self._host}"

    def __repr__(self) -> str:
        return f"OpenAICompatible({self.name!r})"

    def generate(self, question: str, contexts: Sequence[Context], *, max_tokens: int = 160) -> Iterator[str]:
        """Stream the answer. A request is repeated after 429, 5xx or a lost connection, but never once text has come.

        Raises:
            ServiceError: The server cannot be reached, refuses, breaks off or answers with something else.
        """
        import httpx2

        messages = chat_messages(question, contexts, reading=self._reading)
        timeout = httpx2.Timeout(self._timeout, connect=min(5.0, self._timeout))
        with httpx2.Client(timeout=timeout, trust_env=False) as client:
            for attempt in range(RETRIES + 1):
                try:
                    yield from self._attempt(client, messages, max_tokens)
                    return
                except _Passing as failure:
                    if attempt == RETRIES:
                        raise failure.error from failure.__cause__
                    time.sleep(min(failure.wait or 0.5 * 2**attempt, LONGEST_WAIT))

    def _attempt(self, client: httpx2.Client, messages: Sequence[Message], max_tokens: int) -> Iterator[str]:
        """One request. `_Passing` says that trying again is allowed: nothing has been handed over yet."""
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        body = {
            "model": self._model,
            "messages": list(messages),
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
        }
        written = 0
        try:
            url = f"{self._url}/chat/completions"
            with client.stream("POST", url, json=body, headers=headers) as response:
                self._check(response)
                for piece in _pieces(response):
                    written += len(piece)
                    yield piece
                    if written > max_tokens * CHARACTERS_A_TOKEN:
                        return
        except httpx2.RequestError as error:
            what = "broke off in the middle of the answer" if written else "cannot be reached"
            failure = self._failure(f"{what} ({type(error).__name__})")
            raise (failure if written else _Passing(failure)) from error
        except (ValueError, RecursionError) as error:
            raise self._failure(f"did not answer with a chat stream: {error}") from error
        if not written:
            raise self._failure("answered with no text")

    def _check(self, response: httpx2.Response) -> None:
        """Turn an HTTP error into ours; 429 and 5xx may pass."""
        status = response.status_code
        if status == 200:
            return
        if status in (401, 403):
            raise self._failure(f"refuses the key ({status}): {_detail(response)}", hint="Set HONED_API_KEY.")
        failure = self._failure(f"answered {status}: {_detail(response)}")
        if status == 429 or status >= 500:
            raise _Passing(failure, wait=_retry_after(response))
        raise failure

    def _failure(self, what: str, *, hint: str = "") -> ServiceError:
        """The error for a user; a server that repeats the key does not get it printed."""
        what = what.replace(self._key, "***") if self._key else what
        usual = f"Check that a server with the model '{self._model}' runs there, and how its address ends (/v1)."
        return ServiceError(f"{self._host} {what.rstrip(' :')}.", hint=hint or usual)


class _Passing(Exception):
    """A failure that may pass: try again after `wait` seconds."""

    def __init__(self, error: ServiceError, *, wait: float = 0.0) -> None:
        super().__init__(error.message)
        self.error = error
        self.wait = wait


def _address(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a web address; empty texts for anything else."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname
        return (parts.scheme, parts.hostname or "", parts.port) if good else ("", "", None)
    except ValueError:  # a port beyond 65535, half an IPv6 address
        return "", "", None


def _key(scheme: str, host: str) -> str:
    """The key for a server, or nothing."""
    if own := os.environ.get("HONED_API_KEY", "").strip():
        return own
    return os.environ.get("OPENAI_API_KEY", "").strip() if scheme == "https" or host in LOOPBACK else ""


def _pieces(response: httpx2.Response) -> Iterator[str]:
    """The text pieces of a reply, streamed or whole.

    Raises:
        ValueError: The reply is something else, or takes more than `LONGEST_ANSWER` seconds.
    """
    import httpx2

    if response.headers.get("content-type", "").startswith("application/json"):  # a server that does not stream
        yield _content(json.loads(response.read()), "message")
        return
    begin = time.monotonic()
    for event in httpx2.EventSource(response):
        if event.data.strip() == "[DONE]":
            return
        if time.monotonic() - begin > LONGEST_ANSWER:
            raise ValueError(f"it took more than {LONGEST_ANSWER:.0f} seconds")
        if piece := _content(json.loads(event.data), "delta"):
            yield piece


def _content(reply: Any, part: str) -> str:
    """The text of a chunk or message; empty for role and usage chunks."""
    if not isinstance(reply, dict):
        raise ValueError("a chunk is no JSON object")
    if reply.get("error"):
        raise ValueError(f"it reports {str(reply['error'])[:200]}")
    choices = reply.get("choices")
    if not isinstance(choices, list):
        raise ValueError("a chunk has no choices")
    if not choices:  # the chunk with the token counts
        return ""
    message = choices[0].get(part) if isinstance(choices[0], dict) else None
    if not isinstance(message, dict):
        raise ValueError(f"a choice has no {part}")
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _detail(response: httpx2.Response) -> str:
    """What an error reply says, at most 200 characters of it."""
    try:
        text = next(response.iter_text(4096), "")
        reply = json.loads(text)
        error = reply.get("error", reply) if isinstance(reply, dict) else reply
        message = error.get("message", "") if isinstance(error, dict) else str(error)
    except ValueError:
        return ""
    return " ".join(str(message).split())[:200]


def _retry_after(response: httpx2.Response) -> float:
    try:
        return max(0.0, float(response.headers.get("retry-after", "0")))
    except ValueError:
        return 0.0
