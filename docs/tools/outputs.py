"""Runs a page's commands and writes what they print into the page: `python docs/tools/outputs.py docs/tutorial.md`.

In a block of the language `console`, a line after `$` is a command, and the lines below it are its output. A block of
the language `text` is the output of the block of Python before it. All run in one new folder, in the page's order,
beside the repository's sweep files.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(console|python)\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def main(page: Path) -> None:
    """Rewrites a page with the outputs of its commands."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "sweeps", Path(folder, "sweeps"))

        def rerun(block: re.Match[str]) -> str:
            language, text, output = block.groups()
            if language == "console":
                commands = re.findall(r"^\$ (.*(?:\\\n.*)*)\n", text, re.MULTILINE)
                return (
                    "```console\n"
                    + "".join(f"$ {line}\n{_run(['bash', '-c', line], folder)}" for line in commands)
                    + "```\n"
                )
            if output is None:
                return block[0]
            return f"```python\n{text}```\n\n```text\n{_run([sys.executable, '-c', text], folder)}```\n"

        written = _BLOCK.sub(rerun, page.read_text(encoding="utf-8"))
    page.write_text(written, encoding="utf-8")


def _run(command: list[str], folder: str) -> str:
    """What a command prints, lines without spaces at their ends."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"COLUMNS": "100", "PATH": path}, text=True, check=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    sys.stderr.write(f"{command[-1]}\n{done.stdout}")
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
