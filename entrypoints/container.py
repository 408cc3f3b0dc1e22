"""The composition root: the only file that knows dependency-injector, and which adapter serves which port.

What has a life of its own (the pool, the client session) is opened and closed by the entrypoint and handed
in; everything else is made here, once.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from dependency_injector import containers, providers

from adapters.catalogue.loader import load_catalogue
from adapters.http.app import HttpOptions, create_app
from adapters.http.use_cases import UseCases
from adapters.metrics.prometheus import PrometheusMetrics
from adapters.nango.gateway import NangoGateway
from adapters.nango.webhooks import NangoNotices
from adapters.postgres.api_keys import PostgresApiKeys
from adapters.postgres.store import PostgresStore
from adapters.postgres.survey import PostgresSurvey
from adapters.system.ids import SystemIds
from application.authenticate import Authenticate
from application.check_readiness import CheckReadiness
from application.complete_authorization import CompleteAuthorization
from application.confirm_attempt import ConfirmAttempt
from application.create_api_key import CreateApiKey
from application.create_api_key_connection import CreateApiKeyConnection
from application.create_connection import CreateConnection
from application.delete_connection import DeleteConnection
from application.diagnose import Diagnose
from application.disconnect_connection import DisconnectConnection
from application.do_due_work import DoDueWork
from application.environment import Environment
from application.finish_import import FinishImport
from application.flights import Flights
from application.get_auth_url import GetAuthUrl
from application.get_connection import GetConnection
from application.identify_account import IdentifyAccount
from application.import_credentials import ImportCredentials
from application.list_connections import ListConnections
from application.list_events import ListEvents
from application.list_providers import ListProviders
from application.open_connect_session import OpenConnectSession
from application.probe_account import ProbeAccount
from application.reauthorize_connection import ReauthorizeConnection
from application.receive_webhook import ReceiveWebhook
from application.recheck_connection import RecheckConnection
from application.refresh_connection import RefreshConnection
from application.remove_grants import RemoveGrants
from application.renew_credentials import RenewCredentials
from application.replace_credentials import ReplaceCredentials
from application.report_authorization import ReportAuthorization
from application.resolve_attempt import ResolveAttempt
from application.schedule_checks import ScheduleChecks
from application.settle_import import SettleImport
from application.start_authorization import StartAuthorization
from application.sweep_grants import SweepGrants
from application.try_provider import TryProvider
from application.update_connection import UpdateConnection
from application.verify_connection import CheckHealth, VerifyConnection

if TYPE_CHECKING:
    import aiohttp

    from entrypoints.settings import Settings


def _where_no_port(port: int | None, scrape: Any) -> Any:
    """Serve metrics beside the API unless they have a port of their own."""
    return scrape if port is None else None


class Container(containers.DeclarativeContainer):
    """Everything the service is made of."""

    settings = providers.Dependency[Any]()
    pool = providers.Dependency[Any]()
    session = providers.Dependency[Any]()

    # adapters
    ids = providers.Singleton(SystemIds)
    store = providers.Singleton(PostgresStore, pool)
    api_keys = providers.Singleton(PostgresApiKeys, pool)
    catalogue = providers.Singleton(load_catalogue, settings.provided.providers_dir)
    survey = providers.Singleton(PostgresSurvey, pool)
    metrics = providers.Singleton(
        PrometheusMetrics,
        version=version("connections"),
        pool=survey.provided.pool,
        survey=survey,
    )
    gateway = providers.Singleton(
        NangoGateway,
        session,
        base_url=settings.provided.nango_url,
        secret_key=settings.provided.nango_secret_key,
        observe=metrics.provided.nango_call,
    )

    # what the use cases share
    start = providers.Singleton(StartAuthorization, store, gateway, ids, settings.provided.callback_url)
    probe = providers.Singleton(ProbeAccount, gateway, catalogue)
    environment = providers.Singleton(Environment, store, gateway)
    renew = providers.Singleton(RenewCredentials, store, gateway, catalogue, ids, probe, environment)
    check_health = providers.Singleton(
        CheckHealth, store, gateway, probe, renew, environment, settings.provided.verify_interval
    )
    identify = providers.Singleton(IdentifyAccount, store, gateway, probe)
    remove = providers.Singleton(RemoveGrants, store, gateway, ids)
    confirm = providers.Singleton(ConfirmAttempt, store, gateway, ids, identify, remove)
    import_credentials = providers.Singleton(ImportCredentials, store, gateway, probe)
    settle_import = providers.Singleton(SettleImport, store, ids, remove)
    flights = providers.Singleton(Flights, store, ids)

    # what people call
    use_cases = providers.Singleton(
        UseCases,
        authenticate=providers.Singleton(Authenticate, api_keys),
        get_auth_url=providers.Singleton(GetAuthUrl, store, catalogue, ids, start),
        create_connection=providers.Singleton(CreateConnection, store, catalogue, ids, start),
        create_api_key_connection=providers.Singleton(
            CreateApiKeyConnection, store, catalogue, ids, import_credentials, settle_import
        ),
        replace_credentials=providers.Singleton(
            ReplaceCredentials, store, catalogue, ids, import_credentials, remove
        ),
        reauthorize_connection=providers.Singleton(ReauthorizeConnection, store, catalogue, start),
        open_connect_session=providers.Singleton(OpenConnectSession, store, catalogue, start),
        complete_authorization=providers.Singleton(CompleteAuthorization, store, gateway, confirm),
        report_authorization=providers.Singleton(
            ReportAuthorization, store, confirm, settings.provided.redirect_origins
        ),
        get_connection=providers.Singleton(GetConnection, store),
        list_connections=providers.Singleton(ListConnections, store),
        update_connection=providers.Singleton(UpdateConnection, store),
        delete_connection=providers.Singleton(DeleteConnection, store, ids, remove),
        disconnect_connection=providers.Singleton(DisconnectConnection, store, ids, remove),
        refresh_connection=providers.Singleton(RefreshConnection, store, flights, probe, renew),
        verify_connection=providers.Singleton(VerifyConnection, store, flights, check_health),
        list_events=providers.Singleton(ListEvents, store),
        receive_webhook=providers.Singleton(
            ReceiveWebhook,
            store,
            providers.Singleton(NangoNotices, settings.provided.nango_webhook_keys),
            ids,
        ),
        list_providers=providers.Singleton(ListProviders, catalogue),
        check_readiness=providers.Singleton(CheckReadiness, store),
    )
    create_api_key = providers.Singleton(CreateApiKey, api_keys)
    diagnose = providers.Singleton(
        Diagnose,
        store,
        gateway,
        catalogue,
        settings.provided.callback_url,
        settings.provided.nango_callbacks,
    )
    try_provider = providers.Singleton(TryProvider, gateway)
    do_due_work = providers.Singleton(
        DoDueWork,
        store,
        providers.Singleton(ResolveAttempt, store, start, confirm),
        remove,
        identify,
        providers.Singleton(FinishImport, store, import_credentials, settle_import),
        providers.Singleton(RecheckConnection, store, flights, check_health),
    )
    schedule_checks = providers.Singleton(
        ScheduleChecks,
        store,
        ids,
        settings.provided.verify_interval,
        settings.provided.verify_per_minute,
    )
    sweep_grants = providers.Singleton(
        SweepGrants, store, gateway, ids, environment, settings.provided.sweep_interval
    )
    app = providers.Singleton(
        create_app,
        use_cases,
        providers.Singleton(
            HttpOptions,
            nango_public_url=settings.provided.nango_public_url,
            public_url=settings.provided.public_url,
            starts_per_minute=settings.provided.starts_per_minute,
            callbacks_per_minute=settings.provided.callbacks_per_minute,
            proxies=settings.provided.proxies,
            observe=metrics.provided.request,
            scrape=providers.Callable(
                _where_no_port, settings.provided.metrics_port, metrics.provided.scrape
            ),
        ),
    )


def compose(settings: Settings, *, pool: Any, session: aiohttp.ClientSession | None) -> Container:
    """Put the service together over an open pool and client session."""
    return Container(settings=settings, pool=pool, session=session)
