"""The command line: `connections serve | worker | migrate | doctor | keys | providers | dev`."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeVar

import click

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.loader import load_catalogue
from adapters.postgres.migrate import MigrationRefused
from adapters.postgres.migrate import migrate as apply_migrations
from application.findings import broken
from application.ports import Scope
from domain.api_key import make_key
from domain.errors import DomainError, StoreUnavailable
from entrypoints import process, reports
from entrypoints.check_provider import check_provider
from entrypoints.doctor import examine
from entrypoints.logs import configure_logs
from entrypoints.service import composed, serve, work_until
from entrypoints.settings import Settings, SettingsError, read_settings, require

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from application.findings import Finding
    from application.ports import ApiKeyRecord
    from entrypoints.container import Container

Result = TypeVar("Result")

_ANY_WIDTH = 100_000

_json_option = click.option("--json", "as_json", is_flag=True, help="For machines.")


class _Commands(click.Group):
    """Turns a wrong setting into one line, whichever command met it."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (SettingsError, CatalogueError) as problem:
            _fail(str(problem))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="connections")
def main() -> None:
    """One API for every account a company's workflows are connected to."""


@main.command("serve")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes.")
@click.option("--with-worker", is_flag=True, help="Do the worker's rounds in this process, too.")
def serve_command(workers: int, with_worker: bool) -> None:
    """Serve the API."""
    settings = _settings("database_url", "nango_secret_key")
    load_catalogue(settings.providers_dir)  # a bad file stops the start
    with process.listening(settings.host, settings.port) as listener:
        if workers > 1:
            _try_metrics_ports(settings, workers)
            sys.exit(process.supervise(workers, listener, with_worker=with_worker))
        process.run(lambda stop: serve(settings, listener, stop, with_worker=with_worker))


@main.command()
def worker() -> None:
    """Finish what was left half done; run as many as you like."""
    settings = _settings("database_url", "nango_secret_key")
    load_catalogue(settings.providers_dir)  # a bad file stops the start
    process.run(lambda stop: work_until(settings, stop))


@main.command()
def migrate() -> None:
    """Bring the database to the schema of this release."""
    settings = _settings("database_url")
    assert settings.database_url is not None  # noqa: S101 - required above
    try:
        applied = asyncio.run(apply_migrations(settings.database_url))
    except MigrationRefused as problem:
        _fail(str(problem))
    except Exception as problem:  # noqa: BLE001 - whatever the driver raises is one line to an operator
        _fail(f"the database did not take the migration: {type(problem).__name__}: {problem}")
    for migration in applied:
        click.echo(f"applied {migration.revision:04d} {migration.name}", err=True)
    if not applied:
        click.echo("nothing to do", err=True)


@main.command()
@_json_option
def doctor(as_json: bool) -> None:
    """Say what is wrong with this deployment, and what to do. Ends with 1 where something does not work."""
    settings = _settings("database_url", "nango_secret_key")
    configure_logs("error", settings.log_format)  # the report says it all
    _report(asyncio.run(examine(settings)), as_json=as_json)


@main.command()
def dev() -> None:
    """Run everything on this machine. PostgreSQL and Nango are stand-ins where no setting names real ones."""
    from entrypoints.dev import run_dev  # noqa: PLC0415 - needs the optional embedded PostgreSQL

    run_dev(_settings())


# ── API keys ──────────────────────────────────────────────────────────────────────────────────────────


@main.group()
def keys() -> None:
    """The companies' API keys."""


@keys.command("create")
@click.option("--company", required=True, help="Whose key: letters, digits, dot, dash, underscore.")
@click.option(
    "--scope", type=click.Choice([scope.value for scope in Scope]), default="write", show_default=True
)
@click.option("--label", help="What the key is for.")
def create_key(company: str, scope: str, label: str | None) -> None:
    """Make a key and print it, once; only its SHA-256 is kept."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", company):
        raise click.BadParameter(
            "must be 1 to 64 letters, digits, dots, dashes or underscores", param_hint="--company"
        )
    key = make_key(secrets.token_bytes(32))

    async def create(container: Container) -> ApiKeyRecord:
        return await container.create_api_key()(company_id=company, scope=Scope(scope), label=label, key=key)

    record = _with_container(create)
    click.echo(f"Key {record.prefix}… of company {company}, scope {scope}. It is shown this once:", err=True)
    click.echo(key)


@keys.command("list")
@click.option("--company", help="Only this company's.")
def list_keys(company: str | None) -> None:
    """List keys: what is kept of them, never the keys."""
    records = _with_container(lambda container: container.api_keys().list(company))
    rows = []
    for record in records:
        revoked = f"{record.revoked_at:%Y-%m-%d %H:%M}" if record.revoked_at else ""
        created = f"{record.created_at:%Y-%m-%d %H:%M}"
        rows.append((record.prefix, record.company_id, record.scope, record.label or "", created, revoked))
    _print_table(("prefix", "company", "scope", "label", "created", "revoked"), rows)


@keys.command("revoke")
@click.argument("prefix")
def revoke_key(prefix: str) -> None:
    """Revoke the live key of this PREFIX. Every replica refuses it within a second."""
    records = _with_container(lambda container: container.api_keys().revoke(prefix))
    if not records:
        _fail(f"no live key has the prefix {prefix}; `connections keys list` shows them")
    for record in records:
        click.echo(f"revoked {record.prefix}… of company {record.company_id}", err=True)


# ── providers ─────────────────────────────────────────────────────────────────────────────────────────


@main.group()
def providers() -> None:
    """The catalogue of providers."""


@providers.command("list")
def list_providers() -> None:
    """List every provider. Some are built in, some installed, some in CONNECTIONS_PROVIDERS_DIR."""
    settings = _settings()
    rows = [
        (
            provider.key,
            provider.name,
            provider.oauth.integration if provider.oauth else "",
            provider.api_key.integration if provider.api_key else "",
            provider.description,
        )
        for provider in load_catalogue(settings.providers_dir).all()
    ]
    _print_table(("provider", "name", "integration", "API key", "description"), rows)


@providers.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--parameter",
    "-p",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="What a user would say first.",
)
@_json_option
def check_provider_file(file: Path, parameters: tuple[str, ...], as_json: bool) -> None:
    """Check a provider's FILE. Where CONNECTIONS_NANGO_SECRET_KEY is set, it is tried against Nango, too."""
    given = {}
    for each in parameters:
        name, separator, value = each.partition("=")
        if not separator:
            raise click.BadParameter(f"{name!r} is not NAME=VALUE", param_hint="--parameter")
        given[name] = value
    settings = _settings()
    configure_logs("error", settings.log_format)  # the report says it all
    try:
        findings = asyncio.run(check_provider(settings, file, given))
    except CatalogueError as problem:
        if not as_json:
            raise
        advice = "Mend the file: docs/adding-a-provider.md."
        findings = [broken("file", mistake, advice) for mistake in problem.mistakes]
    _report(findings, as_json=as_json)


# ── shared ────────────────────────────────────────────────────────────────────────────────────────────


def _settings(*required: str) -> Settings:
    settings = read_settings(os.environ)
    require(settings, *required)
    configure_logs(settings.log_level, settings.log_format)
    return settings


def _try_metrics_ports(settings: Settings, workers: int) -> None:
    # A child that cannot listen on its own is started again for ever: a taken one must stop the start here.
    if settings.metrics_port is not None:
        for number in range(workers):
            with process.listen(settings.host, settings.metrics_port + number, "CONNECTIONS_METRICS_PORT"):
                pass


def _with_container(use: Callable[[Container], Awaitable[Result]]) -> Result:
    settings = _settings("database_url")

    async def run() -> Result:
        async with composed(settings) as container:
            return await use(container)

    try:
        return asyncio.run(run())
    except StoreUnavailable as problem:
        _fail(f"the database of CONNECTIONS_DATABASE_URL cannot be used: {problem.why or problem}")
    except DomainError as problem:
        _fail(str(problem))


def _report(findings: Sequence[Finding], *, as_json: bool) -> None:
    click.echo(reports.as_json(findings) if as_json else reports.as_text(findings))
    if not reports.passed(findings):
        sys.exit(1)


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    # A server never prints one: 4 MB, and a tenth of its start.
    from rich.console import Console  # noqa: PLC0415 - see above
    from rich.table import Table  # noqa: PLC0415 - see above

    # For a program a row is a line. The first column, which other commands take, is never cut.
    width = None if sys.stdout.isatty() else _ANY_WIDTH
    whole = max((len(row[0]) for row in rows), default=0)
    table = Table(box=None)
    for column in columns:
        table.add_column(column, overflow="fold", min_width=whole if column == columns[0] else None)
    for row in rows:
        table.add_row(*row)
    # Brackets and colons in it were written by somebody, and mean neither colours nor pictures.
    Console(width=width, highlight=False, markup=False, emoji=False).print(table)


def _fail(message: str) -> NoReturn:
    click.echo(f"connections: {message}", err=True)
    sys.exit(1)
