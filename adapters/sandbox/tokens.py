"""The providers' authorization servers, in process: codes, token requests, revocation.

One class stands for all providers, because they differ in data only. PKCE (RFC 7636, S256) is verified as a
provider would, and a code is good for one exchange.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Any

from attrs import evolve

from adapters.sandbox.accounts import Account, family_of
from adapters.sandbox.identities import token_fields
from adapters.sandbox.model import Grant, Integration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from adapters.sandbox.storage import Table

KEPT_TOKENS = 4


class TokenRefused(Exception):
    """The token endpoint gave no token; `kind` is one of faults.TOKEN_KINDS."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def challenge_of(code_verifier: str) -> str:
    """Derive the S256 code challenge (RFC 7636)."""
    digest = hashlib.sha256(code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


class AuthorizationServer:
    """Hands out codes and tokens, and knows which are still good."""

    def __init__(self, grants: Table[Grant]) -> None:
        self._grants = grants
        self._by_token: dict[tuple[str, str], str] = {}
        for grant in grants.rows():
            self._index(grant)

    def authorize(self, integration: Integration, account: str, query: Mapping[str, str]) -> Grant:
        """Record that the user said yes, and give the grant whose code goes back with the browser."""
        grant = Grant(
            secrets.token_hex(8),
            integration.unique_key,
            account,
            code=f"code_{secrets.token_urlsafe(18)}",
            code_challenge=query.get("code_challenge", ""),
            redirect_uri=query.get("redirect_uri", ""),
        )
        return self._store(grant)

    def exchange(
        self, integration: Integration, code: str, verifier: str, redirect_uri: str
    ) -> dict[str, Any]:
        """Exchange a code for tokens (RFC 6749, 4.1.3).

        Raises:
            TokenRefused: The code is unknown, used, somebody else's, or the verifier is not the one.

        """
        grant = self.find(integration.unique_key, code)
        if (
            grant is None
            or grant.code != code
            or grant.integration != integration.unique_key
            or grant.redirect_uri != redirect_uri
            or (grant.code_challenge and grant.code_challenge != challenge_of(verifier))
        ):
            raise TokenRefused("invalid_grant")
        del self._by_token[family_of(grant.integration), code]
        return self._issue(integration, evolve(grant, code=""))

    def refresh(self, integration: Integration, refresh_token: str) -> dict[str, Any]:
        """Exchange a refresh token for a new access token.

        Raises:
            TokenRefused: It was revoked, or is not known.

        """
        grant = self.find(integration.unique_key, refresh_token)
        if grant is None or grant.revoked or grant.refresh_token != refresh_token:
            raise TokenRefused("invalid_grant")
        return self._issue(integration, grant)

    def adopt(
        self, integration: str, account: str, token: str, expires_at: float | None, refresh: str | None
    ) -> None:
        """Take imported credentials for ones that this provider issued earlier."""
        known = self.find(integration, token)
        if known is None:
            tokens = {token: expires_at}
            grant = Grant(
                secrets.token_hex(8), integration, account, access_tokens=tokens, refresh_token=refresh
            )
            self._store(grant)

    def find(self, integration: str, token: str) -> Grant | None:
        """Give the grant that a code, an access token, a refresh token or a key stands for.

        People try two providers with one and the same key: to each it is a key of its own.
        """
        grant_id = self._by_token.get((family_of(integration), token))
        return self._grants.get(grant_id) if grant_id else None

    def account_behind(self, integration: str, token: str) -> Account | None:
        """Give the account that an access token or a key opens; None when it opens nothing (any more)."""
        grant = self.find(integration, token)
        if grant is None or grant.revoked or token not in grant.access_tokens:
            return None
        expires_at = grant.access_tokens[token]
        if expires_at is not None and expires_at <= time.time():
            return None
        return Account(family_of(grant.integration), grant.account)

    def revoke(self, integration: str, token: str, *, revoked: bool = True) -> None:
        """Revoke the whole grant that a token belongs to, as a user does at the provider, or undo that."""
        grant = self.find(integration, token)
        if grant is not None:
            self._store(evolve(grant, revoked=revoked))

    def expire(self, integration: str, token: str) -> None:
        """End an access token's life now; its refresh token stays good."""
        grant = self.find(integration, token)
        if grant is not None:
            self._store(evolve(grant, access_tokens=grant.access_tokens | {token: time.time() - 1}))

    def _issue(self, integration: Integration, grant: Grant) -> dict[str, Any]:
        account = Account(family_of(grant.integration), grant.account)
        token = f"at_{secrets.token_urlsafe(24)}"
        answer: dict[str, Any] = {"access_token": token, "token_type": "Bearer"}
        answer |= {"scope": integration.scopes.replace(",", " ")} if integration.scopes else {}
        answer |= token_fields(account.family, account)
        expires_at = None
        if integration.token_lifetime is not None:
            answer["expires_in"] = integration.token_lifetime
            expires_at = time.time() + integration.token_lifetime
        refresh_token = grant.refresh_token
        if integration.refreshable:
            refresh_token = refresh_token or f"rt_{secrets.token_urlsafe(24)}"
            answer["refresh_token"] = refresh_token
        tokens = dict(list(grant.access_tokens.items())[-KEPT_TOKENS:]) | {token: expires_at}
        self._store(evolve(grant, access_tokens=tokens, refresh_token=refresh_token))
        return answer

    def _store(self, grant: Grant) -> Grant:
        self._index(grant)
        return self._grants.put(grant.id, grant)

    def _index(self, grant: Grant) -> None:
        for token in (*grant.access_tokens, grant.refresh_token, grant.code):
            if token:
                self._by_token[family_of(grant.integration), token] = grant.id
