"""A sweep whose results lie on S3: a real server, reached by URL alone."""

import json
import re

import pandas as pd
import pytest

from tests.helpers import TINY, lthray, start, tables, wait_for

pytestmark = pytest.mark.slow


def test_a_sweep_on_s3_is_watched_killed_continued_and_reported(sweep_file, s3, s3_server, tmp_path):
    fields = TINY["trajectory"] | {"rounds": 100, "iterations": 2000, "eval_every": 1000}
    sweep = sweep_file(trajectory=fields, grid={"strategy": ["reset", "continued"], "seed": [0]})
    process = start(sweep, s3, **s3_server)
    wait_for(process, "round 0 of 100")

    for _ in range(10):  # the sweep says how far it is every ten seconds
        told = json.loads(lthray("status", s3, "--json", **s3_server).stdout)
        moving = any(one["rate"] > 0 for one in told["driver"]["running"])
        if moving and told["running"] + told["complete"] == 2:  # both trials have begun
            break
    seen = lthray("status", s3, **s3_server)
    assert seen.returncode == 0, seen.stderr
    assert re.search(rf"^running since .* \(process {process.pid} on .*\): .* it/s", seen.stdout, re.M), seen.stdout
    assert any(one["rate"] > 0 for one in told["driver"]["running"])
    assert told["driver"]["alive"]
    assert told["running"] + told["complete"] == told["trajectories"] == 2
    assert 0 < told["rounds_done"] <= told["rounds"] == 202
    second = lthray("sweep", sweep, "--out", s3, **s3_server)
    assert second.returncode == 2
    assert f"another sweep is writing into this folder (process {process.pid} on " in second.stderr

    process.kill()
    process.communicate(timeout=60)
    dead = lthray("status", s3, **s3_server)
    assert f"the sweep (process {process.pid} on " in dead.stdout
    assert "is dead" in dead.stdout
    shorter = "--set", f"rounds={pd.read_parquet(f'{s3}/rounds')['round'].max() + 1}"
    again = lthray("sweep", sweep, "--out", s3, *shorter, **s3_server)
    assert again.returncode == 0, again.stdout + again.stderr
    alone = lthray("sweep", sweep, "--out", tmp_path / "alone", *shorter)
    assert alone.returncode == 0
    for found, expected in zip(tables(s3), tables(tmp_path / "alone"), strict=True):
        pd.testing.assert_frame_equal(found, expected)

    done = json.loads(lthray("status", s3, "--json", **s3_server).stdout)
    assert (done["complete"], done["running"], done["driver"]) == (2, 0, None)
    report = lthray("report", s3, cwd=tmp_path, **s3_server)
    assert report.returncode == 0, report.stderr
    assert (tmp_path / "report-run" / "index.html").stat().st_size > 10_000


def test_a_url_of_no_sweep_is_a_mistake_in_one_line(s3, s3_server):
    for command in ("status", "report"):
        process = lthray(command, s3, **s3_server)
        assert process.returncode == 2
        assert process.stderr.count("\n") == 1
        assert str(s3) in process.stderr
