"""What a GPU makes of stacks: trajectories an hour, use of the chip, TF32, agreement with the CPU, the paper's grid.

    LTHRAY_DATA_DIR=FOLDER PYTHONPATH=. python benchmarks/gpu.py [--json FILE] [--sections NAME ...]

Run it from the root of the repository; FOLDER/MNIST/raw has the files of MNIST, unpacked or as .gz. It is meant to end
within ten minutes on one H100. Results are printed as they come, and FILE is written anew after each section, so that a
run that is cut off leaves what it has measured. It needs torch, torchvision, numpy, numba and pydantic, and neither Ray
nor a network. `--device cpu --quick` tries it out on tiny data.

Loops that are compared take turns; times are medians, with quartiles in brackets, and each is taken after the device
has finished its work.
"""

import argparse
import json
import logging
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from gpu_parts import runs, speed
from gpu_parts.bench import QUICK, Bench, Sizes, say

from lthray.engine.trajectory import device_name
from lthray.errors import InputError

WAYS = ("eager", "graph")
SECTIONS: dict[str, Callable[[Bench], list[dict[str, Any]]]] = {
    "speed": speed.measure_speed,
    "utilisation": speed.measure_utilisation,
    "saturation": speed.measure_saturation,
    "grid": runs.measure_grid,
    "agreement": runs.measure_agreement,
    "precision": runs.measure_precision,
    "compile": speed.measure_compiled,
}


def main() -> int:
    """Measures the sections asked for; returns 1 where one of them failed, 2 where nothing could be measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on digits-8x8: to see whether all of it runs")
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("LTHRAY_DATA_DIR", "."), help="folder of MNIST")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="how stacks train (default: all)")
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="default: all")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        say("gpu.py: PyTorch finds no CUDA device; --device cpu tries the command out", file=sys.stderr)
        return 2
    device = torch.device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(1)  # more only get in each other's way on so small products
    try:
        bench = Bench(device, QUICK if options.quick else Sizes(), Path(options.data_dir), options.ways)
    except InputError as error:
        say(f"gpu.py: {error}", file=sys.stderr)
        return 2
    machine = {"device": device_name(device), "torch": torch.__version__, "python": platform.python_version()}
    report: dict[str, Any] = {"machine": machine, "sizes": asdict(bench.sizes), "seconds": {}, "failed": []}
    say(", ".join(f"{name} {value}" for name, value in machine.items()))
    for name in options.sections:
        say(f"\n{name}: {SECTIONS[name].__doc__}")
        began = bench.clock()
        try:
            report[name] = SECTIONS[name](bench)
        except Exception:  # what the other sections measure must not be lost
            logging.exception("section %s failed", name)
            report["failed"].append(name)
        finally:
            torch.set_float32_matmul_precision("highest")
        report["seconds"][name] = bench.clock() - began
        if options.json:
            beside = options.json.with_name(f"{options.json.name}.part")
            beside.write_text(json.dumps(report, indent=1))
            beside.replace(options.json)
    return 1 if report["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
