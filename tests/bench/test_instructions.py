"""Without AVX-512: the libraries' switches take effect in a new process."""

import json
import subprocess
import sys

import llvmlite.binding
import pytest

from lthray.bench import instructions
from lthray.errors import InputError
from tests.helpers import ROOT, environment, lthray

HOST = llvmlite.binding.get_host_cpu_features()
needs_avx2 = pytest.mark.skipif(not HOST.get("avx2"), reason="this processor has no AVX2")
needs_avx512 = pytest.mark.skipif(not HOST.get("avx512f"), reason="this processor has no AVX-512")

PRINT_USED = """
import json
import numba, numpy as np, threadpoolctl
from lthray.bench.instructions import used_instructions

@numba.njit(fastmath=True)
def add(a, b):
    for i in range(len(a)):
        a[i] += b[i]

add(np.ones(99), np.ones(99))
code = "".join(add.inspect_asm().values())
blas = [each.get("architecture") for each in threadpoolctl.threadpool_info() if each["internal_api"] == "openblas"]
print(json.dumps({"used": used_instructions(), "zmm": "zmm" in code, "ymm": "ymm" in code, "blas": blas}))
"""


def used(**variables):
    process = subprocess.run(
        [sys.executable, "-c", PRINT_USED], capture_output=True, text=True, cwd=ROOT, env=environment(**variables)
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@needs_avx2
@needs_avx512
def test_each_library_can_do_without_avx512():
    with_, without = used(), used(**instructions.avx2_environment())
    assert with_["used"] == {"torch": "AVX512", "numba": "AVX512"}
    assert without["used"] == {"torch": "AVX2", "numba": "AVX2"}
    assert with_["zmm"]
    assert without["ymm"]
    assert not without["zmm"]
    assert set(without["blas"]) <= {"Haswell"}


def test_a_processor_without_avx2_is_refused(monkeypatch):
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", dict)
    with pytest.raises(InputError, match="--avx2: this processor has no AVX2"):
        instructions.avx2_environment()


@needs_avx2
def test_the_command_starts_again_without_avx512(tmp_path):
    loops = tmp_path / "loops.py"
    loops.write_text("LOOPS = {}\n")
    file = tmp_path / "bench.json"
    process = lthray("bench", "--avx2", "--repeats", "2", "--round", "20", "--peers", loops, "--json", file)
    assert process.returncode == 0, process.stderr
    assert json.loads(file.read_text())["machine"]["instructions"] == {"torch": "AVX2", "numba": "AVX2"}
    assert "torch AVX2, numba AVX2" in process.stdout
