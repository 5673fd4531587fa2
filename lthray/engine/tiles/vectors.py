"""The sums of products that LLVM does not compile well by itself, each in an order that no processor changes."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lthray.engine.tiles.compiling import TILE
from lthray.engine.tiles.emitter import INDEX, LINE, REGISTER, REGISTERS, Emitter

ROWS = 6
"""Rows that `multiply_block` computes together. Units of dense networks are padded to a multiple of it."""


def _row(emit: Emitter, index: Any, k: Any) -> Any:
    """Where in an array (units, TILE) the row of the unit `index[k]` begins."""
    builder = emit.builder
    return builder.mul(builder.zext(builder.load(builder.gep(index, [k])), INDEX), ir.Constant(INDEX, TILE))


def _four_rows(emit: Emitter, index: Any, k: Any) -> list[Any]:
    """`_row` for k and the three after it, whose numbers are read together: loads are what limits these kernels."""
    builder = emit.builder
    numbers = builder.load(builder.bitcast(builder.gep(index, [k]), INDEX.as_pointer()), align=2)
    # x86 and ARM are little-endian: the first of the four is in the lowest bits.
    shifted = [builder.lshr(numbers, ir.Constant(INDEX, 16 * i)) for i in range(4)]
    return [
        builder.mul(builder.and_(number, ir.Constant(INDEX, 2**16 - 1)), ir.Constant(INDEX, TILE)) for number in shifted
    ]


def _whole_fours(builder: ir.IRBuilder, start: Any, stop: Any) -> Any:
    """The end of the groups of four from `start` on that end before `stop`."""
    length = builder.sub(stop, start)
    return builder.add(start, builder.and_(length, ir.Constant(INDEX, -4)))


@intrinsic  # type: ignore[untyped-decorator]
def weighted_sum(
    _: Any, out: Any, row: Any, start: Any, stop: Any, first: Any, weights: Any, which: Any, rows: Any
) -> Any:
    """`out[row] (+)= sum(weights[k] * rows[which[k]] for k in range(start, stop))`, all TILE wide.

    With `first` the sum begins at zero, else at what `out[row]` holds. Weights are added in the order of k.
    """
    signature = types.void(out, row, start, stop, first, weights, which, rows)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, rows.dtype, LINE // (rows.dtype.bitwidth // 8))
        offsets, tile = range(0, TILE, emit.lanes), ir.Constant(INDEX, TILE)
        into, weight, index, source = (emit.data(signature.args[i], arguments[i]) for i in (0, 5, 6, 7))
        base = builder.gep(into, [builder.mul(arguments[1], tile)])
        targets = [emit.pointer(base, offset) for offset in offsets]

        def add(k: Any, at: Any, sums: list[Any]) -> list[Any]:
            factor = emit.splat(builder.load(builder.gep(weight, [k])))
            values = [emit.load(emit.pointer(source, at, offset)) for offset in offsets]
            return [emit.multiply_add(factor, *pair) for pair in zip(values, sums, strict=True)]

        def add_four(k: Any, sums: list[Any]) -> list[Any]:
            for i, at in enumerate(_four_rows(emit, index, k)):
                sums = add(builder.add(k, ir.Constant(INDEX, i)), at, sums)
            return sums

        sums = [builder.select(arguments[4], emit.zero, emit.load(target)) for target in targets]
        start, stop = arguments[2:4]
        fours = _whole_fours(builder, start, stop)
        sums = emit.repeat(start, fours, sums, add_four, 4)
        sums = emit.repeat(fours, stop, sums, lambda k, sums: add(k, _row(emit, index, k), sums))
        for total, target in zip(sums, targets, strict=True):
            emit.store(total, target)
        return context.get_dummy_value()

    return signature, generate


def _make_multiply(registers: int) -> Any:
    """An intrinsic that computes blocks of ROWS rows of `registers` registers; see `multiply`."""

    @intrinsic  # type: ignore[untyped-decorator]
    def multiply_block(
        _: Any,
        out: Any,
        out_at: Any,
        out_row: Any,
        weights: Any,
        weight_at: Any,
        weight_row: Any,
        weight_step: Any,
        factors: Any,
        factor_at: Any,
        factor_step: Any,
        count: Any,
        first: Any,
    ) -> Any:
        signature = types.void(
            out, out_at, out_row, weights, weight_at, weight_row, weight_step, factors, factor_at, factor_step, count,
            first,
        )  # fmt: skip

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            emit = Emitter(context, builder, factors.dtype, REGISTER // (factors.dtype.bitwidth // 8))
            offsets = [i * emit.lanes for i in range(registers)]
            into, weight, factor = (
                builder.gep(emit.data(signature.args[i], arguments[i]), [arguments[i + 1]]) for i in (0, 3, 7)
            )
            rows = [builder.mul(arguments[2], ir.Constant(INDEX, row)) for row in range(ROWS)]
            targets = [emit.pointer(into, row, offset) for row in rows for offset in offsets]
            kept = [emit.load(target) for target in targets]
            starts = [builder.mul(arguments[5], ir.Constant(INDEX, row)) for row in range(ROWS)]

            def add(k: Any, sums: list[Any]) -> list[Any]:
                at = builder.gep(factor, [builder.mul(k, arguments[9])])
                values = [emit.load(emit.pointer(at, offset)) for offset in offsets]
                scalars = builder.gep(weight, [builder.mul(k, arguments[6])])
                added = []
                for row, start in enumerate(starts):
                    scalar = emit.splat(builder.load(builder.gep(scalars, [start])))
                    before = sums[row * registers : (row + 1) * registers]
                    added += [emit.multiply_add(scalar, *pair) for pair in zip(values, before, strict=True)]
                return added

            sums = [builder.select(arguments[11], emit.zero, value) for value in kept]
            sums = emit.repeat(ir.Constant(INDEX, 0), arguments[10], sums, add)
            for total, target in zip(sums, targets, strict=True):
                emit.store(total, target)
            return context.get_dummy_value()

        return signature, generate

    return multiply_block


multiply_block = _make_multiply(REGISTERS)
"""`out[r, c] (+)= sum(weights[r, k] * factors[k, c] for k in range(count))` for ROWS rows r and `width` columns c.

Each of the three arrays is given with the index of its first number and with its strides, in numbers; columns lie next
to each other. With `first` the sums begin at zero, else at what `out` holds; products are added in the order of k.
"""
multiply_register = _make_multiply(1)
"""As `multiply_block`, for the columns of a single register."""


def width(number: np.dtype[Any]) -> int:
    """The columns of `multiply_block`."""
    return REGISTERS * lanes(number)


def lanes(number: np.dtype[Any]) -> int:
    """The columns of `multiply_register`."""
    return REGISTER // number.itemsize


def _make_dots(passes: int) -> Any:
    @intrinsic  # type: ignore[untyped-decorator]
    def dots(
        _: Any, out: Any, first: Any, slope: Any, at: Any, unit: Any, which: Any, start: Any, stop: Any, active: Any
    ) -> Any:
        signature = types.void(out, first, slope, at, unit, which, start, stop, active)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
            emit = Emitter(context, builder, active.dtype, LINE // (active.dtype.bitwidth // 8))
            into, slopes, index, inputs = (emit.data(signature.args[i], arguments[i]) for i in (0, 2, 5, 8))
            tile = ir.Constant(INDEX, TILE)
            # Both arrays are (passes, units, TILE), so that a pass is as long in one as in the other.
            array = context.make_array(signature.args[8])(context, builder, arguments[8])
            size = builder.mul(builder.extract_value(array.shape, 1), tile)
            begins = [builder.mul(builder.add(arguments[3], ir.Constant(INDEX, i)), size) for i in range(passes)]
            row = builder.mul(arguments[4], tile)
            held = [
                emit.load(emit.pointer(slopes, begin, row, offset))
                for begin in begins
                for offset in range(0, TILE, emit.lanes)
            ]

            places = [(begin, offset) for begin in begins for offset in range(0, TILE, emit.lanes)]

            def products(source: Any) -> Any:
                total = emit.zero
                for value, (begin, offset) in zip(held, places, strict=True):
                    total = emit.multiply_add(value, emit.load(emit.pointer(inputs, begin, source, offset)), total)
                return total

            def add(k: Any, _: list[Any]) -> list[Any]:
                target = builder.gep(into, [k])
                before = builder.select(arguments[1], ir.Constant(emit.number, 0.0), builder.load(target))
                builder.store(builder.fadd(emit.sum(products(_row(emit, index, k))), before), target)
                return []

            def add_four(k: Any, _: list[Any]) -> list[Any]:
                target = emit.pointer(builder.gep(into, [k]), lanes=4)
                sums = emit.sums([products(row) for row in _four_rows(emit, index, k)])
                zero = ir.Constant(sums.type, [0.0] * 4)
                emit.store(builder.fadd(sums, builder.select(arguments[1], zero, emit.load(target))), target)
                return []

            start, stop = arguments[6:8]
            fours = _whole_fours(builder, start, stop)
            emit.repeat(start, fours, [], add_four, 4)
            emit.repeat(fours, stop, [], add)
            return context.get_dummy_value()

        return signature, generate

    return dots


add_dots = _make_dots(1)
"""`out[k] (+)= sum(slope[at, unit, b] * active[at, which[k], b] for b in range(TILE))` for k from `start` to `stop`.

`slope` and `active` are (passes, units, TILE). With `first` the value replaces what `out` holds. Every eighth or
sixteenth product, as many as a cache line holds, is added to one of as many sums, whose halves are then added.
"""
add_dots_of_two = _make_dots(2)
"""As `add_dots`, over the passes `at` and `at + 1`."""


@intrinsic  # type: ignore[untyped-decorator]
def ascend(
    _: Any, into: Any, source: Any, natural: Any, slope: Any, row: Any, step_size: Any, epsilon: Any, white: Any
) -> Any:
    """Moves a row of TILE pixels by `step_size` along the sign of their slopes, and not where a slope is zero.

    The result is projected to the ε-ball around the natural pixels and to [0, `white`]. All arrays are (units, TILE),
    and `into` may be `source`: in a loop of numba's, LLVM would take numbers one by one, because they may overlap.
    """
    signature = types.void(into, source, natural, slope, row, step_size, epsilon, white)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, into.dtype, LINE // (into.dtype.bitwidth // 8))
        at = builder.mul(arguments[4], ir.Constant(INDEX, TILE))
        target, *sources = (emit.data(signature.args[i], arguments[i]) for i in range(4))
        step, radius, largest = (emit.splat(arguments[i]) for i in (5, 6, 7))
        back = builder.fsub(emit.zero, step)

        def bounded(value: Any, comparison: str, bound: Any) -> Any:
            return builder.select(builder.fcmp_ordered(comparison, value, bound), bound, value)  # NaN stays

        for offset in range(0, TILE, emit.lanes):
            image, natural_image, gradient = (emit.load(emit.pointer(array, at, offset)) for array in sources)
            low = bounded(builder.fsub(natural_image, radius), "<", emit.zero)
            high = bounded(builder.fadd(natural_image, radius), ">", largest)
            down = builder.select(builder.fcmp_ordered("<", gradient, emit.zero), back, emit.zero)
            change = builder.select(builder.fcmp_ordered(">", gradient, emit.zero), step, down)
            moved = bounded(bounded(builder.fadd(image, change), "<", low), ">", high)
            emit.store(moved, emit.pointer(target, at, offset))
        return context.get_dummy_value()

    return signature, generate


@intrinsic  # type: ignore[untyped-decorator]
def exp_below(_: Any, out: Any, source: Any, row: Any, top: Any) -> Any:
    """`out[row] = exp(source[row] - top)` for a row of (units, TILE) that is nowhere above `top` (TILE,)."""
    signature = types.void(out, source, row, top)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, out.dtype, LINE // (out.dtype.bitwidth // 8))
        into, values, largest = (emit.data(signature.args[i], arguments[i]) for i in (0, 1, 3))
        at = builder.mul(arguments[2], ir.Constant(INDEX, TILE))
        for offset in range(0, TILE, emit.lanes):
            value, bound = emit.load(emit.pointer(values, at, offset)), emit.load(emit.pointer(largest, offset))
            emit.store(emit.exp(builder.fsub(value, bound)), emit.pointer(into, at, offset))
        return context.get_dummy_value()

    return signature, generate
