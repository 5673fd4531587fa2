"""What the commands share: addresses of a cluster."""

import pytest

from tests.helpers import failed, lthray


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("ray://10.0.0.5:10001", ("Ray Client is not supported", "lthray submit", "--address HOST:PORT")),
        ("http://10.0.0.5:8265", ("neither auto nor HOST:PORT",)),
        ("10.0.0.5", ("neither auto nor HOST:PORT",)),
    ],
)
def test_an_address_of_another_kind_is_refused_before_anything_is_made(address, parts, sweep_file, tmp_path):
    failed(lthray("sweep", sweep_file(), "--address", address, cwd=tmp_path), f"--address {address}: ", *parts)
    assert not (tmp_path / "results").exists()
