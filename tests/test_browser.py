"""The committed page in a real browser, opened from disk with no network to reach."""

import base64
import contextlib
import io
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browsing
import numpy as np
import page_model
import page_project
import pytest
from conftest import PROJECT
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline.base import params_file
from pipeline.comparison import compare
from pipeline.evaluate import manner, scores, trained
from pipeline.page import stage
from pipeline.predict.predictor import load_images

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = PROJECT / page_model.PAGE
EXIF_ORIENTATION = 274


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with browsing.chromium() as driver:
        yield driver


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The page, opened anew; at the end it must have complained of nothing and asked nobody."""
    browsing.messages(browser)
    browsing.asked(browser)
    browser.get(PAGE.as_uri())
    yield browser
    assert browsing.messages(browser) == []
    assert browsing.asked(browser) == [PAGE.as_uri()]


@pytest.fixture(scope="module")
def facts() -> Any:
    text = PAGE.read_text(encoding="utf-8")
    start = text.index('id="facts">') + len('id="facts">')
    return json.loads(text[start : text.index("</script>", start)])


@pytest.fixture(scope="module")
def keras_says(tensorflow_started: None, facts: Any) -> Callable[[Path], np.ndarray]:
    """What Keras says of a file by the network in the page, as predict asks it."""
    network = page_model.read_network(PROJECT)
    variant, model = network["variant"], page_model.build_model(network)
    how = manner.read(params_file.read(PROJECT / "params.yaml"), variant, model.name)

    def say(photo: Path) -> np.ndarray:
        images = load_images(photo, side=facts["side"], crop_mode=facts["framing"])
        logits, _ = trained.answers(model, images, batch_size=1, variant=variant, manner=how)
        return scores.softmax(logits)[0]

    return say


def answered(page: webdriver.Chrome) -> str:
    """The answer's text, when there is one."""

    def answer() -> str:
        text: str = page.find_element(By.ID, "said").text
        return "" if "Looking" in text else text

    return browsing.until(answer)


def ask(page: webdriver.Chrome, photo: Path) -> str:
    page.execute_script("document.getElementById('said').replaceChildren()")
    page.find_element(By.ID, "choose").send_keys(str(photo))
    return answered(page)


def shares(page: webdriver.Chrome, classes: list[str]) -> np.ndarray:
    """The probabilities on the page, in the order of the classes."""
    rows = page.find_elements(By.CSS_SELECTOR, "#said .guess")
    told = [
        row.text.rsplit("\n", 1) if "\n" in row.text else row.text.split(" ", 1) for row in rows
    ]
    found = {name.strip(): float(share.rstrip(" %")) / 100 for name, share in told}
    return np.array([found[name] for name in classes])


def sample_files(facts: Any, folder: Path, count: int) -> list[Path]:
    """Test images of the page as files, from the first class to the last."""
    samples = facts["samples"]
    content = base64.b64decode(samples["data"])
    sheet = np.asarray(Image.open(io.BytesIO(content)))
    side, found = samples["side"], []
    for place in np.linspace(0, len(facts["sample_labels"]) - 1, count).astype(int):
        row, column = divmod(int(place), samples["columns"])
        tile = sheet[side * row : side * (row + 1), side * column : side * (column + 1)]
        found.append(folder / f"{place}.png")
        Image.fromarray(tile).save(found[-1])
    return found


def test_twenty_test_images_and_how_soon(
    page: webdriver.Chrome,
    facts: Any,
    keras_says: Callable[[Path], np.ndarray],
    tmp_path: Path,
) -> None:
    assert PAGE.stat().st_size < 4_000_000
    for number, file in enumerate(sample_files(facts, tmp_path, 20)):
        started = time.monotonic()
        text = ask(page, file)
        took = time.monotonic() - started
        expected = keras_says(file)
        assert text.startswith(facts["classes"][expected.argmax()])
        np.testing.assert_allclose(shares(page, facts["classes"]), expected, atol=0.00051)
        assert number > 0 or took < 2


def test_says_when_no_class_looks_likely(
    page: webdriver.Chrome, facts: Any, keras_says: Callable[[Path], np.ndarray], tmp_path: Path
) -> None:
    """Blots of colour, of which some network may be sure by chance: not of all thirty."""
    unsure = tmp_path / "blots.png"
    for seed in range(30):
        blots = np.random.default_rng(seed).integers(256, size=(4, 4, 3), dtype=np.uint8)
        Image.fromarray(blots).resize((32, 32), Image.Resampling.BICUBIC).save(unsure)
        if keras_says(unsure).max() < 0.45:
            break
    else:
        pytest.fail("expected a picture that the network does not know")
    (sure,) = sample_files(facts, tmp_path, 1)
    assert keras_says(sure).max() > 0.55
    for file, doubted in ((unsure, True), (sure, False)):
        assert ("None of these looks likely." in ask(page, file)) == doubted


def photo(facts: Any, folder: Path, place: int, size: tuple[int, int]) -> Image.Image:
    """A test image made large, beside it something else, as on a photo that is wider than high."""
    (file,) = sample_files(
        {**facts, "sample_labels": facts["sample_labels"][: place + 1]}, folder, 1
    )
    width, height = size
    large = Image.open(file).resize((height, height), Image.Resampling.BICUBIC)
    wide = Image.new("RGB", size, "teal")
    wide.paste(large, ((width - height) // 2, 0))
    return wide


def photos(facts: Any, folder: Path) -> dict[str, Path]:
    """Photos of several formats, whose subject stands in the middle."""
    wide = photo(facts, folder, 0, (1601, 1200))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    wide.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", quality=92, exif=exif)
    wide.save(folder / "wide.webp", quality=90)
    clear = photo(facts, folder, 0, (640, 480)).convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize((640, 480)))
    clear.save(folder / "clear.png")
    photo(facts, folder, 0, (300, 200)).save(folder / "small.bmp")
    photo(facts, folder, 0, (300, 200)).convert("P").save(folder / "palette.gif")
    names = ("turned.jpg", "wide.webp", "clear.png", "small.bmp", "palette.gif")
    return {name: folder / name for name in names}


def test_five_photos_of_several_formats(
    page: webdriver.Chrome,
    facts: Any,
    keras_says: Callable[[Path], np.ndarray],
    tmp_path: Path,
) -> None:
    for name, file in photos(facts, tmp_path).items():
        text = ask(page, file)
        expected = keras_says(file)
        assert text.startswith(facts["classes"][expected.argmax()]), name
        found = shares(page, facts["classes"])
        assert np.abs(found - expected).max() < 0.01, (name, np.abs(found - expected).max())


def huge(folder: Path) -> Path:
    path = folder / "huge.png"
    Image.new("1", (10_000, 10_001)).save(path)
    return path


def written(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return write


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (written("a.txt", b"no picture"), "a.txt is no image that this browser can read"),
        (written("b.png", b"\x89PNG\r\n\x1a\n rubbish"), "b.png is no image that this browser can"),
        (written("c.jpg", b""), "c.jpg is empty; a download may have failed: get it again."),
        (huge, "huge.png has more than 89 million pixels; scale it down."),
    ],
)
def test_bad_files_get_a_line(
    page: webdriver.Chrome, tmp_path: Path, make: Callable[[Path], Path], line: str
) -> None:
    assert ask(page, make(tmp_path)).startswith(line)
    assert page.find_elements(By.CSS_SELECTOR, "#said .problem")
    assert not page.find_elements(By.CSS_SELECTOR, "#said .guess")


@pytest.mark.parametrize(
    "event",
    [
        "new DragEvent('drop', {dataTransfer: given, bubbles: true, cancelable: true})",
        "new ClipboardEvent('paste', {clipboardData: given, bubbles: true})",
    ],
)
def test_dropped_and_pasted_pictures(
    page: webdriver.Chrome, facts: Any, tmp_path: Path, event: str
) -> None:
    (file,) = sample_files(facts, tmp_path, 1)
    expected = ask(page, file).splitlines()[1:]
    page.execute_script("document.getElementById('said').replaceChildren()")
    page.execute_script(
        "const given = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "given.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        f"document.dispatchEvent({event});",
        base64.b64encode(file.read_bytes()).decode(),
    )
    assert answered(page).splitlines()[1:] == expected


def test_a_click_on_a_test_image_asks_about_it(
    page: webdriver.Chrome, facts: Any, tmp_path: Path
) -> None:
    file = sample_files(facts, tmp_path, 1)[0]
    expected = ask(page, file).splitlines()[1:]
    page.execute_script("document.getElementById('said').replaceChildren()")
    page.find_element(By.CSS_SELECTOR, "#sample-rows button").click()
    text = answered(page)
    assert text.splitlines()[1:] == expected
    assert f"of a test image of class {facts['classes'][0]}" in text


def column(page: webdriver.Chrome, name: str) -> list[str]:
    heads = [head.text for head in page.find_elements(By.CSS_SELECTOR, "#ranking thead th")]
    place = next(n for n, head in enumerate(heads) if head.startswith(name))
    rows = page.find_elements(By.CSS_SELECTOR, "#ranking tbody tr")
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[place].text for row in rows]


def test_ranking_is_sorted_by_the_keyboard(page: webdriver.Chrome, facts: Any) -> None:
    names = [row["variant"] for row in facts["ranking"]]
    assert column(page, "variant") == names
    head = page.find_element(By.CSS_SELECTOR, '[data-column="parameters"]')
    head.send_keys(Keys.ENTER)
    counts = [int(text.replace(",", "")) for text in column(page, "parameters")]
    assert counts == sorted(counts, reverse=True)
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert column(page, "parameters") == [f"{count:,}" for count in sorted(counts)]
    sorted_by = page.find_elements(By.CSS_SELECTOR, "#ranking [aria-sort=ascending]")
    assert [head.text.split(" ")[0] for head in sorted_by] == ["parameters"]


def test_curves_tell_the_value_under_the_pointer(page: webdriver.Chrome, facts: Any) -> None:
    slider = page.find_element(By.CSS_SELECTOR, "#curve-plot input")
    told = page.find_element(By.CSS_SELECTOR, "#curve-plot output")
    page.execute_script(
        "arguments[0].value = 2; arguments[0].dispatchEvent(new Event('input'))", slider
    )
    for row in facts["ranking"]:
        value = facts["variants"][row["variant"]]["history"]["accuracy"][1]
        assert f"{row['variant']} {value:.4f}" in told.text
    plot = page.find_element(By.CSS_SELECTOR, "#curve-plot svg")
    webdriver.ActionChains(page).move_to_element(plot).perform()
    found = re.match(r"epoch (\d+): (\w+) (0\.\d{4})", told.text)
    assert found
    assert int(found[1]) > 2
    history = facts["variants"][found[2]]["history"]["accuracy"]
    assert found[3] == f"{history[int(found[1]) - 1]:.4f}"


def test_a_cell_of_the_confusion_shows_its_images(page: webdriver.Chrome, facts: Any) -> None:
    name = facts["ranking"][-1]["variant"]
    page.execute_script(
        "const box = document.getElementById('variant'); box.value = arguments[0];"
        "box.dispatchEvent(new Event('change'))",
        name,
    )
    counts = facts["variants"][name]["confusion"]
    rows = page.find_elements(By.CSS_SELECTOR, "#confusion tbody tr")
    cells = [[c.text for c in row.find_elements(By.TAG_NAME, "button")] for row in rows]
    assert cells == [[str(count) for count in line] for line in counts]
    rows[3].find_elements(By.TAG_NAME, "button")[5].send_keys(Keys.ENTER)
    shown = [e for e in facts["variants"][name]["examples"] if e[1:3] == [3, 5]]
    figures = page.find_elements(By.CSS_SELECTOR, "#cell figure")
    captions = [figure.text.replace("\n", " ") for figure in figures]
    assert captions == [f"is cat, says dog, {100 * e[3]:.1f} %" for e in shown]
    assert len(page.find_elements(By.CSS_SELECTOR, "#mistakes figure")) == facts["mistakes"]
    assert len(page.find_elements(By.CSS_SELECTOR, "#classes tbody tr")) == len(facts["classes"])


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_width_needs_scrolling_sideways(page: webdriver.Chrome, width: int) -> None:
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700},
    )
    wide = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= width


def test_everything_that_can_be_used_has_a_name(page: webdriver.Chrome) -> None:
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    usable = {"button", "link", "combobox", "checkbox", "slider", "image", "columnheader"}
    nameless = [
        node["role"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in usable
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


def test_an_earlier_question_does_not_answer_a_later_one(
    page: webdriver.Chrome, facts: Any, tmp_path: Path
) -> None:
    """A large photo takes long to read, and meanwhile a test image is chosen."""
    photo(facts, tmp_path, 0, (6000, 4000)).save(tmp_path / "large.png", compress_level=1)
    page.find_element(By.ID, "choose").send_keys(str(tmp_path / "large.png"))
    page.find_elements(By.CSS_SELECTOR, "#sample-rows button")[-1].click()
    time.sleep(4)
    assert f"of a test image of class {facts['classes'][-1]}" in answered(page)


def test_after_a_bad_file_no_picture_is_shown(
    page: webdriver.Chrome, facts: Any, tmp_path: Path
) -> None:
    ask(page, sample_files(facts, tmp_path, 1)[0])
    seen = page.find_element(By.ID, "seen")
    assert "as the network sees it" in str(seen.get_attribute("aria-label"))
    ask(page, written("a.txt", b"no picture")(tmp_path))
    assert seen.get_attribute("aria-label") == "no picture yet"
    blank = "const {data} = arguments[0].getContext('2d').getImageData(0, 0, 32, 32);"
    assert page.execute_script(f"{blank} return data.every((level) => level === 0)", seen)


def test_pasted_text_gets_a_line(page: webdriver.Chrome) -> None:
    page.execute_script(
        "const given = new DataTransfer(); given.setData('text/plain', 'a');"
        "document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: given}));"
    )
    assert answered(page).startswith("That was no file")


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """The page of photos of 25 classes, with samples of three megabytes."""
    names = [*page_project.ODD, *(f"class {number}" for number in range(17))]
    dataset = page_project.PHOTOS | {"side": 64}
    folder = tmp_path_factory.mktemp("photos")
    network = page_project.network(folder / "fast.keras", classes=25, side=64)
    project = folder / "project"
    page_project.files_of(project, network, dataset=dataset, classes=names, side=64, samples=8)
    with contextlib.chdir(project):
        compare.main([])
        stage.main([])
    return project / page_model.PAGE


def test_a_page_of_photos_shows_and_asks_about_them(
    browser: webdriver.Chrome, of_photos: Path, tmp_path: Path
) -> None:
    browsing.messages(browser)
    browser.get(of_photos.as_uri())
    first, *others = browser.find_elements(By.CSS_SELECTOR, "#sample-rows button")
    assert len(others) == 199
    assert first.value_of_css_property("background-image").startswith('url("blob:')
    first.click()
    text = answered(browser)
    assert "of a test image of class class" in text
    rows = browser.find_elements(By.CSS_SELECTOR, "#said .guess")
    assert len(rows) == 20
    assert re.search(r"^5 others: \d+\.\d % together$", text, re.M)

    pairs = browser.find_elements(By.CSS_SELECTOR, "#confusion tbody tr")
    assert len(pairs) == 15
    pairs[0].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    actual, predicted = (pairs[0].find_elements(By.CSS_SELECTOR, "th, td")[n].text for n in (0, 1))
    assert f"of class {actual}, called {predicted}" in browser.find_element(By.ID, "cell").text
    assert browser.find_elements(By.CSS_SELECTOR, "#cell figure")

    # The whole of a wide photo is seen, with white above it.
    Image.new("RGB", (300, 100), "teal").save(tmp_path / "wide.png")
    ask(browser, tmp_path / "wide.png")
    seen = browser.find_element(By.ID, "seen")
    script = "return [...arguments[0].getContext('2d').getImageData(32, 0, 1, 64).data]"
    column = np.reshape(browser.execute_script(script, seen), (64, 4)).tolist()
    colours = [column[row] for row in (0, 20, 21, 41, 42)]
    white, teal = [255, 255, 255, 255], [0, 128, 128, 255]
    assert colours == [white, white, teal, teal, white]
    assert browsing.messages(browser) == []
