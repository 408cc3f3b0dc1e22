"""The error table, and everything that is not in it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from adapters.http.errors import CHALLENGES, TABLE
from domain import errors
from tests.http.fakes import ABSENT_ID, ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.http.conftest import Client
    from tests.http.fakes import FakeUseCases

URL = f"/api/v1/connections/{ID}"


def _below(error: type[errors.DomainError]) -> Iterator[type[errors.DomainError]]:
    for child in error.__subclasses__():
        yield child
        yield from _below(child)


def test_the_table_covers_exactly_the_errors_of_the_domain() -> None:
    assert set(TABLE) == {
        error for error in _below(errors.DomainError) if error.__module__ == errors.__name__
    }


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.InvalidInput(("name", "must be short")), 400, "BAD_REQUEST"),
        (errors.InvalidParameters(("accountId", "is required")), 400, "BAD_REQUEST"),
        (errors.ConnectionNotFound(), 404, "NOT_FOUND"),
        (errors.AuthorizationNotFound(), 404, "NOT_FOUND"),
        (errors.ActiveConnectionExists("stripe"), 400, "BAD_REQUEST"),
        (errors.IllegalTransition("pending", "refreshed"), 409, "CONFLICT"),
        (errors.ConcurrentChange(), 409, "CONFLICT"),
        (errors.RefreshNotPossible("no"), 400, "BAD_REQUEST"),
        (errors.RefreshRefused("no"), 500, "INTERNAL_ERROR"),
        (errors.AuthorizationFailed("access_denied"), 400, "BAD_REQUEST"),
        (errors.AuthorizationSuperseded(), 400, "BAD_REQUEST"),
        (errors.CredentialsRefused("no"), 400, "BAD_REQUEST"),
        (errors.TooManyAttempts(60), 429, "TOO_MANY_REQUESTS"),
        (errors.IdempotencyKeyReused(), 422, "UNPROCESSABLE_ENTITY"),
        (errors.Unauthenticated(), 401, "UNAUTHORIZED"),
        (errors.Forbidden(), 403, "FORBIDDEN"),
        (errors.Unavailable("later"), 503, "SERVICE_UNAVAILABLE"),
        (errors.StoreUnavailable(), 503, "SERVICE_UNAVAILABLE"),
        (errors.StoreRefused(), 503, "SERVICE_UNAVAILABLE"),
        (errors.GatewayUnavailable(), 503, "SERVICE_UNAVAILABLE"),
        (errors.GatewayTimeout(), 503, "SERVICE_UNAVAILABLE"),
        (errors.ProviderUnavailable("later"), 503, "SERVICE_UNAVAILABLE"),
        (errors.GatewayNonsense(), 502, "BAD_GATEWAY"),
        (errors.IntegrationMissing("stripe"), 502, "BAD_GATEWAY"),
        (errors.GrantNotFound(), 502, "BAD_GATEWAY"),
        (errors.CredentialsUnusable("no"), 502, "BAD_GATEWAY"),
        (TimeoutError(), 503, "SERVICE_UNAVAILABLE"),
        (ConnectionResetError(), 500, "INTERNAL_ERROR"),
        (KeyError("surprise"), 500, "INTERNAL_ERROR"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
async def test_an_error_has_its_status_and_code(
    company: Client, fakes: FakeUseCases, error: Exception, status: int, code: str
) -> None:
    fakes.get_connection.there = error
    answer = await company.get(URL)
    assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (errors.TooManyAttempts(60), "60"),
        (errors.StoreUnavailable(), "1"),
        (errors.GatewayUnavailable(retry_after=17), "17"),
        (errors.ProviderUnavailable("later", retry_after=0), "1"),
        (errors.GatewayNonsense(), "5"),
        (errors.ConnectionNotFound(), None),
    ],
)
async def test_what_passes_says_when_to_come_back(
    company: Client, fakes: FakeUseCases, error: Exception, seconds: str | None
) -> None:
    fakes.get_connection.there = error
    assert (await company.get(URL)).headers.get("Retry-After") == seconds


async def test_the_unexpected_tells_the_caller_nothing(company: Client, fakes: FakeUseCases) -> None:
    fakes.get_connection.there = RuntimeError("the secret is 42")
    answer = await company.get(URL)
    assert (answer.status, await answer.json()) == (
        500,
        {
            "success": False,
            "error": {
                "code": "INTERNAL_ERROR",
                "message": "Something went wrong on our side. Quote the request id.",
            },
        },
    )


@pytest.mark.parametrize(
    ("method", "path", "challenge"),
    [
        ("GET", URL, 'ApiKey header="x-api-key"'),
        ("POST", "/api/v1/webhooks/nango", 'HmacSha256 header="X-Nango-Hmac-Sha256"'),
    ],
)
async def test_who_is_not_known_is_told_what_to_send(
    client: Client, fakes: FakeUseCases, method: str, path: str, challenge: str
) -> None:
    fakes.receive_webhook.answer = errors.WebhookRefused()
    answer = await client.request(method, path)
    assert (answer.status, answer.headers.get("WWW-Authenticate")) == (401, challenge)


def test_every_401_has_a_challenge() -> None:
    refused = {error for error, (status, _) in TABLE.items() if status == 401}
    assert set(CHALLENGES) == refused


async def test_another_method_is_told_which_ones_there_are(company: Client) -> None:
    answer = await company.put("/api/v1/connections")
    assert (answer.status, (await answer.json())["error"]["message"], answer.headers["Allow"]) == (
        405,
        "This address does not answer to this method; it answers to GET, POST",
        "GET,POST",
    )


async def test_all_problems_of_a_request_are_told_at_once(company: Client) -> None:
    answer = await company.get("/api/v1/connections?limit=0&status=fine&colour=red")
    details = [
        {
            "field": "colour",
            "message": (
                "is not known here; known are provider, status, name, externalAccountId, limit, cursor"
            ),
        },
        {"field": "status", "message": "must be one of pending, active, error, expired, disconnected"},
        {"field": "limit", "message": "must be a whole number from 1 to 100"},
    ]
    told = "; ".join(f"{problem['field']} {problem['message']}" for problem in details)
    assert (answer.status, await answer.json()) == (
        400,
        {
            "success": False,
            "error": {"code": "BAD_REQUEST", "message": f"Invalid request: {told}", "details": details},
        },
    )


async def test_a_use_case_s_own_refusal_of_input_has_details_too(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.get_auth_url.answer = errors.InvalidInput(("provider", "is not one"))
    answer = await company.get("/api/v1/connections/netsuite/auth-url")
    assert (await answer.json())["error"] == {
        "code": "BAD_REQUEST",
        "message": "Invalid request: provider is not one",
        "details": [{"field": "provider", "message": "is not one"}],
    }


MISSING = errors.InvalidParameters(("accountId", "is required: Account id"))


async def test_a_provider_s_parameter_is_named_as_it_stands_in_a_query(
    company: Client, fakes: FakeUseCases
) -> None:
    fakes.get_auth_url.answer = MISSING
    answer = await company.get("/api/v1/connections/netsuite/auth-url")
    assert (await answer.json())["error"]["details"] == [
        {"field": "accountId", "message": "is required: Account id"}
    ]


@pytest.mark.parametrize("path", ["", f"/{ID}/reauthorize"])
async def test_a_provider_s_parameter_is_named_as_it_stands_in_a_body(
    company: Client, fakes: FakeUseCases, path: str
) -> None:
    fakes.create_connection.answer = fakes.reauthorize_connection.answer = MISSING
    answer = await company.post(
        f"/api/v1/connections{path}", json={"name": "n", "provider": "netsuite"} if not path else {}
    )
    assert (await answer.json())["error"]["details"] == [
        {"field": "parameters.accountId", "message": "is required: Account id"}
    ]


@pytest.mark.parametrize("path", ["/", "/api/v1", "/api/v1/connections/", "/api/v2/connections", "/metrics"])
async def test_an_unknown_address_is_refused_in_the_envelope(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, await answer.json()) == (
        404,
        {"success": False, "error": {"code": "NOT_FOUND", "message": "There is nothing at this address"}},
    )


async def test_a_wrong_method_is_told_the_right_ones(client: Client) -> None:
    answer = await client.put(URL)
    assert (answer.status, answer.headers["Allow"], (await answer.json())["error"]["code"]) == (
        405,
        "DELETE,GET,PATCH",
        "METHOD_NOT_ALLOWED",
    )


async def test_an_error_of_aiohttp_s_own_never_shows_its_text(company: Client, fakes: FakeUseCases) -> None:
    fakes.get_connection.there = web.HTTPExpectationFailed(text="you expect too much")
    answer = await company.get(URL)
    assert (answer.status, await answer.json()) == (
        HTTPStatus.EXPECTATION_FAILED,
        {
            "success": False,
            "error": {"code": "BAD_REQUEST", "message": "The request could not be understood"},
        },
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("GET", "/events"),
        *(
            ("POST", f"/{act}")
            for act in ["refresh", "verify", "disconnect", "reauthorize", "connect-session"]
        ),
    ],
)
@pytest.mark.parametrize("id", ["conn_x", ID.upper(), ID + "0", f"{ID}%00", f"..%2f{ID}", "%E9", "stripe"])
async def test_a_malformed_id_is_unknown_without_a_look(
    company: Client, fakes: FakeUseCases, method: str, path: str, id: str
) -> None:
    fakes.get_connection.there = RuntimeError("a look")
    fakes.list_events.answer = RuntimeError("a look")
    absent = await company.get(f"/api/v1/connections/{id}x")
    answer = await company.request(method, f"/api/v1/connections/{id}{path}", json={})
    assert (answer.status, await answer.read()) == (404, await absent.read())


async def test_foreign_and_absent_and_malformed_are_byte_identical(
    company: Client, client: Client, fakes: FakeUseCases
) -> None:
    headers = {"x-api-key": "stranger-key", "X-Request-Id": "same"}
    answers = []
    for unknown in (ID, ABSENT_ID, "nonsense"):
        answer = await client.get(f"/api/v1/connections/{unknown}", headers=headers)
        kept = {name: value for name, value in answer.headers.items() if name != "Date"}
        answers.append((answer.status, kept, await answer.read()))
    assert answers == [answers[0]] * 3
    assert answers[0][0] == HTTPStatus.NOT_FOUND
