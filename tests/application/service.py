"""The service as `entrypoints/container.py` composes it, with memory where it has PostgreSQL and Nango."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import attrs

from adapters.catalogue.catalogue import Catalogue
from adapters.catalogue.loader import load_catalogue
from application.authenticate import Authenticate
from application.report_authorization import LookBudget, ReportAuthorization
from domain.provider import Identity
from entrypoints.container import compose
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapters.http.use_cases import UseCases
    from application.do_due_work import DoDueWork
    from application.ports import ApiKeys, AuthGateway, ProviderCatalogue, Store
    from application.schedule_checks import ScheduleChecks
    from application.sweep_grants import SweepGrants

SETTINGS = Settings(
    public_url="https://connections.example.com", redirect_origins=frozenset({"https://app.example.com"})
)

catalogue = cache(lambda: load_catalogue(None, entry_points=False))
_container = cache(lambda: compose(SETTINGS, pool=None, session=None))
"""Putting one together takes longer than most tests: all in a process share it, and none what it makes."""


def catalogue_without(key: str) -> Catalogue:
    """What is left once a deployment has removed a provider."""
    return Catalogue({each: adapter for each, adapter in catalogue()._adapters.items() if each != key})


def catalogue_with(key: str, **changes: Any) -> Catalogue:
    """What there is once a provider's file was changed: `catalogue_with("stripe", identity=None)`."""
    adapter: Any = catalogue().get(key)
    changed = attrs.evolve(adapter, provider=attrs.evolve(adapter.provider, **changes))
    return Catalogue({**catalogue()._adapters, key: changed})


def asking_for_more(key: str) -> Catalogue:
    """What there is once a provider's identity call needs what its connections were not asked for."""
    identity = Identity(path="/me", base_url="https://{accountId}.example.com")
    return catalogue_with(key, identity=identity)


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
        providers: ProviderCatalogue | None = None,
    ) -> None:
        container = _container()
        container.reset_singletons()
        with container.override_providers(
            settings=settings,
            store=store,
            gateway=gateway,
            api_keys=api_keys,
            catalogue=providers or catalogue(),
        ):
            self.use_cases: UseCases = container.use_cases()
            self.do_due_work: DoDueWork = container.do_due_work()
            self.schedule_checks: ScheduleChecks = container.schedule_checks()
            self.sweep_grants: SweepGrants = container.sweep_grants()
            # The two that look at a clock of their own get ours.
            self.authenticate = Authenticate(api_keys, monotonic)
            self.report_authorization = ReportAuthorization(
                store, container.confirm(), SETTINGS.redirect_origins, LookBudget(monotonic)
            )
