"""Turning images that lie one after the other into tiles, and back."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from lthray.engine.tiles.compiling import Array, compiled
from lthray.engine.tiles.emitter import INDEX, REGISTER, Emitter


@intrinsic  # type: ignore[untyped-decorator]
def _transpose_square(_: Any, into: Any, into_row: Any, into_column: Any, source: Any, row: Any, column: Any) -> Any:
    """`into[into_row + j, into_column + i] = source[row + i, column + j]` for as many i and j as a register is long."""
    signature = types.void(into, into_row, into_column, source, row, column)

    def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Any) -> Any:
        emit = Emitter(context, builder, source.dtype, REGISTER // (source.dtype.bitwidth // 8))

        def rows(position: int) -> list[Any]:
            array = context.make_array(signature.args[position])(context, builder, arguments[position])
            length = builder.extract_value(array.shape, 1)
            first, begin = arguments[position + 1], arguments[position + 2]
            starts = [builder.mul(builder.add(first, ir.Constant(INDEX, i)), length) for i in range(emit.lanes)]
            return [emit.pointer(array.data, start, begin) for start in starts]

        vectors = [emit.load(pointer) for pointer in rows(3)]
        step = 1
        while step < emit.lanes:  # swaps the two off-diagonal quarters of every square of 2 * step rows
            for i in (i for i in range(emit.lanes) if not i & step):
                vectors[i], vectors[i + step] = (
                    emit.shuffle(vectors[i], vectors[i + step], _halves(emit.lanes, step, half)) for half in (0, 1)
                )
            step *= 2
        for vector, pointer in zip(vectors, rows(0), strict=True):
            emit.store(vector, pointer)
        return context.get_dummy_value()

    return signature, generate


def _halves(lanes: int, step: int, half: int) -> list[int]:
    """Which numbers of two rows stand in the first or in the second of them after a swap."""
    return [(lane & ~step) + step * half + (lanes if lane & step else 0) for lane in range(lanes)]


@compiled
def transpose(
    into: Array,
    into_row: int,
    into_column: int,
    source: Array,
    row: int,
    column: int,
    rows: int,
    columns: int,
    side: int,
) -> None:
    """`into[into_row + j, into_column + i] = source[row + i, column + j]` for i < rows and j < columns.

    Args:
        into: Where to write to.
        into_row: Its first row.
        into_column: Its first column.
        source: Where to read from.
        row: Its first row.
        column: Its first column.
        rows: Rows to read.
        columns: Columns to read.
        side: Numbers in a register. Where rows or columns are no multiple of it, the last squares overlap.
    """
    if rows < side or columns < side:
        for j in range(columns):
            for i in range(rows):
                into[into_row + j, into_column + i] = source[row + i, column + j]
        return
    for j in range(0, columns, side):
        for i in range(0, rows, side):
            y, x = min(i, rows - side), min(j, columns - side)
            _transpose_square(into, into_row + x, into_column + y, source, row + y, column + x)
