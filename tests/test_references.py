"""References to the user's objects, and the files that travel with them."""

import pytest

from lthray import references
from lthray.driver.own import stage
from lthray.errors import InputError

FILES = {
    "nets.py": "import blocks\nfrom parts.deep import depth\n\nclass Net:\n    Inner, depth = blocks.Block, depth\n",
    "blocks.py": "class Block:\n    pass\n",
    "parts/__init__.py": "",
    "parts/deep.py": "def depth():\n    import late\n    return late.DEPTH\n",
    "late.py": "DEPTH = 3\n",
    "unused.py": "raise RuntimeError\n",
    "broken.py": "def (:\n",
}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("text", ["nets.py:Net", "a/b.py:f", "package.module:Net.make", "torch.nn:Linear"])
def test_references_are_recognised(text):
    assert references.is_reference(text)


@pytest.mark.parametrize(
    "text", ["magnitude", "nets.py", "nets.py:", ":Net", "nets.py:1", "a b:c", "iteration:500", 3, None]
)
def test_other_values_are_no_references(text):
    assert not references.is_reference(text)


def test_the_files_that_a_reference_needs_are_found_and_nothing_else(folder):
    files = references.closure(folder, ["nets.py:Net", "torch.nn:Linear"])
    assert [*files] == ["blocks.py", "late.py", "nets.py", "parts/__init__.py", "parts/deep.py"]
    before = references.digest(files)
    (folder / "unused.py").write_text("")
    assert references.digest(references.closure(folder, ["nets.py:Net"])) == before
    (folder / "late.py").write_text("DEPTH = 4\n")
    assert references.digest(references.closure(folder, ["nets.py:Net"])) != before
    assert references.digest({}) == ""


def test_an_object_is_loaded_from_its_code_package_with_its_neighbours(folder):
    code = stage(references.closure(folder, ["nets.py:Net"]))
    net = references.load("nets.py:Net", code)
    assert (net.depth(), references.load("nets.py:Net.Inner", code).__name__) == (3, "Block")
    (folder / "blocks.py").write_text("class Block:\n    changed = True\n")
    newer = stage(references.closure(folder, ["nets.py:Net"]))
    assert references.load("nets.py:Net.Inner", newer).changed
    assert not hasattr(references.load("nets.py:Net.Inner", code), "changed")


@pytest.mark.parametrize(
    ("reference", "line"),
    [
        ("missing.py:Net", "there is no file"),
        ("broken.py:Net", "broken.py: line 1: "),
        ("../nets.py:Net", "there is no file|is outside of"),
    ],
)
def test_files_that_cannot_be_taken_along_are_refused_in_one_line(folder, reference, line):
    with pytest.raises(InputError, match=line):
        references.closure(folder, [reference])


def test_what_is_not_there_is_refused_in_one_line(folder):
    code = stage(references.closure(folder, ["nets.py:Net"]))
    for reference, line in (
        ("nets.py:Missing", "nets.py has no Missing"),
        ("other.py:Net", "no such file"),
        ("no_such_package.module:f", "there is no module no_such_package"),
        ("magnitude", "is no reference"),
    ):
        with pytest.raises(InputError, match=line):
            references.load(reference, code)
    with pytest.raises(InputError, match="nowhere on Python's path"):
        references.load("nets.py:Net", "0" * 12)
    with pytest.raises(InputError, match="allowed are one, other, or a reference"):
        references.find({"one": 1, "other": 2}, "criteria", "third")


def test_a_name_of_the_registry_comes_first_and_a_reference_needs_none():
    assert references.find({"one": 1}, "criteria", "one") == 1
    assert references.find({}, "criteria", "math:pi") == pytest.approx(3.14159265)
