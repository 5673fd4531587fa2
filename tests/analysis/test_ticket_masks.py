import numpy as np
import pytest
from safetensors.numpy import save_file
from upath import UPath

from lthray.analysis import ticket_masks
from tests.analysis.tickets import SHAPES, random_masks, tensors


def test_masks_are_read_whichever_file_holds_them(tmp_path):
    made = {number: random_masks(number, 0.5) for number in range(13)}
    for number in (0, 3, 12):
        save_file(tensors(made[number]), tmp_path / f"round-{number:02d}.safetensors")
    together = [tensors(made[number], f"round-{number:02d}.") for number in range(1, 12)]
    save_file({name: one for part in together for name, one in part.items()}, tmp_path / "rounds-01-11.safetensors")
    save_file(tensors(made[0]), tmp_path / "round-00-iteration-500.safetensors")  # no round's
    found = ticket_masks.read(UPath(tmp_path), [0, 2, 3, 11, 12, 13])
    assert list(found) == [0, 2, 3, 11, 12]
    for number, layers in found.items():
        assert list(layers) == list(SHAPES)
        for name, mask in layers.items():
            assert (mask.shape, mask.size, mask.count) == (SHAPES[name], mask.size, made[number][name].sum())
            other = found[2][name]
            assert mask.common(other) == (made[number][name] & made[2][name]).sum()


def test_layers_come_in_their_order_and_weights_of_any_shape(tmp_path):
    shapes = {"output": (2, 3), "hidden_10": (3, 3), "hidden_2": (3, 3), "conv_1": (2, 1, 5, 5)}
    save_file(
        {f"{name}.mask": np.ones(shape, np.uint8) for name, shape in shapes.items()}, tmp_path / "round-00.safetensors"
    )
    (layers,) = ticket_masks.read(UPath(tmp_path), [0]).values()
    assert list(layers) == ["conv_1", "hidden_2", "hidden_10", "output"]
    assert (layers["conv_1"].shape, layers["conv_1"].count) == ((2, 1, 5, 5), 50)


def test_what_can_not_be_read_is_missing(tmp_path):
    for number, content in enumerate([b"", b"torn", b"\xff" * 100]):
        (tmp_path / f"round-{number:02d}.safetensors").write_bytes(content)
    save_file({"output.mask": np.ones((2, 3), np.float32)}, tmp_path / "round-03.safetensors")
    assert ticket_masks.read(UPath(tmp_path), range(5)) == {}
    assert ticket_masks.read(UPath(tmp_path / "nowhere"), [0]) == {}


@pytest.mark.slow
def test_masks_are_read_by_url(s3, tmp_path):
    save_file(tensors(random_masks(1, 0.5)), tmp_path / "x")
    (s3 / "round-01.safetensors").write_bytes((tmp_path / "x").read_bytes())
    here = random_masks(1, 0.5)
    assert {name: mask.count for name, mask in ticket_masks.read(s3, [1])[1].items()} == {
        n: m.sum() for n, m in here.items()
    }
