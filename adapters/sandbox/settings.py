"""What can be set."""

from __future__ import annotations

import uuid

from attrs import define


@define
class Settings:
    """What an operator of Nango sets for an environment, and what the sandbox adds to it.

    Args:
        secret_key: The environment's secret key.
        public_url: Where browsers reach the sandbox.
        callback_url: The environment's callback URL, the redirect_uri of every flow.
        webhook_url: Where webhooks go; None sends none.
        webhook_key: The webhook signing key.
        webhook_on_creation: Whether creations are sent. Off by default, as in Nango.
        webhook_on_refresh_error: Whether failed refreshes are sent. Off by default, as in Nango.
        webhook_retry_after: Seconds until the one repetition after a 5xx.
        enforce_state_cookie: Whether a callback needs the cookie that its start has set.
        rate_limit: Calls a minute; None for no limit (Nango's default is 200).
        refresh_backoff: Seconds for which a failed refresh is not repeated, unless forced.

    """

    secret_key: str
    public_url: str
    callback_url: str
    webhook_url: str | None = None
    webhook_key: str | None = None
    webhook_on_creation: bool = False
    webhook_on_refresh_error: bool = False
    webhook_retry_after: float = 3.0
    enforce_state_cookie: bool = False
    rate_limit: int | None = None
    refresh_backoff: float = 30.0

    def __attrs_post_init__(self) -> None:
        """Refuse a secret key that Nango would not have made."""
        try:
            version = uuid.UUID(self.secret_key).version
        except ValueError:
            version = None
        if version != 4:  # noqa: PLR2004 - UUID v4 is the format's name
            raise ValueError("The secret key must be a UUID v4")
        self.public_url = self.public_url.rstrip("/")
