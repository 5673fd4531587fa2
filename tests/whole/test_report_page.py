"""The page in headless Chromium: it opens without errors or network, its figures answer, and its tables sort."""

import json
import re
import shutil
import subprocess

import pytest

from lthray.analysis import load, write_report
from lthray.analysis.page import report
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
const shown = (svg, name) => {
  const group = document.getElementById(`${svg.id}-${name}`);
  return group !== null && getComputedStyle(group).display !== "none";
};

function probePicture(picture) {
  const image = picture.querySelector("img");
  if (image) return { linked: image.getAttribute("src") };
  const svg = picture.querySelector("svg"), data = JSON.parse(svg.dataset.series), tip = picture.querySelector(".tip");
  const box = svg.getBoundingClientRect(), letters = svg.querySelector("text");
  const found = { wide: box.width > 200 && box.height > 100, lines: data.series.length };
  found.ink = getComputedStyle(letters).fill;
  if (!tip) return found;
  // The nearest point: where the first line is drawn, of whose path the first vertex is its first point.
  const group = document.getElementById(`${svg.id}-series-0`), path = group.querySelector("path");
  const start = path.getPointAtLength(0).matrixTransform(svg.getScreenCTM());
  const move = (x, y) => svg.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
  const read = () => [...tip.children].map((row) => row.textContent);
  move(start.x + 2, start.y - 1);
  found.said = read();
  const mark = svg.querySelector(".mark").getBoundingClientRect();
  found.off = Math.hypot(mark.x + mark.width / 2 - start.x, mark.y + mark.height / 2 - start.y);
  found.inside = tip.getBoundingClientRect().right <= picture.getBoundingClientRect().right + 1;
  move(box.x + 1, box.y + 1);
  found.silent = read();
  // By keys.
  const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  picture.focus();
  found.focused = document.activeElement === picture;
  press(picture, "ArrowRight");
  found.first = read();
  press(picture, "ArrowRight");
  found.second = read();
  press(picture, "ArrowDown");
  found.third = read();
  press(picture, "Escape");
  found.escaped = read();
  // The legend.
  const button = document.getElementById(`${svg.id}-entry-0`);
  found.accompanied = document.getElementById(`${svg.id}-series-0-0`) !== null;
  const all = [...data.series.keys()], own = all.filter((index) => data.series[index].entry === data.entries[0]);
  const drawn = () => [own, all].map((lines) => lines.filter((index) => shown(svg, `series-${index}`)).length);
  found.own = own.length;
  found.before = [...drawn(), button.getAttribute("aria-pressed")];
  button.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  found.hidden = [...drawn(), button.getAttribute("aria-pressed")];
  found.companions = own.filter((index) => shown(svg, `series-${index}-0`)).length;
  button.focus();
  found.reached = document.activeElement === button && button.tabIndex === 0;
  press(button, "Enter");
  found.after = [...drawn(), button.getAttribute("aria-pressed")];
  return found;
}

addEventListener("load", () => {
  const found = { pictures: [], tables: [] };
  found.resources = performance.getEntriesByType("resource").map((one) => one.name);
  for (const picture of document.querySelectorAll(".picture")) found.pictures.push(probePicture(picture));
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
    pictures = found[0]["pictures"]
    assert len(pictures) == 6
    assert all(picture["wide"] and picture["lines"] for picture in pictures)


@pytest.mark.parametrize("window", ["1200,900", "500,900"])
def test_figures_say_the_nearest_points_numbers_and_toggle_their_lines(page, window, tmp_path):
    seen, console = probe(page, tmp_path, f"--window-size={window}")
    assert console == []
    for number, picture in zip("123123", seen["pictures"], strict=True):
        name, across, value = picture["said"]
        assert name == ("reset" if number == "2" else "reset, 100 %")
        assert across == ("Weights remaining, %: 100" if number == "2" else "Iteration: 0")
        assert re.fullmatch(r"[A-Z].*: [\d.,]+ ± [\d.,]+ \(n = 3\)", value)
        assert picture["off"] < 1.5
        assert picture["inside"]
        assert picture["silent"] == picture["escaped"] == []
        assert picture["focused"]
        assert picture["reached"]
        assert picture["first"] == picture["said"]
        assert picture["second"][0] == picture["first"][0]
        assert picture["second"][1] != picture["first"][1]
        assert picture["third"][0] != picture["second"][0]
        assert picture["third"][1] == picture["second"][1]
        own, lines = picture["own"], picture["lines"]
        assert 0 < own < lines
        assert picture["before"] == picture["after"] == [own, lines, "true"]
        assert picture["hidden"] == [0, lines - own, "false"]
        assert picture["accompanied"]
        assert picture["companions"] == 0


def test_linked_figures_are_images(page, monkeypatch, tmp_path):
    monkeypatch.setattr(report, "EMBEDDED", 0)
    linked = write_report(load(page.parents[1]), tmp_path / "linked")
    seen, console = probe(linked, tmp_path / "profile", "--window-size=1200,900")
    assert console == []
    assert [picture["linked"][:15] for picture in seen["pictures"]] == ["figures/figure-"] * 6


def test_every_table_sorts_by_a_press_on_its_heading(found):
    sorted_tables = found[0]["tables"]
    assert len(sorted_tables) == 2 * (7 + 2)
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
    assert {picture["ink"] for picture in found[0]["pictures"]} == {"rgb(31, 35, 40)"}
    assert {picture["ink"] for picture in seen["pictures"]} == {"rgb(230, 233, 237)"}


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
    assert [picture["lines"] > 0 for picture in seen["pictures"]] == [False, False, True, True, True]
    best = seen["tables"][0]
    assert len(best["up"]) == 3
    assert [number(text) for text in best["up"]] == sorted(number(text) for text in best["down"])
