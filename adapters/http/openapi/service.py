"""The calls about the service itself."""

from __future__ import annotations

from adapters.http.openapi import examples
from adapters.http.openapi.connections import UNKNOWN_FIELD
from adapters.http.openapi.operation import Answer, Operation
from adapters.http.schemas import ProviderDetails, State, Success
from domain.errors import InvalidInput, StoreUnavailable, WebhookRefused

SERVICE = "Service"

PROVIDERS = Operation(
    id="listProviders",
    tag="Providers",
    summary="List providers",
    description=(
        "What can be connected, and what each needs: `parameters` by OAuth; `credentials.fields` and "
        "`credentials.parameters` where credentials are taken."
    ),
    answers={
        200: Answer(
            description="The providers, by key.",
            types=[Success[list[ProviderDetails]]],
            examples={"Two providers": examples.PROVIDERS},
        )
    },
    refusals=[UNKNOWN_FIELD],
)
WEBHOOK = Operation(
    id="receiveWebhook",
    tag=SERVICE,
    summary="Nango's webhooks",
    description=(
        "What Nango's webhook URL is to be set to. A webhook is only a reason to look at Nango; unknown ones "
        "are taken and ignored."
    ),
    security="nangoSignature",
    body=dict,
    answers={
        200: Answer(
            description="It is noted.",
            types=[Success[State]],
            examples={"Received": examples.STATES["received"]},
        )
    },
    refusals=[WebhookRefused(), InvalidInput(("body", "must arrive within 10 seconds")), StoreUnavailable()],
)
HEALTHY = Operation(
    id="isAlive",
    tag=SERVICE,
    summary="Liveness",
    description="Answers as long as the process lives.",
    answers={
        200: Answer(
            description="It lives.", types=[Success[State]], examples={"Alive": examples.STATES["ok"]}
        )
    },
)
READY = Operation(
    id="isReady",
    tag=SERVICE,
    summary="Readiness",
    description="Says whether requests can be served: the database answers.",
    answers={
        200: Answer(
            description="They can.", types=[Success[State]], examples={"Ready": examples.STATES["ready"]}
        )
    },
    refusals=[StoreUnavailable()],
)
METRICS = Operation(
    id="getMetrics",
    tag=SERVICE,
    summary="Metrics",
    description="The numbers of the process that answers, in Prometheus' text format.",
    answers={200: Answer(description="The numbers of now, as text.", text=True)},
)
_CACHED = {"ETag": "Names this version.", "Cache-Control": "Ask again before each use."}
_SAME = Answer(description="It is still the version that If-None-Match names.", headers=_CACHED)
_IF_NONE_MATCH = {
    "If-None-Match": {"description": "The ETag of the version you have.", "type": "string"},
}
DOCUMENT = Operation(
    id="getOpenApi",
    tag=SERVICE,
    summary="This document",
    description="This documentation as an OpenAPI 3.1 document.",
    headers=_IF_NONE_MATCH,
    answers={200: Answer(description="The document.", types=[dict], headers=_CACHED), 304: _SAME},
)
PAGE = Operation(
    id="getDocs",
    tag=SERVICE,
    summary="This page",
    description="This documentation as a page, which needs nothing from elsewhere.",
    headers=_IF_NONE_MATCH,
    answers={200: Answer(description="The page.", html=True, headers=_CACHED), 304: _SAME},
)
