"""The page in headless Chromium: it opens without errors or network, shows every figure, and its tables sort."""

import json
import re
import shutil
import subprocess

import pytest

from lthray.analysis import load, write_report
from tests.analysis import synthetic

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

PROBE = """
<script>
addEventListener("load", () => {
  const found = { images: [], tables: [], resources: performance.getEntriesByType("resource").map((one) => one.name) };
  for (const image of document.images) found.images.push(image.complete && image.naturalWidth > 100);
  for (const folded of document.querySelectorAll("details")) folded.open = true;
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const single = () => table.querySelectorAll("[aria-sort]").length;
    const buttons = table.querySelectorAll("th[data-column] button");
    const last = buttons[buttons.length - 1], heading = last.closest("th");
    const read = () => [...table.tBodies[0].rows].map((row) => row.cells[heading.dataset.column].innerText.trim());
    const written = [...table.tBodies[0].rows].map((row) => row.cells[0].innerText.trim());
    last.focus();
    const focused = document.activeElement === last && last.tabIndex >= 0;
    last.click();
    const up = read(), said = heading.getAttribute("aria-sort");
    last.click();
    const down = read(), saidThen = heading.getAttribute("aria-sort");
    buttons[0].click();
    const again = [...table.tBodies[0].rows].map((row) => row.cells[0].innerText.trim());
    found.tables.push({ focused, up, down, said, saidThen, written, again, single: single() });
  }
  found.overflow = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  found.background = getComputedStyle(document.body).backgroundColor;
  const result = document.createElement("pre");
  result.id = "probe";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script>
"""


def browse(page, profile, *flags):
    arguments = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=90, check=True)


def probe(page, profile, *flags):
    """What a script of the test's own finds in the page."""
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{PROBE}</body>"), encoding="utf-8")
    done = browse(probed, profile, "--dump-dom", *flags)
    told = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    assert told, done.stderr
    unescaped = told[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return json.loads(unescaped), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    frames = synthetic.grid(
        dataset=["fashion-mnist", "mnist"], train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1, 2], rounds=11
    )
    return write_report(load(synthetic.write(folder, frames)), folder / "report")


@pytest.fixture(scope="module")
def found(page, tmp_path_factory):
    return probe(page, tmp_path_factory.mktemp("profile"), "--window-size=1200,900")


def number(text):
    return float(re.match(r"−?[\d.,e-]+", text)[0].replace(",", "").replace("−", "-"))


def test_it_opens_without_errors_or_network(found):
    seen, console = found
    assert console == []
    assert [name for name in seen["resources"] if not name.startswith("data:")] == []


def test_every_figure_is_shown(found):
    assert found[0]["images"] == [True] * 6


def test_every_table_sorts_by_a_press_on_its_heading(found):
    sorted_tables = found[0]["tables"]
    assert len(sorted_tables) == 2 * (5 + 2)
    for table in sorted_tables:
        assert table["focused"]
        assert (table["said"], table["saidThen"], table["single"]) == ("ascending", "descending", 1)
        assert sorted(table["written"]) == sorted(table["again"])
        assert [number(text) for text in table["again"]] == sorted(number(text) for text in table["written"])
        if re.match(r"[\d−]", table["up"][0]):
            values = [number(text) for text in table["up"]]
            assert values == sorted(values)
            assert [number(text) for text in table["down"]] == values[::-1]


def test_nothing_is_wider_than_a_phone(page, tmp_path):
    seen, console = probe(page, tmp_path, "--window-size=500,900")
    assert console == []
    assert seen["overflow"] <= 0


def test_light_and_dark(page, found, tmp_path):
    seen, _ = probe(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert found[0]["background"] == "rgb(255, 255, 255)"
    assert seen["background"] == "rgb(20, 23, 27)"


def test_it_prints(page, tmp_path):
    browse(page, tmp_path / "profile", f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_search_is_shown_and_sorts_too(tmp_path):
    folder = tmp_path / "searched"
    rates = {"learning_rate": [1e-3, 2e-3, 4e-3], "seed": [0, 1]}
    synthetic.write(folder, synthetic.grid(train_attack="fgsm", rounds=2, **rates), name=None)
    section = {
        "space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}}, "samples": 3, "searcher": "random", "mode": "max",
        "metric": "early_stopping_fgsm_accuracy_validation", "scheduler": {},
    }  # fmt: skip
    (folder / "sweep.yaml").write_text(json.dumps({"name": "x", "grid": {"seed": [0, 1]}, "search": section}))
    page = write_report(load(folder), tmp_path / "report")
    seen, console = probe(page, tmp_path / "profile", "--window-size=500,900")
    assert console == []
    assert seen["overflow"] <= 0
    assert seen["images"] == [True] * 5
    best = seen["tables"][0]
    assert len(best["up"]) == 3
    assert [number(text) for text in best["up"]] == sorted(number(text) for text in best["down"])
