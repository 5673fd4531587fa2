#!/bin/bash
# A sweep on Slurm: Ray on every node of the allocation, the sweep on the first.
#   sbatch deploy/slurm.sh sweeps/paper.yaml --out "$SCRATCH/results/paper"
# What follows the script's name goes to `lthray sweep`; --out is a folder that all nodes share. Activate the Python
# environment with lthray, the same on all nodes, before sbatch. docs/cluster.md has the rest.
#SBATCH --job-name=lthray
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-node=1
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@120
set -euo pipefail

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
cpus=${SLURM_CPUS_PER_TASK:-1}
port=$((20000 + SLURM_JOB_ID % 10000)) # others may run Ray on these nodes, too
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID" RAY_USAGE_STATS_ENABLED=0
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(16))') # nobody else gets in
export RAY_AUTH_TOKEN RAY_AUTH_MODE=token

on=(srun --nodes=1 --ntasks=1 --cpus-per-task="$cpus" --overlap)

head=$("${on[@]}" --nodelist="${nodes[0]}" hostname --ip-address | awk '{print $1}'):$port
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
for node in "${nodes[@]}"; do
  "${on[@]}" --nodelist="$node" mkdir -p "$RAY_TMPDIR"
  if [ "$node" = "${nodes[0]}" ]; then join=(--head --port="$port" --include-dashboard=false); else join=(--address="$head"); fi
  "${on[@]}" --nodelist="$node" ray start --block --num-cpus="$cpus" "${join[@]}" &
done

# The sweep is planned for the nodes that are there when it starts: wait for all of them.
timeout 600 python - "$head" "${#nodes[@]}" <<'PYTHON' || { echo "not all nodes joined $head in 10 minutes" >&2; exit 1; }
import sys, time
import ray

while not ray.is_initialized():
    try:
        ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
    except (ConnectionError, RuntimeError):
        time.sleep(2)
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]):
    time.sleep(2)
PYTHON

# Slurm's warning before the time is up ends the sweep in an orderly way; submit the same again for the rest.
python -m lthray sweep "$@" --address "$head" &
sweep=$!
trap 'kill -TERM "$sweep"' TERM
status=0
wait "$sweep" || status=$?
if kill -0 "$sweep" 2>/dev/null; then # the warning cut the wait short
  status=0
  wait "$sweep" || status=$?
fi
exit "$status"
