"""The integrations of the environment: how each of the eight providers is configured in Nango."""

from __future__ import annotations

from adapters.sandbox.model import Integration

INTEGRATIONS = (
    Integration("stripe-app", display_name="Stripe", token_lifetime=3600),
    Integration("salesforce", display_name="Salesforce", scopes="offline_access,api,id", token_lifetime=7200),
    Integration("hubspot", display_name="HubSpot", scopes="oauth", token_lifetime=1800),
    Integration(
        "quickbooks",
        display_name="QuickBooks",
        scopes="com.intuit.quickbooks.accounting",
        callback_keys=("realmId",),
    ),
    Integration("pandadoc", display_name="PandaDoc", scopes="read+write", token_lifetime=31_535_999),
    Integration(
        "netsuite", display_name="NetSuite", scopes="rest_webservices", required_config=("accountId",)
    ),
    Integration(
        "slack", display_name="Slack", scopes="channels:read", token_lifetime=None, refreshable=False
    ),
    Integration(
        "google-mail",
        display_name="Gmail",
        scopes="https://www.googleapis.com/auth/gmail.readonly",
        authorization_params={"access_type": "offline", "prompt": "consent"},
        token_lifetime=3599,
    ),
    Integration("stripe-api-key", "BASIC", display_name="Stripe (API key)"),
    Integration("pandadoc-api-key", "API_KEY", display_name="PandaDoc (API key)", tested=True),
    Integration("netsuite-tba", "TBA", display_name="NetSuite (TBA)"),
)
