"""Who may be asked to run stages, and by which certificates."""

import asyncio
import stat
from pathlib import Path

import dask
import pytest
import yaml
from distributed import Client, Scheduler

from pipeline.base.errors import PipelineError
from pipeline.cluster import certificates, order


@pytest.mark.parametrize(
    "address",
    [
        "tls://host.example.org:8786",
        "tcp://127.0.0.1:8786",
        "tcp://localhost:1",
        "tcp://[::1]:8786",
    ],
)
def test_addresses_that_are_encrypted_or_here(address: str) -> None:
    order.expect_private(address, plain=False)


@pytest.mark.parametrize("address", ["tcp://host.example.org:8786", "tcp://10.0.0.7:8786"])
def test_an_address_elsewhere_needs_encryption_or_the_users_word(address: str) -> None:
    with pytest.raises(PipelineError, match=r"can run anything on all its machines; use tls://"):
        order.expect_private(address, plain=False)
    order.expect_private(address, plain=True)


@pytest.mark.parametrize("address", ["host:8786", "tls://host", "http://host:8786", "8786"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(PipelineError, match=rf"expected an address like tls.*found {address}"):
        order.expect_private(address, plain=True)


def test_certificates_let_in_who_has_them_and_nobody_else(tmp_path: Path) -> None:
    for name in ("ours.yaml", "others.yaml"):
        certificates.write(tmp_path / name)
    ours, others = (
        yaml.safe_load((tmp_path / name).read_text()) for name in ("ours.yaml", "others.yaml")
    )

    def configured(with_: dict[str, object]) -> dask.config.set:
        """As if a file of DASK_CONFIG said so."""
        return dask.config.set(dask.config.merge(dask.config.config, with_))

    async def connected(address: str, config: dict[str, object]) -> bool:
        with configured(config):
            try:
                async with Client(address, asynchronous=True, timeout=5):
                    return True
            except (OSError, TimeoutError, RuntimeError):
                return False

    async def try_both() -> list[bool]:
        with configured(ours):
            scheduler = Scheduler(protocol="tls", host="127.0.0.1", dashboard_address="127.0.0.1:0")
        async with scheduler:
            return [await connected(scheduler.address, config) for config in (ours, others)]

    assert asyncio.run(try_both()) == [True, False]


def test_certificates_are_readable_by_their_owner_alone_and_never_replaced(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    certificates.write(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    before = file.read_bytes()
    with pytest.raises(PipelineError, match=r"cluster\.yaml: expected no such file"):
        certificates.write(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("https://me:secret@example.org/it.git", "https://example.org/it.git"),
        ("https://token@example.org/it.git", "https://example.org/it.git"),
        ("ssh://git@example.org/it.git", "ssh://git@example.org/it.git"),
        ("git@example.org:it.git", "git@example.org:it.git"),
        ("/srv/it.git", "/srv/it.git"),
    ],
)
def test_workers_are_told_no_password(address: str, told: str) -> None:
    assert order.without_password(address) == told
