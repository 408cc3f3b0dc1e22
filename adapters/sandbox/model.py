"""What the sandbox remembers, as frozen data.

Times are seconds since the epoch. Everything here is made of what JSON can hold, so that a row can be
written down and read back as it is (see `adapters.sandbox.storage`).
"""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

SESSION_LIFETIME = 30 * 60
FLOW_LIFETIME = 60 * 60
REFRESH_MARGIN = 15 * 60
FAILURE_DAYS_ALLOWED = 3


@frozen
class Integration:
    """An integration of the Nango environment: one provider, configured.

    Args:
        unique_key: The integration's id; what Nango calls `provider_config_key` elsewhere.
        auth_mode: Nango's word: OAUTH2, API_KEY, BASIC or TBA.
        provider: Nango's provider template; the unique key where it is empty.
        display_name: For people.
        tested: Whether Nango tries imported credentials at the provider before it takes them.
        scopes: Comma separated, as in Nango.
        authorization_params: What Nango adds to the provider's authorization URL.
        required_config: Keys of connection_config without which no flow can start.
        callback_keys: What the provider adds to the callback's query and Nango keeps in connection_config.
        token_lifetime: Seconds an access token lives; None for tokens without an end.
        refreshable: Whether the provider hands out refresh tokens.

    """

    unique_key: str
    auth_mode: str = "OAUTH2"
    provider: str = ""
    display_name: str = ""
    tested: bool = False
    scopes: str = ""
    authorization_params: dict[str, str] = field(factory=dict)
    required_config: tuple[str, ...] = ()
    callback_keys: tuple[str, ...] = ()
    token_lifetime: int | None = 3600
    refreshable: bool = True

    @property
    def template(self) -> str:
        """The provider template's name."""
        return self.provider or self.unique_key

    @property
    def title(self) -> str:
        """The provider's name for people."""
        return self.display_name or self.unique_key


@frozen
class Session:
    """A connect session: who may authorize what, for thirty minutes.

    `tags` are what a connection made with this session will carry. `connection_id` is set on a reconnect.
    """

    token: str
    expires_at: float
    tags: dict[str, str]
    end_user: dict[str, Any] | None = None
    allowed_integrations: list[str] | None = None
    defaults: dict[str, dict[str, Any]] = field(factory=dict)
    webhook_url_override: str | None = None
    connection_id: str | None = None


@frozen
class Flow:
    """An OAuth flow that has begun and has not come back yet."""

    state: str
    session: str
    integration: str
    connection_id: str
    code_verifier: str
    redirect_uri: str
    connection_config: dict[str, Any]
    expires_at: float


@frozen
class Connection:
    """A connection as Nango holds it, credentials included.

    Args:
        id: Nango's number for it.
        refresh_failures: The days (numbers since the epoch) on which a refresh failed in a row.
        refresh_failed_at: When the last refresh failed, until one succeeds.
        refresh_exhausted: Whether Nango has given up refreshing it.
        deleted: A deleted connection comes back under its id when an open flow completes.

    """

    id: int
    connection_id: str
    integration: str
    credentials: dict[str, Any]
    created_at: float
    updated_at: float
    last_fetched_at: float
    tags: dict[str, str] = field(factory=dict)
    end_user: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    connection_config: dict[str, Any] = field(factory=dict)
    webhook_url_override: str | None = None
    errors: list[dict[str, str]] = field(factory=list)
    refresh_failed_at: float | None = None
    refresh_failures: list[int] = field(factory=list)
    refresh_exhausted: bool = False
    deleted: bool = False

    @property
    def key(self) -> str:
        """Nango tells connections apart by integration and id together."""
        return connection_key(self.integration, self.connection_id)


def connection_key(integration: str, connection_id: str) -> str:
    """Give the key under which a connection is stored."""
    return f"{integration}/{connection_id}"


@frozen
class Grant:
    """What a provider remembers of one authorization: whose account, and which tokens stand for it.

    `access_tokens` maps each token to its end, None for none. A used authorization code is a grant already:
    `code` is emptied when it is exchanged.
    """

    id: str
    integration: str
    account: str
    code: str = ""
    code_challenge: str = ""
    redirect_uri: str = ""
    extra: dict[str, str] = field(factory=dict)
    access_tokens: dict[str, float | None] = field(factory=dict)
    refresh_token: str | None = None
    revoked: bool = False
