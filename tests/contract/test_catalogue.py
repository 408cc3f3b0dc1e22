"""What the catalogue holds: the shipped files, a directory's, installed packages', and which of them wins."""

from __future__ import annotations

import importlib
import json
import sys
from importlib.resources import files
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from adapters.catalogue.errors import CatalogueError
from adapters.catalogue.loader import GROUP, load_catalogue
from adapters.catalogue.provider_file import ProviderFile
from application.ports import ProviderAnswer
from domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROVIDERS = files("adapters.catalogue.providers")
SHIPPED = ["gmail", "hubspot", "netsuite", "pandadoc", "quickbooks", "salesforce", "slack", "stripe"]
ACME = """
key = "acme"
name = "Acme"
description = "CRM"
category = "crm"
[oauth]
integration = "acme"
"""
OBJECT = """
from domain.provider import ApiKey, Provider

class Acme:
    provider = Provider(
        key="acme", name="Acme of an object", description="CRM", category="crm",
        api_key=ApiKey(integration="acme", type="API_KEY", credentials={"apiKey": "{apiKey}"}),
    )
    def base_url(self, parameters):
        return None
    def read(self, answer, *, connection_config, token):
        return answer.status

adapter = Acme()
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory on sys.path that packages can be put in as if installed."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


def install(site: Path, name: str, target: str, contents: dict[str, str]) -> None:
    """Lay out a package and the metadata that an installer would write."""
    for path, text in contents.items():
        file = site / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {target}\n")
    importlib.invalidate_caches()


def write(folder: Path, key: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{key}.toml").write_text(text)
    return folder


def name_of(key: str, extra_dir: Path | None = None) -> str:
    return load_catalogue(extra_dir).get(key).provider.name


def test_the_schema_is_a_valid_schema() -> None:
    Draft202012Validator.check_schema(
        json.loads(PROVIDERS.joinpath("provider.schema.json").read_text(encoding="utf-8"))
    )


def test_every_field_of_the_schema_is_described_and_no_other_is_allowed() -> None:
    schema = json.loads(PROVIDERS.joinpath("provider.schema.json").read_text(encoding="utf-8"))
    parameters = schema["$defs"]["parameters"]["items"]
    sections = [schema["properties"][name] for name in ("oauth", "api_key", "identity")]
    for table in (schema, parameters, *sections):
        assert table["additionalProperties"] is False
    for name, value in [*schema["properties"].items(), *parameters["properties"].items()]:
        assert "description" in value, name
    for name, value in sections[2]["properties"].items():
        assert "description" in value, name


@pytest.mark.parametrize("key", SHIPPED)
def test_a_shipped_file_points_editors_to_its_schema(key: str) -> None:
    first, _ = PROVIDERS.joinpath(f"{key}.toml").read_text(encoding="utf-8").split("\n", maxsplit=1)
    assert PROVIDERS.joinpath(first.removeprefix("#:schema ./")).is_file()


@pytest.mark.parametrize("key", SHIPPED)
def test_a_shipped_file_passes_what_others_are_held_to_at_each_start(key: str) -> None:
    name = f"{key}.toml"
    assert (
        ProviderFile(name, key, PROVIDERS.joinpath(name).read_text(encoding="utf-8")).parse().provider.key
        == key
    )


def test_all_are_given_by_key() -> None:
    assert [provider.key for provider in load_catalogue(None, entry_points=False).all()] == SHIPPED


def test_an_unknown_provider_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInput) as caught:
        load_catalogue(None, entry_points=False).get("foo")
    assert caught.value.details == (("provider", f"'foo' is not a provider; one of {', '.join(SHIPPED)}"),)


def test_a_directory_adds_a_provider(tmp_path: Path) -> None:
    assert name_of("acme", write(tmp_path / "extra", "acme", ACME)) == "Acme"


def test_a_directorys_file_overrides_a_shipped_one(tmp_path: Path) -> None:
    text = ACME.replace('"acme"', '"stripe"', 1).replace("Acme", "Our Stripe")
    catalogue = load_catalogue(write(tmp_path / "extra", "stripe", text), entry_points=False)
    assert catalogue.get("stripe").provider.name == "Our Stripe"
    assert [provider.key for provider in catalogue.all()] == SHIPPED


def test_only_toml_files_of_a_directory_are_read(tmp_path: Path) -> None:
    folder = write(tmp_path / "extra", "acme", ACME)
    (folder / "README.md").write_text("not a provider")
    (folder / "acme.toml.bak").write_text("not a provider either")
    assert len(load_catalogue(folder, entry_points=False).all()) == len(SHIPPED) + 1


def test_a_directory_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="is not a directory"):
        load_catalogue(tmp_path / "absent", entry_points=False)


def test_a_package_brings_its_toml_files(site: Path) -> None:
    install(site, "acme_files", "acme_files", {"acme_files/__init__.py": "", "acme_files/acme.toml": ACME})
    assert name_of("acme") == "Acme"


def test_a_package_brings_an_object_of_its_own(site: Path) -> None:
    install(site, "acme_object", "acme_object:adapter", {"acme_object.py": OBJECT})
    adapter = load_catalogue(None).get("acme")
    assert adapter.provider.name == "Acme of an object"
    assert adapter.read(ProviderAnswer(status=418, body=None), connection_config={}, token={}) == 418  # type: ignore[comparison-overlap]  # the object of this test answers so


def test_installed_packages_can_be_left_out(site: Path) -> None:
    install(site, "acme_object", "acme_object:adapter", {"acme_object.py": OBJECT})
    assert len(load_catalogue(None, entry_points=False).all()) == len(SHIPPED)


def test_a_package_overrides_a_shipped_provider_and_a_directory_overrides_both(
    site: Path, tmp_path: Path
) -> None:
    text = ACME.replace('"acme"', '"stripe"', 1)
    install(site, "acme_files", "acme_files", {"acme_files/__init__.py": "", "acme_files/stripe.toml": text})
    assert name_of("stripe") == "Acme"
    ours = write(tmp_path / "extra", "stripe", text.replace("Acme", "Ours"))
    assert name_of("stripe", ours) == "Ours"


def test_two_packages_may_not_bring_the_same_provider(site: Path) -> None:
    install(site, "acme_files", "acme_files", {"acme_files/__init__.py": "", "acme_files/acme.toml": ACME})
    install(site, "acme_object", "acme_object:adapter", {"acme_object.py": OBJECT})
    with pytest.raises(CatalogueError, match=r"'acme_object'.*brings 'acme', which another package brings"):
        load_catalogue(None)


@pytest.mark.parametrize(
    ("target", "module", "reason"),
    [
        ("acme_bad", "", "is not a package that holds TOML files"),
        ("acme_bad:nothing", "nothing = None", "is neither a package nor an object"),
        ("acme_bad:Acme", OBJECT.replace("provider = Provider", "other = Provider"), "is neither a package"),
        ("acme_bad:absent", "", "cannot be loaded: AttributeError"),
        ("acme_bad", "1 / 0", r"cannot be loaded: ZeroDivisionError\('division by zero'\)"),
        ("acme_absent", "", "cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_a_package_that_is_no_use_stops_the_start(site: Path, target: str, module: str, reason: str) -> None:
    install(site, "acme_bad", target, {"acme_bad.py": dedent(module)})
    with pytest.raises(CatalogueError, match=rf"entry point 'acme_bad' \({target}\): {reason}"):
        load_catalogue(None)


def test_a_packages_bad_file_is_named(site: Path) -> None:
    bad = {"acme_files/__init__.py": "", "acme_files/acme.toml": ACME.replace("integration", "integraton")}
    install(site, "acme_files", "acme_files", bad)
    with pytest.raises(CatalogueError, match=r"acme_files.acme\.toml:7: oauth\.integraton: is not known"):
        load_catalogue(None)
