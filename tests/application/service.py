"""The service as `entrypoints/container.py` composes it, with memory where it has PostgreSQL and Nango."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from adapters.catalogue.loader import load_catalogue
from application.authenticate import Authenticate
from application.report_authorization import LookBudget, ReportAuthorization
from entrypoints.container import compose
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.http.use_cases import UseCases
    from application.do_due_work import DoDueWork
    from application.ports import ApiKeys, AuthGateway, Store
    from application.schedule_checks import ScheduleChecks
    from application.sweep_grants import SweepGrants

SETTINGS = Settings(
    public_url="https://connections.example.com", redirect_origins=frozenset({"https://app.example.com"})
)

catalogue = cache(lambda: load_catalogue(None, entry_points=False))


class Service:
    """What people and the worker call, in one process. `monotonic` is this process's clock."""

    def __init__(
        self,
        *,
        store: Store,
        gateway: AuthGateway,
        api_keys: ApiKeys,
        monotonic: Callable[[], float],
        settings: Settings = SETTINGS,
    ) -> None:
        container = compose(settings, pool=None, session=None)
        container.store.override(store)
        container.gateway.override(gateway)
        container.api_keys.override(api_keys)
        container.catalogue.override(catalogue())
        self.use_cases: UseCases = container.use_cases()
        self.do_due_work: DoDueWork = container.do_due_work()
        self.schedule_checks: ScheduleChecks = container.schedule_checks()
        self.sweep_grants: SweepGrants = container.sweep_grants()
        # The two that look at a clock of their own get ours.
        self.authenticate = Authenticate(api_keys, monotonic)
        self.report_authorization = ReportAuthorization(
            store, container.confirm(), SETTINGS.redirect_origins, LookBudget(monotonic)
        )
