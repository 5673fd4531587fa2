"""Which vector instructions the libraries use, and how to do without AVX-512 for a comparison."""

import os
from importlib.metadata import PackageNotFoundError, version

import llvmlite.binding
import numba
import torch
from packaging.version import Version

from lthray.errors import InputError


def used_instructions() -> dict[str, str]:
    """The widest vector instructions of torch's own kernels and of those that numba compiles, by library."""
    features = (numba.config.CPU_FEATURES or llvmlite.binding.get_host_cpu_features().flatten()).split(",")
    widest = next((name for flag, name in (("+avx512f", "AVX512"), ("+avx2", "AVX2")) if flag in features), "DEFAULT")
    return {"torch": torch.backends.cpu.get_cpu_capability(), "numba": widest}


def avx2_environment() -> dict[str, str]:
    """The environment variables under which a new process uses AVX2 and no AVX-512.

    Each library has its own switch. YNNPACK, which computes XLA's matrix products from some version of JAX on, has
    none, so that XLA takes Eigen instead.

    Raises:
        InputError: the processor has no AVX2.
    """
    host = llvmlite.binding.get_host_cpu_features()
    if not host.get("avx2"):
        raise InputError("--avx2: this processor has no AVX2")
    kept = {name: has and not name.startswith(("avx512", "avx10", "amx")) for name, has in host.items()}
    flags = [os.environ.get("XLA_FLAGS", ""), "--xla_cpu_max_isa=AVX2"]
    if _has_ynnpack():
        flags.append("--xla_cpu_experimental_ynn_fusion_type=")
    return {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NUMBA_CPU_FEATURES": ",".join(f"{'+' if has else '-'}{name}" for name, has in kept.items()),
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "TORCHINDUCTOR_CPP_MARCH": "haswell",
        "XLA_FLAGS": " ".join(flags).strip(),
    }


def _has_ynnpack() -> bool:
    """Whether XLA knows the switch of YNNPACK; it would abort at one that it does not know."""
    try:
        return Version(version("jaxlib")) >= Version("0.9")
    except PackageNotFoundError:
        return False
