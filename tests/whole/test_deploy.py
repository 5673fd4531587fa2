"""The files of `deploy/`: valid by the schemas of what reads them, and their commands are commands of lthray."""

import copy
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import kubernetes_validate
import pandas as pd
import pytest
import yaml
from botocore.session import get_session
from botocore.validate import ParamValidator
from click import Context
from packaging.requirements import Requirement
from typer.main import get_command
from typer.testing import CliRunner

from tests.helpers import ROOT, TINY, environment, lthray, tables

DEPLOY = ROOT / "deploy"
SLURM = DEPLOY / "slurm.sh"


def closed(required: list[str], **properties: object) -> dict[str, object]:
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


TEXT, FLAG = {"type": "string"}, {"type": "boolean"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
TEXTS = {"type": "object", "additionalProperties": TEXT}
POD = {"type": "object", "required": ["spec"]}  # Kubernetes' own schema, below

# The part of KubeRay's RayJob that rayjob.yaml uses, condensed by hand from the RayJob CRD and the Go types that it is
# generated from (ray-project/kuberay: helm-chart/kuberay-operator/crds/ray.io_rayjobs.yaml, ray-operator/apis/ray/v1/
# rayjob_types.go and raycluster_types.go). Closed: Kubernetes drops or refuses fields that a CRD does not have.
RAYJOB = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=closed(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 47}),
    spec=closed(
        ["entrypoint", "rayClusterSpec"],
        entrypoint=TEXT,
        runtimeEnvYAML=TEXT,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode"]},
        backoffLimit=COUNT,
        shutdownAfterJobFinishes=FLAG,
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=closed(
            ["headGroupSpec"],
            rayVersion=TEXT,
            headGroupSpec=closed(["template"], rayStartParams=TEXTS, template=POD),
            workerGroupSpecs={
                "type": "array",
                "items": closed(
                    ["groupName", "maxReplicas", "minReplicas", "template"],
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=TEXTS,
                    template=POD,
                ),
            },
        ),
    ),
)


@pytest.fixture
def cluster() -> dict:
    return yaml.safe_load((DEPLOY / "cluster.yaml").read_text())


@pytest.fixture
def rayjob() -> dict:
    return yaml.safe_load((DEPLOY / "rayjob.yaml").read_text())


def groups(rayjob: dict) -> list[dict]:
    spec = rayjob["spec"]["rayClusterSpec"]
    return [spec["headGroupSpec"], *spec["workerGroupSpecs"]]


def launchable(config: dict) -> None:
    """Ray's own validation of a launcher file, and Amazon's of the instances in it."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(config)))
    shape = get_session().get_service_model("ec2").operation_model("RunInstances").input_shape
    for node in config["available_node_types"].values():
        report = ParamValidator().validate(node["node_config"] | {"MinCount": 1, "MaxCount": 1}, shape)
        assert not report.has_errors(), report.generate_report()


def applicable(rayjob: dict) -> None:
    """The RayJob's fields, and Kubernetes' own schema for its pods."""
    jsonschema.validate(rayjob, RAYJOB)
    for group in groups(rayjob):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": group["template"]}
        kubernetes_validate.validate(pod, "1.30", strict=True)


def test_the_cluster_launcher_takes_its_file(cluster):
    launchable(cluster)


@pytest.mark.parametrize(
    ("where", "key"),
    [
        ((), "max_wokers"),
        (("auth",), "user"),
        (("docker",), "gpu_image"),
        (("available_node_types", "gpu_worker", "node_config"), "InstanceMarketOption"),
    ],
)
def test_the_check_of_the_launcher_file_finds_a_wrong_key(where, key, cluster):
    part = cluster
    for name in where:
        part = part[name]
    part[key] = "x"
    with pytest.raises((jsonschema.ValidationError, AssertionError), match=key):
        launchable(cluster)


def test_what_the_launcher_copies_is_there_and_enough_to_install(cluster):
    copied = cluster["file_mounts"]
    for there, here in copied.items():
        assert (ROOT / here).exists()
        assert there == f"/home/ray/lthray/{here}"
    assert installs(cluster["setup_commands"][0]) == "/home/ray/lthray"
    built = dict(line.split()[-2:] for line in dockerfile("COPY") if line.count(" ") == 3)
    first = next(line for line in dockerfile("COPY") if line.count(" ") > 3)
    assert {*first.split()[2:-1], *built} == {*copied.values(), "sweeps"}


def dockerfile(instruction: str) -> list[str]:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{instruction} ")]


def installs(command: str) -> str:
    """The folder that a pip command installs, with extras that there are, or that are coming."""
    words = shlex.split(command)
    assert words[:2] == ["pip", "install"]
    folder, extras = re.fullmatch(r"([\w/.]+)\[(.*)\]", words[-1]).groups()
    assert set(extras.split(",")) <= {"cluster", "s3"}
    return folder


def test_the_image_installs_what_it_copies():
    (run,) = dockerfile("RUN")
    assert installs(run.removeprefix("RUN ")) == "/home/ray/lthray"
    for line in dockerfile("COPY"):
        for source in line.split()[2:-1]:
            assert (ROOT / source).exists()


def test_all_files_name_one_ray_that_lthray_takes(cluster, rayjob):
    (image,) = dockerfile("FROM")
    versions = {
        re.search(r"rayproject/ray:([\d.]+)-py312", text)[1]
        for text in (image, cluster["docker"]["image"], cluster["docker"]["head_image"])
    } | {rayjob["spec"]["rayClusterSpec"]["rayVersion"]}
    assert len(versions) == 1
    project = (ROOT / "pyproject.toml").read_text()
    (ray,) = (Requirement(text) for text in re.findall(r'"(ray\[tune\][^"]*)"', project))
    assert ray.specifier.contains(versions.pop())


def test_kuberay_takes_the_rayjob(rayjob):
    applicable(rayjob)


@pytest.mark.parametrize("spoil", ["entrypoit", "replicas", "containers", "rayStartParams"])
def test_the_check_of_the_rayjob_finds_mistakes(spoil, rayjob):
    head, worker = groups(rayjob)
    match spoil:
        case "entrypoit":
            rayjob["spec"]["entrypoit"] = "x"
        case "replicas":
            worker["replicas"] = "four"
        case "containers":
            worker["template"]["spec"]["containers"][0]["imge"] = "x"
        case "rayStartParams":
            head["rayStartParams"]["num-cpus"] = 0
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        applicable(rayjob)


def test_the_rayjob_runs_the_paper_on_gpu_workers_with_fractions(rayjob, s3):
    from lthray.cli.main import app
    from lthray.spec.sweepfile import load

    words = shlex.split(rayjob["spec"]["entrypoint"])
    assert words[:4] == ["python", "-m", "lthray", "sweep"]
    sweep = words[4].removeprefix("/home/ray/lthray/")
    assert sweep == "sweeps/paper.yaml"
    assert {"/home/ray/lthray"} == {line.split()[1] for line in dockerfile("WORKDIR")}
    given = [word for i, word in enumerate(words) if words[i - 1] == "--set"]
    assert load(ROOT / sweep, given)[0].resources.gpus == 0.25
    # the image, the sweep file and the bucket are as they would be there; the options must be what the command takes
    ran = CliRunner().invoke(app, [words[3], str(ROOT / sweep), *words[5:], "--dry-run"])
    assert ran.exit_code == 0, ran.output
    assert "1,890 trainings" in ran.output

    head, worker = groups(rayjob)
    assert head["rayStartParams"]["num-cpus"] == "0"
    (container,) = worker["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert int(container["resources"]["limits"]["cpu"]) >= 4
    assert yaml.safe_load(rayjob["spec"]["runtimeEnvYAML"]).keys() == {"env_vars"}


def test_the_commands_in_the_slurm_script_have_options_that_there_are():
    from lthray.cli.main import app

    commands = get_command(app).commands
    text = re.sub(r"\\\n\s*", "", SLURM.read_text())
    lines = re.findall(r"^(?:python -m )?lthray (.*?)(?:\s+#.*|\s+&)?$", text, re.MULTILINE)
    assert lines
    for name, *words in map(shlex.split, lines):
        command = commands[name]
        command.make_parser(Context(command)).parse_args(words)


def test_the_slurm_script_is_clean():
    assert subprocess.run(["bash", "-n", SLURM], check=False).returncode == 0
    shellcheck = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", SLURM], capture_output=True, text=True, check=False
    )
    assert shellcheck.returncode == 0, shellcheck.stdout
    assert os.access(SLURM, os.X_OK)


@pytest.fixture
def slurm(tmp_path) -> Iterator[dict[str, str]]:
    """An allocation of two nodes that are both this machine: stand-ins for what the script asks of Slurm."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, script in {
        "scontrol": '[ "$*" = "show hostnames nodes[1-2]" ] && printf "node1\\nnode2\\n"',
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "hostname": "echo 127.0.0.1 ::1",
    }.items():
        (tools / name).write_text(f"#!/bin/bash\n{script}\n")
        (tools / name).chmod(0o755)
    yield environment(
        PATH=os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        SLURM_JOB_NODELIST="nodes[1-2]",
        SLURM_JOB_ID=str(os.getpid()),
        SLURM_CPUS_PER_TASK="1",
    )
    shutil.rmtree(f"/tmp/ray-{os.getpid()}", ignore_errors=True)


@pytest.mark.slow
def test_the_slurm_script_runs_a_sweep_on_all_nodes_and_ends_it_when_time_is_up(slurm, sweep_file, tmp_path):
    path = sweep_file(
        trajectory=TINY["trajectory"] | {"rounds": 20, "iterations": 200}, resources={"stack": 3, "gpus": 0}
    )
    with subprocess.Popen(
        [SLURM, path, "--out", tmp_path / "r"],
        env=slurm, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    ) as process:  # fmt: skip
        said = ""
        for line in process.stdout:
            said += line
            if "round 1 of 20" in line:
                process.send_signal(signal.SIGTERM)
                break
        out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said + out
    assert "interrupted: run the same command again for the rest" in out
    kept, _ = tables(tmp_path / "r")
    assert 0 < len(kept) < 6 * 21

    again = subprocess.run(
        [SLURM, path, "--out", tmp_path / "r", "--set", "rounds=1"],
        env=slurm, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert again.returncode == 0, again.stdout + again.stderr
    assert "6 of 6 trajectories complete" in again.stdout
    assert lthray("sweep", path, "--out", tmp_path / "alone", "--set", "rounds=1").returncode == 0
    for found, expected in zip(tables(tmp_path / "r"), tables(tmp_path / "alone"), strict=True):
        first = found[found["round"] <= 1].drop(columns="rounds", errors="ignore").reset_index(drop=True)
        pd.testing.assert_frame_equal(first, expected.drop(columns="rounds", errors="ignore"))
