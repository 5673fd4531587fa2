"""The documentation site: it is built without a warning, and in Chromium every page opens and the search answers."""

import json
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

import pytest

from tests.helpers import ROOT
from tests.whole.test_report_page import CHROMIUM, FLAGS

VISIT = """<!doctype html><meta charset="utf-8"><title>visit</title><script>
const settled = (frame, address) => new Promise((done) => { frame.onload = done; frame.src = address; });
const until = async (found) => {
  for (let tries = 0; tries < 100; tries += 1) {
    const value = found();
    if (value) return value;
    await new Promise((done) => setTimeout(done, 100));
  }
  return found();
};

async function visit(pages, words, width) {
  const frame = document.createElement("iframe");
  frame.style.width = `${width}px`;
  frame.style.height = "800px";
  document.body.append(frame);
  const told = { pages: {}, found: {} };
  for (const page of pages) {
    await settled(frame, page);
    const inside = frame.contentDocument, root = inside.documentElement;
    told.pages[page] = {
      heading: inside.querySelector("h1")?.innerText ?? "",
      sidebar: inside.querySelectorAll(".sidebar-tree a").length,
      broken: [...inside.images].filter((image) => image.complete && !image.naturalWidth).map((image) => image.src),
      overflow: root.scrollWidth - root.clientWidth,
      resources: frame.contentWindow.performance.getEntriesByType("resource").map((one) => one.name),
    };
  }
  for (const word of words) {
    await settled(frame, `search.html?q=${word}`);
    await until(() => /finished/i.test(frame.contentDocument.querySelector(".search-summary")?.innerText ?? ""));
    told.found[word] = [...frame.contentDocument.querySelectorAll("ul.search li a")].map((link) => link.pathname);
  }
  return told;
}

addEventListener("load", async () => {
  const asked = await (await fetch("/asked.json")).json();
  let told;
  try { told = await visit(asked.pages, asked.words, asked.width); } catch (error) { told = { error: `${error}` }; }
  await fetch("/told", { method: "POST", body: JSON.stringify(told) });
});
</script><body></body>"""


class Server(SimpleHTTPRequestHandler):
    """Serves the site, and takes what the visiting page has seen."""

    def __init__(self, *arguments, answers: Queue, **options):
        self.answers = answers
        super().__init__(*arguments, **options)

    def do_POST(self):
        self.answers.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def served(folder: Path):
    """The address of a server of a folder, and what is posted to it."""
    answers: Queue = Queue()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder), answers=answers)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", answers
        server.shutdown()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as `make docs` builds it: a warning fails the build, and so does a link without a target."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-c", "docs", "."]
    built = subprocess.run([*command, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module", params=[1280, 390], ids=["desktop", "phone"])
def seen(request, site, tmp_path_factory):
    """What a browser of this width sees of every page; its messages."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    # What pages offer for download, such as a report, is no page of the site.
    pages = [str(page.relative_to(site)) for page in sorted(site.rglob("*.html")) if "_downloads" not in page.parts]
    assert len(pages) > 25
    asked = {"pages": pages, "words": ["autoattack", "checkpoint_minutes", "overlaps"], "width": request.param}
    (site / "asked.json").write_text(json.dumps(asked))
    (site / "visit.html").write_text(VISIT)
    log = tmp_path_factory.mktemp("browser") / "log"
    with served(site) as (address, answers), log.open("w") as output:
        profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
        browser = subprocess.Popen(
            [CHROMIUM, *(flag for flag in FLAGS if "resolver" not in flag), profile, f"{address}/visit.html"],
            stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
        try:
            told = answers.get(timeout=200)
        except Empty:
            pytest.fail(log.read_text())
        finally:
            browser.terminate()
            browser.wait(timeout=30)
            (site / "visit.html").unlink()
    assert "error" not in told, told
    return told, address, [line for line in log.read_text(errors="replace").splitlines() if "CONSOLE" in line]


def test_every_page_opens_without_an_error_and_from_its_own_files_alone(seen):
    told, address, messages = seen
    assert messages == []
    for page, facts in told["pages"].items():
        if page == "index.html":  # which sends on
            continue
        assert facts["heading"] or page == "search.html", page
        assert facts["sidebar"] > 25, page
        assert facts["broken"] == [], page
        assert facts["overflow"] <= 0, (page, facts["overflow"])
        assert all(resource.startswith((address, "data:")) for resource in facts["resources"]), facts["resources"]


def test_the_search_finds_what_is_there(seen):
    told, _, _ = seen
    places = {"autoattack": "evaluate", "checkpoint_minutes": "sweep-file", "overlaps": "python-analysis"}
    for word, page in places.items():
        assert any(page in link for link in told["found"][word]), (word, told["found"][word])


def test_it_is_read_from_a_disk_too(site, tmp_path):
    """Pages, styles and the search need no server."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    address = f"{(site / 'search.html').as_uri()}?q=autoattack"
    flags = ["--virtual-time-budget=20000", f"--user-data-dir={tmp_path}", "--dump-dom", address]
    done = subprocess.run([CHROMIUM, *FLAGS, *flags], capture_output=True, text=True, timeout=90, check=True)
    results = done.stdout.partition('class="search"')[2].partition("</ul>")[0]
    assert "docs/evaluate.html" in results
    assert "CONSOLE" not in done.stderr


def test_links_to_other_sites_are_listed(site, tmp_path):
    """They are not fetched; none is to this machine, and none is unencrypted."""
    text = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    links = sorted(set(re.findall(r"\]\((\w+:[^)\s]+)\)", text)))
    assert links
    assert all(link.startswith("https://") for link in links), links
