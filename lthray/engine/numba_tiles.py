"""How the kernels are compiled, and the one product that LLVM does not compile well by itself."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

TILE = 64
"""Images that lie side by side."""
VECTOR_BYTES = 64
"""Size of a register; LLVM splits vectors where a processor has smaller ones."""

Array = np.ndarray[Any, np.dtype[Any]]
Number = np.floating[Any]
"""A scalar in the precision of the weights: with Python's floats numba would compute in double."""

F = TypeVar("F", bound=Callable[..., Any])

# Reordering sums and fusing multiplications with additions (FMA) is what makes the kernels fast. `nnan` and `ninf` are
# left out: with them LLVM may assume that nothing is NaN or infinite, and a diverged network would go unseen. Division
# by zero follows IEEE ("numpy"), and the GIL is released so that trajectories train in threads.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "error_model": "numpy",
}


def compiled(function: F) -> F:
    """Compiles a function at its first call, and caches the machine code on disk for later processes."""
    return cast(F, numba.njit(cache=True, **OPTIONS)(function))


def compiled_anew(function: F) -> F:
    """Compiles a function anew in every process; the functions that it calls may come from the cache on disk.

    A training step that numba read back from its cache rounded differently from the one that it had just compiled: the
    first process on a machine would have other results than all later ones.
    """
    return cast(F, numba.njit(**OPTIONS)(function))


@intrinsic  # type: ignore[untyped-decorator]
def weighted_sum(_: Any, out: Any, row: Any, weights: Any, which: Any, start: Any, stop: Any, rows: Any) -> Any:
    """`out[row] = sum(weights[k] * rows[which[k]] for k in range(start, stop))`, all TILE wide, held in registers.

    By itself LLVM does not keep such sums in registers, and its code takes twice as long. Each weight is added in the
    order of `k`, in one fused operation where the processor has it.
    """
    signature = types.void(out, row, weights, which, start, stop, rows)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        def data(i: int) -> Any:
            return context.make_array(signature.args[i])(context, builder, arguments[i]).data

        number = context.get_value_type(rows.dtype)
        lanes = VECTOR_BYTES // (rows.dtype.bitwidth // 8)
        vector, index = ir.VectorType(number, lanes), ir.IntType(64)
        offsets = [ir.Constant(index, lanes * i) for i in range(TILE // lanes)]
        undefined, zero = ir.Constant(vector, ir.Undefined), ir.Constant(vector, [0.0] * lanes)
        tile, first_lane = ir.Constant(index, TILE), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)

        def vectors(array: Any, at: Any) -> list[Any]:
            base = builder.gep(array, [builder.mul(at, tile)])
            return [builder.bitcast(builder.gep(base, [offset]), vector.as_pointer()) for offset in offsets]

        begin, end = arguments[4], arguments[5]
        before = builder.block
        loop, after = builder.append_basic_block("weights"), builder.append_basic_block("sum")
        builder.cbranch(builder.icmp_signed("<", begin, end), loop, after)

        builder.position_at_end(loop)
        k = builder.phi(index)
        sums = [builder.phi(vector) for _ in offsets]
        scalar = builder.load(builder.gep(data(2), [k]))
        weight = builder.shuffle_vector(
            builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0)), undefined, first_lane
        )
        added = []
        for total, pointer in zip(
            sums, vectors(data(6), builder.zext(builder.load(builder.gep(data(3), [k])), index)), strict=True
        ):
            values = builder.load(pointer, align=rows.dtype.bitwidth // 8)
            added.append(builder.fadd(builder.fmul(weight, values, flags=["contract"]), total, flags=["contract"]))
        following = builder.add(k, ir.Constant(index, 1))
        k.add_incoming(begin, before)
        k.add_incoming(following, loop)
        for total, new in zip(sums, added, strict=True):
            total.add_incoming(zero, before)
            total.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", following, end), loop, after)

        builder.position_at_end(after)
        results = [builder.phi(vector) for _ in offsets]
        for result, new in zip(results, added, strict=True):
            result.add_incoming(zero, before)
            result.add_incoming(new, loop)
        for result, pointer in zip(results, vectors(data(0), arguments[1]), strict=True):
            builder.store(result, pointer, align=rows.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, generate
