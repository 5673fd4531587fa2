"""Code for vectors of numbers, written for LLVM where numba's own loops are not good enough.

Sums are chains of fused multiplications and additions in a fixed order, so a sum has the same bits whether a register
holds 4, 8 or 16 numbers, whether LLVM splits a vector, and whichever other sums are computed beside it.
"""

from collections.abc import Callable
from math import factorial
from typing import Any

import numba
import numpy as np
from llvmlite import binding, ir
from numba import types

INDEX = ir.IntType(64)
LINE = 64
"""Bytes of a cache line, and of the longest registers."""


def _has(feature: str) -> bool:
    """Whether numba compiles for processors that have `feature`."""
    chosen = numba.config.CPU_FEATURES
    if chosen is not None:
        return f"+{feature}" in chosen.split(",")
    return bool(binding.get_host_cpu_features().get(feature, False))


def _registers() -> tuple[int, int]:
    """Bytes of a vector register, and how many of them a row of `vectors.multiply_block` takes.

    Six rows of four registers, four of factors and one of a weight fit into 32 registers; into 16 fit six rows of two.
    """
    if _has("avx512f"):
        return 64, 4
    if _has("avx"):
        return 32, 2
    return (16, 4) if _has("neon") else (16, 2)


REGISTER, REGISTERS = _registers()


class Emitter:
    """Writes LLVM's code for sums of vectors of `lanes` numbers.

    Args:
        context: Numba's.
        builder: LLVM's, at the place to write to.
        number: Numba's type of the numbers.
        lanes: Numbers in a vector.
    """

    def __init__(self, context: Any, builder: ir.IRBuilder, number: types.Float, lanes: int) -> None:
        self.context, self.builder, self.lanes = context, builder, lanes
        self.number = context.get_value_type(number)
        self.size = number.bitwidth // 8
        self.vector = ir.VectorType(self.number, lanes)
        self.zero = ir.Constant(self.vector, [0.0] * lanes)
        name = f"llvm.fma.v{lanes}f{number.bitwidth}"
        declared = builder.module.globals.get(name)
        self.fma = declared or ir.Function(builder.module, ir.FunctionType(self.vector, [self.vector] * 3), name)

    def data(self, type_: Any, array: Any) -> Any:
        """The pointer to an array's numbers."""
        return self.context.make_array(type_)(self.context, self.builder, array).data

    def pointer(self, base: Any, *offsets: Any, lanes: int | None = None) -> Any:
        """`base` plus offsets in numbers, as a pointer to a vector, of other than `self.lanes` numbers if given."""
        for offset in offsets:
            base = self.builder.gep(base, [ir.Constant(INDEX, offset) if isinstance(offset, int) else offset])
        vector = self.vector if lanes is None else ir.VectorType(self.number, lanes)
        return self.builder.bitcast(base, vector.as_pointer())

    def load(self, pointer: Any) -> Any:
        """The vector at a pointer."""
        return self.builder.load(pointer, align=self.size)

    def store(self, value: Any, pointer: Any) -> None:
        """Stores a vector."""
        self.builder.store(value, pointer, align=self.size)

    def shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        """The numbers of two vectors, one after the other, that stand at `lanes`."""
        index = ir.IntType(32)
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(index, len(lanes)), lanes))

    def splat(self, scalar: Any) -> Any:
        """A vector of one number."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        inserted = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(inserted, undefined, [0] * self.lanes)

    def multiply_add(self, a: Any, b: Any, total: Any) -> Any:
        """`a * b + total`, rounded once."""
        return self.builder.call(self.fma, [a, b, total])

    def sum(self, vector: Any) -> Any:
        """The sum of a vector's numbers: its halves are added until one number is left."""
        return self.builder.extract_element(self.sums([vector]), ir.Constant(ir.IntType(32), 0))

    def sums(self, vectors: list[Any]) -> Any:
        """A vector of the sums of 1, 2 or 4 vectors' numbers, each added as in `sum`; two share a register."""
        lanes, groups = self.lanes, 1
        while lanes > 1:
            count = groups * (2 if len(vectors) > 1 else 1)
            low = [group * lanes + lane for group in range(count) for lane in range(lanes // 2)]
            high = [lane + lanes // 2 for lane in low]
            pairs = zip(vectors[::2], vectors[1::2] or vectors, strict=True)
            vectors = [self.builder.fadd(self.shuffle(a, b, low), self.shuffle(a, b, high)) for a, b in pairs]
            lanes, groups = lanes // 2, count
        return vectors[0]

    def exp(self, x: Any) -> Any:
        """The exponential of numbers that are not positive; NaN stays.

        In single precision numbers below -87 give 0, and the others their exponential within a unit in the last place:
        2^n times e^r, where n is the nearest whole number to x / ln 2, and e^r the first eight terms of its series.
        """
        builder = self.builder
        if self.size != 4:
            name = f"llvm.exp.v{self.lanes}f{8 * self.size}"
            declared = builder.module.globals.get(name)
            exp = declared or ir.Function(builder.module, ir.FunctionType(self.vector, [self.vector]), name)
            return builder.call(exp, [x])

        def constant(value: float) -> Any:
            return ir.Constant(self.vector, [float(np.float32(value))] * self.lanes)

        integers = ir.VectorType(ir.IntType(32), self.lanes)
        # Added to a number, 1.5 * 2^23 leaves its nearest whole number in the lowest bits.
        shift = constant(1.5 * 2**23)
        shifted = self.multiply_add(x, constant(1 / np.log(2)), shift)
        n = builder.fsub(shifted, shift)
        # ln 2 in two parts, the first of which has so few digits that its products with n are exact.
        high = 355 / 512
        r = self.multiply_add(n, constant(-high), x)
        r = self.multiply_add(n, constant(high - np.log(2)), r)
        series = constant(1 / factorial(7))
        for power in range(6, -1, -1):
            series = self.multiply_add(series, r, constant(1 / factorial(power)))
        exponent = builder.shl(builder.bitcast(shifted, integers), ir.Constant(integers, [23] * self.lanes))
        scale = builder.bitcast(builder.add(exponent, builder.bitcast(constant(1), integers)), self.vector)
        tiny = builder.fcmp_ordered("<", x, constant(-87))
        return builder.select(tiny, self.zero, builder.fmul(series, scale))

    def repeat(
        self, start: Any, stop: Any, sums: list[Any], add: Callable[[Any, list[Any]], list[Any]], step: int = 1
    ) -> list[Any]:
        """The values of `sums` after `sums = add(k, sums)` for k from `start` to `stop`, held in registers.

        Args:
            start: The first k.
            stop: What every k is below; a multiple of `step` from `start` on.
            sums: The values at first.
            add: Writes the code of one turn, and returns the values after it.
            step: How far k moves on in a turn.
        """
        builder = self.builder
        before = builder.block
        loop, after = builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", start, stop), loop, after)
        builder.position_at_end(loop)
        k = builder.phi(INDEX)
        current = [builder.phi(value.type) for value in sums]
        added = add(k, current)
        following = builder.add(k, ir.Constant(INDEX, step))
        for phi, first, new in zip([k, *current], [start, *sums], [following, *added], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(new, loop)
        builder.cbranch(builder.icmp_signed("<", following, stop), loop, after)
        builder.position_at_end(after)
        results = [builder.phi(value.type) for value in sums]
        for result, first, new in zip(results, sums, added, strict=True):
            result.add_incoming(first, before)
            result.add_incoming(new, loop)
        return results
