"""What becomes of a request when the server refuses, is slow, is away, or is no Proton Server."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from client.answering import App, Environ, answer, answering, listening, unused_url
from gluon.client.errors import (
    AnswerLost,
    ApiError,
    Changed,
    ClientError,
    Conflict,
    FieldError,
    InvalidFields,
    InvalidRequest,
    NotFound,
    ServerUnreachable,
    Unavailable,
    UnexpectedAnswer,
)
from gluon.client.session import DEFAULT_TIMEOUT, ProtonSession

PROBLEM = "application/problem+json"
BIND_TIMEOUT = 8.0


def error_of(app: App) -> ClientError:
    with answering(app) as url, pytest.raises(ClientError) as caught:
        ProtonSession(url).request("GET", "/proton")
    return caught.value


def test_a_body_goes_out_as_json_and_the_answer_comes_back_as_json() -> None:
    asked: list[tuple[str, str, str, bytes]] = []

    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], body))
        start_response("201 Created", [("Content-Type", "application/json")])
        return ['{"name": "Zürich"}'.encode()]

    with answering(app) as url:
        document = ProtonSession(url).request("POST", "/a/b", query=[("x", "1 2")], body={"name": "Zürich"})

    assert document == {"name": "Zürich"}
    method, path, query, body = asked[0]
    assert (method, path, query, json.loads(body)) == ("POST", "/a/b", "x=1+2", {"name": "Zürich"})


def test_an_empty_answer_is_none() -> None:
    with answering(answer("204 No Content", b"")) as url:
        assert ProtonSession(url).request("DELETE", "/x") is None


def test_a_url_may_have_a_path_of_its_own_and_end_in_a_slash() -> None:
    def app(environ: Environ, start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return [json.dumps(environ["PATH_INFO"]).encode()]

    with answering(app) as url:
        assert ProtonSession(f"{url}/network/").request("GET", "/proton") == "/network/proton"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("400 Bad Request", InvalidFields),
        ("403 Forbidden", ApiError),
        ("404 Not Found", NotFound),
        ("409 Conflict", Conflict),
        ("412 Precondition Failed", Changed),
        ("422 Unprocessable Content", InvalidFields),
        ("500 Internal Server Error", ApiError),
        ("503 Service Unavailable", Unavailable),
    ],
)
def test_each_refusal_that_a_caller_handles_differently_has_its_class(
    status: str, kind: type[ApiError]
) -> None:
    error = error_of(answer(status, {"title": "T", "detail": "what is wrong"}, Content_Type=PROBLEM))
    assert type(error) is kind
    assert isinstance(error, ApiError)
    assert (error.status, error.title, error.detail) == (int(status[:3]), "T", "what is wrong")
    assert str(error) == "what is wrong"


def test_wrong_fields_are_all_there_and_all_on_the_one_line() -> None:
    problem = {
        "detail": "2 fields are wrong",
        "errors": [
            {"field": "mtu", "message": "must be an integer"},
            {"field": "name", "message": "too long"},
        ],
    }
    error = error_of(answer("422 Unprocessable Content", problem, Content_Type=PROBLEM))
    assert isinstance(error, InvalidFields)
    assert error.errors == (FieldError("mtu", "must be an integer"), FieldError("name", "too long"))
    assert str(error) == "2 fields are wrong: mtu: must be an integer; name: too long"


def test_a_conflict_names_who_refers_to_the_object() -> None:
    referrers = [{"object": "Interface", "key": f"i{n}", "attribute": "port_id"} for n in range(7)]
    problem = {"detail": "the port is in use", "referrers": referrers}
    error = error_of(answer("409 Conflict", problem, Content_Type=PROBLEM))
    assert isinstance(error, Conflict)
    assert [r["key"] for r in error.referrers] == [f"i{n}" for n in range(7)]
    assert str(error) == (
        "the port is in use: referred to by Interface i0, Interface i1, Interface i2, Interface i3,"
        " Interface i4 and 2 more"
    )


def test_a_servers_own_mistake_carries_the_request_id_for_its_log() -> None:
    problem = {"detail": "the server made a mistake", "request_id": "req-7"}
    error = error_of(answer("500 Internal Server Error", problem, Content_Type=PROBLEM))
    assert isinstance(error, ApiError)
    assert error.request_id == "req-7"
    assert str(error) == "the server made a mistake: request req-7"


def test_a_busy_server_says_when_to_try_again() -> None:
    problem = {"detail": "the database can't be used"}
    error = error_of(answer("503 Service Unavailable", problem, Content_Type=PROBLEM, Retry_After="1"))
    assert isinstance(error, Unavailable)
    assert error.retry_after == "1"


@pytest.mark.parametrize(
    "problem", [{}, {"errors": "no list", "referrers": [1]}, {"errors": [{}], "detail": None}]
)
def test_a_problem_document_with_parts_missing_is_still_a_refusal(problem: dict[str, Any]) -> None:
    error = error_of(answer("409 Conflict", problem, Content_Type=PROBLEM))
    assert isinstance(error, Conflict)
    assert "409" in str(error)


@pytest.mark.parametrize("body", [b"<html>Bad gateway</html>", b"", b"[]", b"[" * 100_000])
def test_an_error_page_of_something_else_is_told_from_a_refusal(body: bytes) -> None:
    error = error_of(answer("502 Bad Gateway", body, Content_Type="text/html"))
    assert isinstance(error, UnexpectedAnswer)
    assert "502 Bad Gateway" in str(error)


@pytest.mark.parametrize("body", [b"<html>Welcome</html>", b"{", b"\xff\xfe", b"[" * 100_000])
def test_an_answer_that_is_no_json_names_the_url(body: bytes) -> None:
    with answering(answer("200 OK", body)) as url, pytest.raises(UnexpectedAnswer, match=url):
        ProtonSession(url).request("GET", "/proton")


def test_a_refused_connection_names_the_url_and_what_to_do() -> None:
    url = unused_url()
    with pytest.raises(ServerUnreachable) as caught:
        ProtonSession(url).request("GET", "/proton")
    assert str(caught.value) == (
        f"no Proton Server can be reached at {url} (Connection refused): start one, or name another by --url,"
        " or by OS_PROTON_HOST and OS_PROTON_PORT"
    )


def test_a_host_that_does_not_exist_is_unreachable() -> None:
    with pytest.raises(ServerUnreachable, match=r"nowhere\.invalid"):
        ProtonSession("http://nowhere.invalid:2705", timeout=3).request("GET", "/proton")


def test_a_server_that_speaks_no_tls_is_unreachable_by_https() -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url, pytest.raises(ServerUnreachable, match="TLS"):
        ProtonSession(url.replace("http:", "https:")).request("GET", "/proton")


def test_silence_ends_with_the_timeout_and_does_not_claim_that_nothing_happened() -> None:
    with listening(None) as url, pytest.raises(AnswerLost, match=r"within 0\.2 s: look whether it was done"):
        ProtonSession(url, timeout=0.2).request("POST", "/x", body={})


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
def test_a_connection_that_ends_before_the_answer_does_not_claim_that_nothing_happened(sent: bytes) -> None:
    with listening(sent) as url, pytest.raises(AnswerLost, match="closed the connection"):
        ProtonSession(url).request("POST", "/x", body={})


def test_noise_instead_of_http_is_an_error_of_ours() -> None:
    with listening(b"220 mail.example ESMTP\r\n") as url, pytest.raises(ClientError):
        ProtonSession(url).request("GET", "/x")


def test_the_default_timeout_leaves_a_bind_its_time() -> None:
    assert DEFAULT_TIMEOUT > 2 * BIND_TIMEOUT


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:2705", "ftp://a", "http://", "http://a:b", "http://u:p@h", "http://h?q", "http://[::"],
)
def test_what_is_no_url_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="not the URL of a server"):
        ProtonSession(url)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", unused_url())
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with answering(answer("200 OK", {})) as url:
        assert ProtonSession(url).request("GET", "/proton") == {}


def test_text_that_is_no_utf8_is_refused_before_it_is_sent() -> None:
    with answering(answer("200 OK", {})) as url, pytest.raises(InvalidRequest, match="UTF-8"):
        ProtonSession(url).request("GET", "/x", query=[("name", "\udcff")])
    with answering(answer("200 OK", {})) as url, pytest.raises(InvalidRequest, match="UTF-8"):
        ProtonSession(url).request("POST", "/x", body={"name": "\udcff"})


def test_what_json_cannot_hold_is_refused_before_it_is_sent() -> None:
    with answering(answer("200 OK", {})) as url, pytest.raises(InvalidRequest, match="JSON"):
        ProtonSession(url).request("POST", "/x", body={"number": float("nan")})


@pytest.mark.parametrize("trace", ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", ""])
def test_a_trace_of_the_environment_goes_with_each_request(
    monkeypatch: pytest.MonkeyPatch, trace: str
) -> None:
    sent: list[str | None] = []

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        sent.append(environ.get("HTTP_TRACEPARENT"))
        return answer("200 OK", {})(environ, start_response)

    monkeypatch.setenv("TRACEPARENT", trace)
    with answering(app) as url:
        session = ProtonSession(url)
        session.request("GET", "/")
        session.close()
    assert sent == [trace or None]
