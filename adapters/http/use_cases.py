"""What the HTTP adapter calls: one use case per thing the service can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from application.authenticate import Authenticate
    from application.check_readiness import CheckReadiness
    from application.complete_authorization import CompleteAuthorization
    from application.create_api_key_connection import CreateApiKeyConnection
    from application.create_connection import CreateConnection
    from application.delete_connection import DeleteConnection
    from application.disconnect_connection import DisconnectConnection
    from application.get_auth_url import GetAuthUrl
    from application.get_connection import GetConnection
    from application.list_connections import ListConnections
    from application.list_events import ListEvents
    from application.list_providers import ListProviders
    from application.open_connect_session import OpenConnectSession
    from application.reauthorize_connection import ReauthorizeConnection
    from application.receive_webhook import ReceiveWebhook
    from application.refresh_connection import RefreshConnection
    from application.replace_credentials import ReplaceCredentials
    from application.report_authorization import ReportAuthorization
    from application.update_connection import UpdateConnection
    from application.verify_connection import VerifyConnection


@frozen(kw_only=True)
class UseCases:
    """Everything the routes need."""

    authenticate: Authenticate
    get_auth_url: GetAuthUrl
    create_connection: CreateConnection
    create_api_key_connection: CreateApiKeyConnection
    replace_credentials: ReplaceCredentials
    reauthorize_connection: ReauthorizeConnection
    open_connect_session: OpenConnectSession
    complete_authorization: CompleteAuthorization
    report_authorization: ReportAuthorization
    receive_webhook: ReceiveWebhook
    get_connection: GetConnection
    list_connections: ListConnections
    update_connection: UpdateConnection
    delete_connection: DeleteConnection
    disconnect_connection: DisconnectConnection
    refresh_connection: RefreshConnection
    verify_connection: VerifyConnection
    list_events: ListEvents
    list_providers: ListProviders
    check_readiness: CheckReadiness
