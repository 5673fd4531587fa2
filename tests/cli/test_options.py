"""What the commands share: addresses of a cluster."""

import pytest

from tests.helpers import failed, lthray


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("ray://10.0.0.5:10001", ("Ray Client is not supported", "lthray submit", "--address HOST:PORT")),
        ("http://10.0.0.5:8265", ("allowed are auto, local, and HOST:PORT",)),
        ("10.0.0.5", ("allowed are auto, local, and HOST:PORT",)),
    ],
)
def test_an_address_of_another_kind_is_refused_before_anything_is_made(address, parts, sweep_file, tmp_path):
    failed(lthray("sweep", sweep_file(), "--address", address, cwd=tmp_path), f"--address {address}: ", *parts)
    assert not (tmp_path / "results").exists()


def test_a_reference_between_colons_is_no_emoji(sweep_file, tmp_path):
    failed(lthray("sweep", sweep_file(), "--set", "model=nets.py:x", cwd=tmp_path), "nets.py:x: ")


def test_ray_address_is_the_default_and_what_auto_means(sweep_file, tmp_path):
    path, wrong = sweep_file(), {"RAY_ADDRESS": "ray://10.0.0.5:10001"}
    for options in ([], ["--address", "auto"]):
        failed(lthray("sweep", path, *options, cwd=tmp_path, **wrong), "RAY_ADDRESS ray://10.0.0.5:10001: Ray Client")
    assert lthray("sweep", path, "--address", "local", "--dry-run", cwd=tmp_path, **wrong).returncode == 0
    failed(lthray("submit", path, **wrong), "ray://10.0.0.5:10001: it is the URL of the cluster's dashboard")
    assert "RAY_ADDRESS" in lthray("sweep", "--help").stdout
