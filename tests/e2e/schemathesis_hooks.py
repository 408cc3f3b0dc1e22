"""What a schema cannot say, for valid requests only: requests that are to be refused stay as they are."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import schemathesis
from hypothesis.configuration import set_hypothesis_home_dir
from schemathesis.generation import GenerationMode

if TYPE_CHECKING:
    from schemathesis import Case, HookContext, Response

REDIRECTS = (
    "https://app.example.com/settings/connections",
    "https://app.example.com:8443/?tab=1#done",
    "http://localhost:5173/back",
    "HTTPS://app.example",
)

# Where other tests keep their tables of characters: making these takes a fifth of a run.
set_hypothesis_home_dir(Path(__file__).parents[2] / ".hypothesis")

_cursors: dict[str, str] = {}


@schemathesis.hook
def before_call(_: HookContext, case: Case[Any], __: dict[str, Any]) -> None:
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return
    _give_a_known_cursor(case)
    _give_what_the_provider_asks_for(case)
    _send_the_user_to_a_real_address(case)
    if "Idempotency-Key" in case.headers:
        # The same key again is another request's, or the answer of a connection that was deleted since.
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    if isinstance(case.body, dict) and isinstance(given := case.body.get("credentials"), dict):
        # The sandbox takes any key and then knows whose it is: one key is not good at two providers.
        case.body["credentials"] = {name: uuid.uuid4().hex for name in given}
    if isinstance(case.body, dict) and "metadata" in case.body:
        case.body["metadata"] = _kept(case.body["metadata"])


@schemathesis.hook
def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
    if response.status_code == 200 and ("cursor" in _known(case) or "after" in _known(case)):
        cursor = json.loads(response.content)["meta"].get("nextCursor")
        if cursor is not None:
            _cursors[case.formatted_path] = cursor


def _known(case: Case[Any]) -> set[str]:
    return {parameter["name"] for parameter in case.operation.definition.raw.get("parameters", ())}


def _give_a_known_cursor(case: Case[Any]) -> None:
    """A cursor is one that this very list gave."""
    for name in {"cursor", "after"} & case.query.keys() & _known(case):
        case.query[name] = _cursors.get(case.formatted_path)
        if case.query[name] is None:
            del case.query[name]


def _give_what_the_provider_asks_for(case: Case[Any]) -> None:
    """A parameter of one provider is not known to another: the document says so in words."""
    if case.operation.path.endswith("/auth-url"):
        case.query.pop("accountId", None)
        if case.path_parameters["provider"] == "netsuite":
            case.query["accountId"] = "1234567-sb1"


def _send_the_user_to_a_real_address(case: Case[Any]) -> None:
    """What a browser takes for an address: a pattern for all of it would help nobody."""
    for place in (case.query, case.body):
        if isinstance(place, dict) and "redirectUrl" in place and "success" not in _known(case):
            place["redirectUrl"] = REDIRECTS[len(str(place["redirectUrl"])) % len(REDIRECTS)]


def _kept(value: Any) -> Any:
    """Of arrays in arrays the document says nothing: generators of clients could not follow it."""
    if isinstance(value, dict):
        return {name.replace("\0", ""): _kept(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_kept(inner) for inner in value]
    if isinstance(value, str):
        return value.replace("\0", "")
    return 0 if isinstance(value, int | float) and abs(value) > 2**53 else value
