# SPDX-License-Identifier: LGPL-2.1-or-later
"""report: what a trace comes to, as text, JSON and a page that is opened and clicked through."""

import base64
import json
import os
import re
import shutil

import pytest

from harness import ROOT

GOLDEN = ROOT / "tests/golden"
SCHEMA = json.loads((ROOT / "docs/stalltop.schema.json").read_text())
CASES = ("blocking", "damaged", "wakes-and-polls")
# What a folder may be called: it ends the element of the page's data, if it is let.
HOSTILE = ("a<", "script><img src=x onerror=document.title='pwned'><b>&amp;")


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, driven over WebDriver."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is not installed")
    driver = shutil.which("chromedriver")
    if not driver:
        pytest.skip("chromium-driver is not installed")
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    # Root has no sandbox; /dev/shm is small in containers.
    for word in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                 "--window-size=1280,1000"):
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(service=Service(driver), options=options)
    yield chrome
    chrome.quit()


@pytest.fixture
def opened(browser):
    """opened(FILE): the page, loaded without a complaint and without a request to anywhere."""
    def load(file):
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(file.as_uri())
        logs = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in logs
                 if m["method"] == "Network.requestWillBeSent"]
        assert len(asked) == 1 and asked[0].startswith("file:"), asked
        assert browser.get_log("browser") == []
        return browser

    return load


def texts(browser, selector):
    return [e.text for e in browser.find_elements("css selector", selector)]


def page_of(stalltop, trace, out, *more):
    run = stalltop("report", trace, "--html", out, *more)
    assert run.rc == 0 and run.stderr == "", run
    # All of it is there, and nothing that a browser would have to fetch.
    text = out.read_text()
    assert text.rstrip().endswith("</html>") and text.count("</script>") == 2
    assert not re.search(r"(src|href)=[\"'](?!#)", text.split('id="data"')[0])
    return run


@pytest.mark.parametrize("case", CASES)
def test_objects(stalltop, case):
    """Every object is as the schema says, every field is described, and the numbers agree."""
    jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
    checker = jsonschema.Draft7Validator(SCHEMA)
    document = (ROOT / "docs/json-schema.md").read_text()
    run = stalltop("report", GOLDEN / case / "t.trace", "--json")
    assert run.rc == 0 and run.lines[0]["type"] == "header" and run.lines[1]["type"] == "verdict"
    for obj in run.lines:
        errors = [e.message for e in checker.iter_errors(obj)]
        assert errors == [], (obj, errors)
        assert set(obj) <= set(SCHEMA["definitions"][obj["type"]]["properties"]), obj["type"]
        assert [key for key in obj if f"`{key}`" not in document] == []
    timeline, = run.of("timeline")
    for key in ("busy_ns", "polls", "queued", "lost"):
        assert len(timeline[key]) == timeline["slices"], key
    end = timeline["begin_ns"] + timeline["slices"] * timeline["slice_ns"]
    trace, = run.of("trace")
    assert end >= trace["end_ns"] and trace["end_ns"] - trace["begin_ns"] == run.footer["duration_ns"]
    # What the slices have is what the threads counted; the attach, before the first event, is not.
    for key in ("busy_ns", "blocked_ns", "parked_ns"):
        assert abs(sum(timeline[key]) - sum(w[key] for w in run.of("worker"))) < 1e7, key
    polls, = (one for one in run.of("latency") if one["of"] == "polls")
    assert (polls["count"] or 0) == run.footer["polls"] == sum(s["polls"] for s in run.of("site"))
    assert (polls["max_ns"] or 0) == max((s["max_ns"] for s in run.of("site")), default=0)
    for flame in run.of("flame"):
        assert flame["root"]["value"] >= sum(c["value"] for c in flame["root"]["children"])


def test_judged_anew(stalltop, tmp_path):
    """Other thresholds and rules on the same file; the exit code is asked for."""
    trace = GOLDEN / "blocking/t.trace"
    first = stalltop("report", trace)
    assert first.rc == 0 and first.stdout.startswith("verdict: 1 critical finding in 3.00 s")
    assert stalltop("report", trace, "--fail-on", "critical").rc == 1
    mild = stalltop("report", trace, "--set", "blocking-call.critical=10s", "--fail-on", "critical")
    assert mild.rc == 0 and mild.stdout.startswith("verdict: 1 warning finding")
    fine = stalltop("report", trace, "--threshold", "10s", "--fail-on", "warning")
    assert fine.rc == 0 and fine.stdout.startswith("verdict: healthy: no finding")
    rule = json.loads((ROOT / "rules/blocking-call.json").read_text())
    rule["cases"][0]["message"] = "judged by another rule"
    mine = tmp_path / "mine.json"
    mine.write_text(json.dumps(rule))
    assert "judged by another rule" in stalltop("report", trace, "--rules", mine).stdout


def test_refused(stalltop, tmp_path):
    trace = tmp_path / "t.trace"
    shutil.copy(GOLDEN / "blocking/t.trace", trace)
    whole = trace.read_bytes()
    same = stalltop("report", trace, "--html", trace)
    assert same.rc == 2 and "is the trace itself" in same.stderr
    assert trace.read_bytes() == whole
    assert stalltop("report", trace, "--html", tmp_path / "no/t.html").rc == 7
    assert stalltop("report", tmp_path / "absent").rc == 2
    (tmp_path / "x").write_text("no trace at all, but long enough to have the size of a header")
    assert stalltop("report", tmp_path / "x").rc == 6
    # Cut anywhere it is told as far as it goes.
    trace.write_bytes(whole[:len(whole) * 2 // 3])
    cut = stalltop("report", trace)
    assert cut.rc == 0 and "caveat:  the trace is incomplete" in cut.stdout
    assert "bytes could not be read and were skipped, all at its end" in cut.stdout
    # The page alone on standard output.
    page = stalltop("report", trace, "--html", "-")
    assert page.rc == 0 and page.stdout.startswith("<!DOCTYPE html>")


def test_page(stalltop, opened, tmp_path):
    """A person's way through the page: open, sort, zoom, look at a moment; dark; paper."""
    file = tmp_path / "t.html"
    page_of(stalltop, GOLDEN / "blocking/t.trace", file)
    browser = opened(file)
    one = lambda selector: browser.find_element("css selector", selector)  # noqa: E731
    assert browser.title == "stalltop: blocking_call (pid 32357)"
    assert "1 critical finding in 3.00 s" in one("#verdict .text").text
    assert one("#verdict").get_attribute("class") == "critical"

    # A finding: open, with advice, the culprit in its stack, and an example; it closes.
    finding = one("details.finding")
    assert "tokio::time::sleep(..).await" in one(".advice").text
    assert texts(browser, ".stack .culprit") == ["blocking_call::fetch_from_slow_disk"]
    assert [t.split("(")[0] for t in texts(browser, ".examples h3")] == ["Before", "After"]
    one("details.finding summary").click()
    assert finding.get_attribute("open") is None

    # Tables sort both ways, by number and not by how it is written.
    column = lambda n: texts(browser, f"#sites td:nth-child({n})")  # noqa: E731
    assert column(2) == ["10", "968", "488", "149", "120"]
    button = one("#sites th:nth-child(2) button")
    button.click()
    assert column(2) == ["968", "488", "149", "120", "10"]
    button.click()
    assert column(2) == ["10", "120", "149", "488", "968"]
    assert one("#sites th:nth-child(2)").get_attribute("aria-sort") == "ascending"
    one("#sites th:nth-child(1) button").click()
    assert column(1) == sorted(column(1))

    # The flame graph of blocked time: a click zooms, the root shows all again; busy has none here.
    frames = lambda: texts(browser, "#frames .frame")  # noqa: E731
    every = frames()
    assert every[:2] == ["all task types", "blocking_call::fetch_from_slow_disk"]
    assert "std::thread::functions::sleep" in every and every[-1] == "[clock_nanosleep]"
    assert "871 ms in 11 stacks" in one("#flame-says").text
    browser.find_elements("css selector", "#frames .frame")[3].click()
    assert len(texts(browser, "#frames .frame.above")) == 3 and frames() == every
    one("#frames .frame").click()
    assert texts(browser, "#frames .frame.above") == []
    one("#sought").send_keys("sleep")
    assert len(texts(browser, "#frames .frame.hit")) == 3
    one("#show-busy").click()
    assert "No stack was taken of a long poll" in one("#flame-says").text

    # The timeline: a click shows what was there, the keys move.
    one("#timeline-svg").click()
    middle = one("#at").text
    assert "blocked" in middle and "finding: critical blocking-call" in middle
    one("#timeline-svg").send_keys("\ue014")  # arrow right
    assert one("#at").text != middle

    # Dark where the reader's system is, and paper has everything open.
    color = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(color)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": "dark"}]})
    dark = browser.execute_script(color)
    assert sum(map(int, re.findall(r"\d+", dark))) < 200 < sum(map(int, re.findall(r"\d+", light)))
    assert base64.b64decode(browser.print_page()).startswith(b"%PDF")
    assert finding.get_attribute("open") is not None
    assert browser.get_log("browser") == []


def test_paper(stalltop, opened, path_of, tmp_path):
    """On paper everything is open, and a rule is explained once."""
    trace, page = tmp_path / "t.trace", tmp_path / "t.html"
    recorded = stalltop("record", "--duration", "2s", "--threshold", "1ms", "-o", trace, "--", path_of("blocks"))
    assert recorded.rc == 0, recorded
    page_of(stalltop, trace, page)
    browser = opened(page)
    assert browser.print_page()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    seen = browser.execute_script("return [...document.querySelectorAll('details.finding')].map(d => "
                                  "[d.querySelector('b').innerText, d.innerText.toUpperCase().includes('WHY IT MATTERS')])")
    rules = [rule for rule, _ in seen]
    assert len(set(rules)) < len(rules), "no rule has two findings here"
    assert [told for _, told in seen] == [rule not in rules[:i] for i, rule in enumerate(rules)]


def test_fresh_and_hostile(app, stalltop, opened, path_of, tmp_path):
    """A recording made now, of a program whose path is markup: replay's findings, as text only."""
    folder = tmp_path.joinpath(*HOSTILE)
    folder.mkdir(parents=True)
    program = folder / "<i>"
    shutil.copy(path_of("blocking_call"), program)
    target = app("blocking_call", path=program)
    trace = tmp_path / "t.trace"
    run = stalltop("record", "-p", target.pid, "-o", trace, "--duration", "2s")
    assert run.rc == 0, run
    target.kill()
    last = {}
    for line in stalltop("replay", trace, "--json").findings:
        last[line["rule"], line["site_id"], line["first_ns"]] = line
    report = stalltop("report", trace, "--json")
    assert {(f["rule"], f["site_id"], f["first_ns"]): f for f in report.findings} == last
    assert "blocking-call" in {f["rule"] for f in report.findings}
    blocked, = (f for f in report.of("flame") if f["of"] == "blocked")
    assert blocked["root"]["value"] > 100_000_000
    assert report.of("trace")[0]["incomplete"] is False
    assert [m for m in report.of("moment") if m["kind"] == "poll" and m["blocked_ns"] > 50_000_000]

    file = tmp_path / "t.html"
    page_of(stalltop, trace, file)
    browser = opened(file)
    assert browser.title == f"stalltop: <i> (pid {target.pid})"
    assert os.fspath(program) in browser.find_element("css selector", "#head .mono").text
    assert browser.find_elements("css selector", "img") == []
    assert len(texts(browser, "#timeline-svg text")) > 10
