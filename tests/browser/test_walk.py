"""The whole way, walked in a browser: files in, flow on the screen, and who may see it."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import re
import shutil
import time
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import FRAMES, PASSWORD, register, sign_in
from tests.browser.server import Site
from tests.dicom.make import CT, image
from tests.waiting import ANALYSIS_SECONDS, wait_for

#: What the invented patient's files say of her; none of it may come out again.
SECRETS = (
    b"quixander", b"zuleikha", b"phantom0", b"invented general", b"nowhere street", b"01632 960000",
    b"example^", b"ph00000005",
)  # fmt: skip
LEVELS = ("Basal", "Mid", "Apical")


@pytest.fixture(scope="module")
def folder(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, with four files beside it that are of no use."""
    folder = tmp_path_factory.mktemp("walk") / "study"
    shutil.copytree(export, folder)
    (folder / "nothing.dcm").write_bytes(b"")
    (folder / "letter.dcm").write_text("Dear colleague, thank you for sending this patient.")
    image(SOPClassUID=CT, Modality="CT").save_as(folder / "thorax.dcm", enforce_file_format=True)
    image(SOPInstanceUID="1.2.3.9").save_as(folder / "cut.dcm", enforce_file_format=True)
    whole = (folder / "cut.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    return folder


def test_the_whole_way(open_page, site, folder, tmp_path):
    begun = time.monotonic()

    def took(what: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {what}")

    consultant = open_page()
    person = site.people["colleague"]  # whose trust has no study yet
    sign_in(consultant, person.email, person.password)
    expect(consultant.get_by_role("heading", name="Studies", level=1)).to_be_visible()
    assert consultant.locator(".app-steps__step:visible").count() == 3
    took("signed in")

    drop(consultant, folder)
    consultant.get_by_role("button", name=f"Upload {6 * FRAMES + 2} files").wait_for()
    listed = consultant.get_by_role("region", name=re.compile("Upload|chosen"))
    expect(listed).to_contain_text("QUIXANDER, ZULEIKHA")
    expect(listed).to_contain_text("letter.dcm is not a DICOM file. It is not sent.")
    expect(listed).to_contain_text("nothing.dcm is empty.")
    consultant.get_by_role("button", name=f"Upload {6 * FRAMES + 2} files").click()
    consultant.wait_for_url("**/uploads/*/")
    upload = consultant.url
    took("files sent")

    walk_while_it_runs(consultant)
    took("progress seen from other pages")
    consultant.goto(upload)
    study = reads_what_was_understood(consultant)
    took("files listed")

    consultant.goto(study)
    expect(consultant.get_by_role("heading", name="Flow maps")).to_be_visible(
        timeout=ANALYSIS_SECONDS * 1000
    )
    took("analysed")
    films(consultant)
    maps(consultant)
    numbers = segments(consultant)
    took("films, maps and numbers read")

    report = everything_in_the_archive(consultant, tmp_path)
    for state in ("stress", "rest"):
        for number, mbf in numbers[state].items():
            assert mbf == pytest.approx(_mbf(report, state, number), abs=0.005)
    took("archive opened")

    registered_and_approved(open_page, site, consultant)
    took("somebody registered and was approved")
    shared_and_taken_back(open_page, consultant, study)
    took("shared and taken back")
    released_for_research(open_page, consultant, numbers, tmp_path)
    took("exported for research")


def drop(page: Page, folder: Path) -> None:
    """Drop a folder, as the desktop hands it to the browser."""
    page.wait_for_load_state()  # until then no script listens
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 400, "data": data})


def walk_while_it_runs(page: Page) -> None:
    """From page to page; the corner of one of them shows how far the analysis is."""
    footer = page.get_by_role("contentinfo")
    ways = itertools.cycle(("Intended use", "Privacy policy", "Cookies"))

    def said_in_the_corner() -> str:
        way = next(ways)
        footer.get_by_role("link", name=way).click()
        expect(page).to_have_title(re.compile(way))
        # What the page came with asks once and is replaced by the answer.
        expect(page.locator("#progress-corner[hx-trigger^=load]")).to_have_count(0)
        return page.evaluate(
            """() => {
                const bar = document.querySelector('aside#progress-corner progress');
                return bar && bar.checkVisibility() ? bar.closest('li').innerText : '';
            }"""
        )

    said = wait_for(said_in_the_corner, "an analysis under way in the corner", ANALYSIS_SECONDS)
    assert re.search(r"\d+ %", said), said
    # It goes by itself when the work is done, without a new page.
    corner = page.get_by_role("complementary", name="Analyses under way")
    expect(corner).to_have_count(0, timeout=ANALYSIS_SECONDS * 1000)


def reads_what_was_understood(page: Page) -> str:
    """The upload's page: six series, and a sentence for each file that was not used."""
    understood = page.get_by_role("table", name="Series found in this upload")
    rows = [row.inner_text().split("\t") for row in understood.locator("tbody tr").all()]
    assert sorted((row[0], row[1], row[2], int(row[3])) for row in rows) == sorted(
        (state, level, "Perfusion", FRAMES) for state in ("Stress", "Rest") for level in LEVELS
    )
    refused = page.get_by_role("table", name="Files that could not be used")
    for name, sentence in (
        ("thorax.dcm", "CT"),
        ("cut.dcm", "cut short"),
    ):
        row = refused.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text(sentence)
        expect(row).to_contain_text(re.compile(r"export|leave it out", re.IGNORECASE))
    assert refused.locator("tbody tr").count() == 2
    link = page.get_by_role("main").get_by_role("button", name="Open study")
    return str(link.get_attribute("href"))


def films(page: Page) -> None:
    """Every film plays, can be set to any moment, and shows something that changes."""
    videos = page.locator("video[data-cine]")
    assert videos.count() == 2 * len(LEVELS)
    page.get_by_role("button", name="Play all").click()
    for number in range(videos.count()):
        expect(videos.nth(number)).to_have_js_property("paused", False)
        page.wait_for_function(
            "n => document.querySelectorAll('video[data-cine]')[n].currentTime > 0.2", arg=number
        )
    page.get_by_role("button", name="Pause all").click()
    for number in range(videos.count()):
        film = videos.nth(number)
        expect(film).to_have_js_property("paused", True)
        early, late = (_picture_at(film, part) for part in (0.05, 0.6))
        assert max(early) > 30
        assert sum(abs(a - b) for a, b in zip(early, late, strict=True)) / len(early) > 2
        answer = page.request.get(
            str(film.get_attribute("src")), headers={"Range": "bytes=100-299"}
        )
        assert answer.status == 206
        assert len(answer.body()) == 200
        assert answer.headers["content-range"].startswith("bytes 100-299/")


def _picture_at(film, part: float) -> list[int]:
    """Grey values of the film at a part of its length, from a coarse copy of its picture."""
    seen = film.evaluate(
        """async (video, part) => {
            const wanted = part * video.duration;
            await new Promise((done) => {
                video.addEventListener('seeked', done, { once: true });
                video.currentTime = wanted;
            });
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 32;
            const context = canvas.getContext('2d');
            context.drawImage(video, 0, 0, 32, 32);
            const pixels = context.getImageData(0, 0, 32, 32).data;
            const grey = Array.from(pixels).filter((_, index) => index % 4 === 1);
            return { wanted, now: video.currentTime, grey };
        }""",
        part,
    )
    assert seen["now"] == pytest.approx(seen["wanted"], abs=0.01)
    return seen["grey"]


def maps(page: Page) -> None:
    section = page.get_by_role("region", name="Flow maps")
    expect(section.get_by_role("heading", name="Flow maps ml/min/g")).to_be_visible()
    pictures = section.locator("img")
    assert pictures.count() == 2 * len(LEVELS)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete", arg=picture.element_handle())
        assert picture.evaluate("image => image.naturalWidth") >= 100
    captions = section.locator("figcaption").all_inner_texts()
    assert all(re.search(r"mean \d\.\d\d ml/min/g", caption) for caption in captions), captions


def segments(page: Page) -> dict[str, dict[int, float]]:
    """The 16 rows; the invented patient's stress flow is about three times her rest flow."""
    table = page.locator("#segment-table")
    heads = table.locator("thead th").all_inner_texts()
    assert heads == ["Segment", "Stress", "Rest", "Reserve"]
    rows = table.locator("tbody tr")
    assert rows.count() == 16
    found: dict[str, dict[int, float]] = {"stress": {}, "rest": {}}
    for number, row in enumerate(rows.all(), start=1):
        assert row.locator("th").inner_text().startswith(str(number))
        stress, rest = (float(row.locator("td strong").nth(n).inner_text()) for n in (0, 1))
        assert float(row.locator("td").nth(2).inner_text()) == pytest.approx(
            stress / rest, rel=0.05
        )
        found["stress"][number], found["rest"][number] = stress, rest
    assert all(0 < mbf < 10 for flows in found.values() for mbf in flows.values())
    assert sum(found["stress"].values()) > 1.5 * sum(found["rest"].values())
    return found


def everything_in_the_archive(page: Page, folder: Path) -> dict:
    """The ZIP holds what its manifest says, bit by bit, and nobody's name."""
    with page.expect_download() as begun:
        page.get_by_role("button", name="Download everything (ZIP)").click()
    path = folder / "everything.zip"
    begun.value.save_as(path)
    held = path.read_bytes().lower()
    assert [secret for secret in SECRETS if secret in held] == []
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        (manifest,) = [name for name in archive.namelist() if name.endswith("/manifest.json")]
        root = manifest.removesuffix("manifest.json")
        listed = json.loads(archive.read(manifest))["files"]
        assert {root + entry["path"] for entry in listed} | {manifest} == set(archive.namelist())
        for entry in listed:
            data = archive.read(root + entry["path"])
            assert len(data) == entry["size"]
            assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        (report,) = [name for name in archive.namelist() if name.endswith("/report.json")]
        for state in ("stress", "rest"):
            for level in ("basal", "mid", "apical"):
                place = f"{report.removesuffix('report.json')}{state}_{level}/"
                inside = {
                    name.removeprefix(place)
                    for name in archive.namelist()
                    if name.startswith(place)
                }
                assert {"cine.mp4", "mbf.png", "mbf.npy", "corrected.npy"} <= inside
                assert {"motion.png", "strip.png"} <= inside
        return json.loads(archive.read(report))


def _mbf(report: dict, state: str, number: int) -> float:
    (flow,) = [
        series["mbf"]["segments"][str(number)]
        for series in report["series"]
        if series["state"] == state and str(number) in series["mbf"]["segments"]
    ]
    return flow["mbf"]


def registered_and_approved(open_page, site: Site, colleague: Page) -> None:
    """A visitor becomes a consultant of the same trust, and sees its studies."""
    reference = colleague.locator("h1 .app-reference").inner_text()
    email = "iris.newcomer@southbank.example"
    visitor = open_page()
    visitor.goto("/accounts/signup/")
    visitor.get_by_role("main").get_by_role("button", name="Register").click()
    problems = visitor.get_by_role("alert")
    expect(problems).to_contain_text("You must accept the terms and conditions")
    expect(problems).to_contain_text("You must accept the privacy policy")
    register(visitor, site, name="Dr Iris Newcomer", email=email)
    sign_in(visitor, email, PASSWORD)
    expect(
        visitor.get_by_role("heading", name="Your account is waiting for approval")
    ).to_be_visible()
    visitor.goto("/research/")
    assert visitor.url.endswith("/accounts/waiting/")

    administrator = open_page("administrator")
    administrator.goto("/admin/accounts/user/?status__exact=pending")
    row = administrator.get_by_role("row").filter(has_text=email)
    row.get_by_role("checkbox").check()
    administrator.get_by_label("Action:").select_option(
        label="Approve with the role and trust asked for"
    )
    administrator.get_by_role("button", name=re.compile("Go|Run")).click()
    expect(administrator.get_by_text("1 approved.")).to_be_visible()

    wait_for(lambda: site.mail_to(email, "has been approved"), "the news by email", 10)
    visitor.get_by_role("button", name="Sign out").click()
    sign_in(visitor, email, PASSWORD)
    expect(visitor.get_by_role("heading", name="Studies", level=1)).to_be_visible()
    expect(visitor.get_by_role("link", name=reference)).to_be_visible()


def shared_and_taken_back(open_page, owner: Page, study: str) -> None:
    reference = owner.locator("h1 .app-reference").inner_text()
    colleague = open_page("consultant")
    colleague.goto("/")
    expect(colleague.get_by_role("link", name=reference)).to_have_count(0)

    owner.get_by_role("button", name="Share", exact=True).click()
    owner.get_by_label(re.compile("^Trust")).select_option(label="Northside NHS Trust")
    owner.get_by_label("Why you share it").fill("Second opinion on the inferior wall")
    owner.get_by_role("main").get_by_role("button", name="Share").click()
    expect(owner.get_by_text("Shared with Northside NHS Trust.")).to_be_visible()

    colleague.reload()
    row = colleague.get_by_role("row").filter(has_text=reference)
    expect(row).to_contain_text("Shared with you")
    row.get_by_role("link", name=reference).click()
    expect(colleague.get_by_text("Southbank NHS Trust shares this study with you")).to_be_visible()
    assert colleague.locator("video[data-cine]").count() == 6
    assert colleague.get_by_role("button", name="Share", exact=True).count() == 0
    film = str(colleague.locator("video[data-cine]").first.get_attribute("src"))
    assert colleague.request.get(film).ok
    colleague.goto("/")  # so that no film is still being fetched when the share ends

    owner.get_by_role("button", name="Stop sharing").click()
    expect(owner.get_by_text("The share has ended.")).to_be_visible()
    answer = colleague.goto(study)
    assert answer is not None
    assert answer.status == 404
    assert colleague.request.get(film).status == 404
    colleague.goto("/")
    expect(colleague.get_by_role("link", name=reference)).to_have_count(0)


def released_for_research(
    open_page, owner: Page, numbers: dict[str, dict[int, float]], folder: Path
) -> None:
    reference = owner.locator("h1 .app-reference").inner_text()
    owner.get_by_role("button", name="Allow research").click()
    expect(owner.get_by_text("This study may be used for research.")).to_be_visible()

    researcher = open_page("researcher")
    researcher.goto("/")
    assert researcher.url.endswith("/research/")
    researcher.locator("#export + form").get_by_label("Project").select_option("Example project")
    researcher.get_by_label("What the data is for").fill("Example study, REC 00/AB/0000")
    with researcher.expect_download() as begun:
        researcher.get_by_role("button", name="Export").click()
    path = folder / "segments.csv"
    begun.value.save_as(path)
    text = path.read_text()
    rows = list(csv.DictReader(io.StringIO(text)))
    rows = [row for row in rows if "made-up" not in row["trust"]]
    assert len(rows) == 32
    exported = {(row["state"], int(row["aha_segment"])): row for row in rows}
    for state, flows in numbers.items():
        for number, mbf in flows.items():
            row = exported[(state, number)]
            assert float(row["mbf_ml_per_min_per_g"]) == pytest.approx(mbf, abs=0.01)
    assert len({row["study"] for row in rows}) == 1
    for secret in (*SECRETS, reference.encode(), b"2024", b"1957"):
        assert secret.lower() not in text.lower().encode()
