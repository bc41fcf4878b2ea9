"""The page in a real browser, opened from disk without a network."""

import base64
import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import browsing
import numpy as np
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
from pipeline.page import page as stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = PROJECT / stage.PAGE
EXIF_ORIENTATION = 274
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'
Predict = Callable[[Path], np.ndarray]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    with browsing.chromium() as driver:
        yield driver


@pytest.fixture
def page(browser: webdriver.Chrome) -> Iterator[webdriver.Chrome]:
    """The page, newly opened; at the end the console is empty and no other address requested."""
    browsing.messages(browser)
    browsing.asked(browser)
    browser.get(PAGE.as_uri())
    yield browser
    assert browsing.messages(browser) == []
    assert browsing.asked(browser) == [PAGE.as_uri()]


@pytest.fixture(scope="module")
def data() -> Any:
    return page_project.read_data(PAGE)


@pytest.fixture(scope="module")
def predict(tensorflow_started: None, data: Any) -> Predict:
    """Probabilities of a photo by Keras, with the network in the page, used as by predict."""
    network = data["network"]
    model, name = page_project.load_model(network), network["variant"]
    config = manner.read(params_file.read(PROJECT / "params.yaml"), name, model.name)

    def predict_photo(photo: Path) -> np.ndarray:
        images = page_project.load_photo(photo, data["side"], data["crop_mode"])
        logits, _ = trained.answers(model, images, batch_size=1, variant=name, manner=config)
        return scores.softmax(logits)[0]

    return predict_photo


def text_of(page: webdriver.Chrome, element: str) -> str:
    text: str = page.find_element(By.ID, element).text
    return text


def wait(page: webdriver.Chrome) -> str:
    """The answer, when there is one."""
    browsing.until(lambda: "Looking" not in text_of(page, "status"))
    return text_of(page, "prediction")


def choose(page: webdriver.Chrome, photo: Path) -> str:
    page.find_element(By.ID, "choose").send_keys(str(photo))
    return wait(page)


def read_probabilities(page: webdriver.Chrome, classes: list[str]) -> np.ndarray:
    """The probabilities on the page, in the order of the classes."""
    rows = page.find_elements(By.CSS_SELECTOR, "#prediction .class")
    cells = [[c.text for c in row.find_elements(By.TAG_NAME, "span")] for row in rows]
    found = {name: float(share.removesuffix(" %")) / 100 for name, share in cells}
    return np.array([found[name] for name in classes])


def save_sample(data: Any, folder: Path, place: int) -> Path:
    path = folder / f"{place}.png"
    Image.fromarray(page_project.read_tile(data["samples"], place)).save(path)
    return path


def make_photo(data: Any, folder: Path, size: tuple[int, int]) -> Image.Image:
    """A test image enlarged, with something else beside it."""
    width, height = size
    sample = Image.open(save_sample(data, folder, 0))
    photo = Image.new("RGB", size, "teal")
    enlarged = sample.resize((height, height), Image.Resampling.BICUBIC)
    photo.paste(enlarged, ((width - height) // 2, 0))
    return photo


def test_twenty_test_images_are_classified_as_by_keras(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path
) -> None:
    assert PAGE.stat().st_size < 4_000_000
    places = np.linspace(0, len(data["sample_labels"]) - 1, 20).astype(int)
    # Blurred noise: the network is confident about some and not about others.
    files = [save_sample(data, tmp_path, place) for place in places]
    for seed in range(20):
        noise = np.random.default_rng(seed).integers(256, size=(4, 4, 3), dtype=np.uint8)
        files.append(tmp_path / f"noise_{seed}.png")
        Image.fromarray(noise).resize((32, 32), Image.Resampling.BICUBIC).save(files[-1])
    doubted = 0
    for file in files:
        text, expected = choose(page, file), predict(file)
        assert text.startswith(data["classes"][expected.argmax()])
        doubt = "None of these looks likely." in text
        assert doubt == (expected.max() < data["network"]["unlikely"])
        doubted += doubt
        found = read_probabilities(page, data["classes"])
        np.testing.assert_allclose(found, expected, atol=0.00051)
    assert doubted


def test_photos_of_several_formats(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    wide = make_photo(data, tmp_path, (1601, 1200))
    wide.save(tmp_path / "wide.webp", quality=90)
    rotated = wide.transpose(Image.Transpose.ROTATE_90)
    rotated.save(tmp_path / "rotated.jpg", quality=92, exif=exif)
    transparent = make_photo(data, tmp_path, (640, 480)).convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize((640, 480)))
    transparent.save(tmp_path / "transparent.png")
    small = make_photo(data, tmp_path, (300, 200))
    small.save(tmp_path / "small.bmp")
    small.convert("P").save(tmp_path / "palette.gif")
    (tmp_path / "a.svg").write_text(SVG)
    assert "a.svg" in choose(page, tmp_path / "a.svg")
    for name in ("wide.webp", "rotated.jpg", "transparent.png", "small.bmp", "palette.gif"):
        text, expected = choose(page, tmp_path / name), predict(tmp_path / name)
        assert text.startswith(data["classes"][expected.argmax()]), name
        found = read_probabilities(page, data["classes"])
        assert np.abs(found - expected).max() < 0.01, name


def read_input(page: webdriver.Chrome, column: int, rows: int) -> list[list[int]]:
    """RGBA of the first `rows` pixels in a column of the model input."""
    read = f"getContext('2d').getImageData({column}, 0, 1, {rows}).data"
    levels = page.execute_script(f"return [...document.getElementById('input').{read}]")
    return np.reshape(levels, (rows, 4)).tolist()


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("a.txt", b"no picture", "a.txt is no image that this browser can read"),
        ("b.png", b"\x89PNG\r\n\x1a\n rubbish", "b.png is no image that this browser can read"),
        ("c.jpg", b"", "c.jpg is empty"),
        ("huge.png", None, "huge.png has more than 89 million pixels"),
    ],
)
def test_bad_files_are_refused_and_the_answer_stays(
    page: webdriver.Chrome, data: Any, tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    answer = choose(page, save_sample(data, tmp_path, 0))
    assert "0.png" in answer
    if content is None:
        Image.new("1", (10_000, 10_001)).save(tmp_path / name)
    else:
        (tmp_path / name).write_bytes(content)
    assert choose(page, tmp_path / name) == answer
    assert text_of(page, "status").startswith(problem)


@pytest.mark.parametrize(
    "event",
    [
        "DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})",
        "ClipboardEvent('paste', {clipboardData: transfer, bubbles: true})",
    ],
)
def test_dropped_and_pasted_pictures(
    page: webdriver.Chrome, data: Any, tmp_path: Path, event: str
) -> None:
    file = save_sample(data, tmp_path, 0)
    expected = choose(page, file).splitlines()[1:]
    page.refresh()
    page.execute_script(
        "const transfer = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        f"document.dispatchEvent(new {event});",
        base64.b64encode(file.read_bytes()).decode(),
    )
    answer = browsing.until(lambda: wait(page))
    assert "dropped.png" in answer
    assert answer.splitlines()[1:] == expected
    page.execute_script(
        "const transfer = new DataTransfer(); transfer.setData('text/plain', 'a');"
        f"document.dispatchEvent(new {event});"
    )
    assert wait(page) == answer  # pasted text changes nothing
    browsing.asked(page)
    page.get(PAGE.as_uri())


def test_a_test_image_is_classified_by_a_click(
    page: webdriver.Chrome, data: Any, tmp_path: Path
) -> None:
    expected = choose(page, save_sample(data, tmp_path, 0)).splitlines()[1:]
    page.find_element(By.CSS_SELECTOR, "#sample-rows button").click()
    browsing.until(lambda: "a test image of class" in text_of(page, "prediction"))
    answer = text_of(page, "prediction")
    assert f"of class {data['classes'][0]}" in answer
    assert answer.splitlines()[1:] == expected


def test_an_earlier_request_does_not_replace_a_later_answer(
    page: webdriver.Chrome, data: Any, tmp_path: Path
) -> None:
    """A large photo takes long to read, and meanwhile a test image is chosen."""
    make_photo(data, tmp_path, (6000, 4000)).save(tmp_path / "large.png", compress_level=1)
    page.find_element(By.ID, "choose").send_keys(str(tmp_path / "large.png"))
    page.find_elements(By.CSS_SELECTOR, "#sample-rows button")[-1].click()
    time.sleep(4)
    assert f"a test image of class {data['classes'][-1]}" in text_of(page, "prediction")


def read_column(page: webdriver.Chrome, name: str) -> list[str]:
    headers = [head.text for head in page.find_elements(By.CSS_SELECTOR, "#ranking thead th")]
    place = next(n for n, header in enumerate(headers) if header.startswith(name))
    rows = page.find_elements(By.CSS_SELECTOR, "#ranking tbody tr")
    return [row.find_elements(By.CSS_SELECTOR, "th, td")[place].text for row in rows]


def test_ranking_is_sorted_by_the_keyboard(page: webdriver.Chrome, data: Any) -> None:
    assert read_column(page, "variant") == [row["variant"] for row in data["ranking"]]
    assert "all" in read_column(page, "significantly")[0]
    counts = sorted(row["parameters"] for row in data["ranking"])
    page.find_element(By.CSS_SELECTOR, '[data-column="parameters"]').send_keys(Keys.ENTER)
    assert read_column(page, "parameters") == [f"{count:,}" for count in reversed(counts)]
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert read_column(page, "parameters") == [f"{count:,}" for count in counts]
    (header,) = page.find_elements(By.CSS_SELECTOR, "#ranking [aria-sort=ascending]")
    assert header.text.startswith("parameters")


def test_training_times_are_points(page: webdriver.Chrome, data: Any) -> None:
    timed = [row["variant"] for row in data["ranking"] if row["seconds"] is not None]
    points = page.find_elements(By.CSS_SELECTOR, "#time g")
    names = [point.find_elements(By.TAG_NAME, "text")[1].text for point in points]
    assert names[: len(timed)] == timed
    assert len(names) == len(timed) + len(data["notebook"])


def test_curves_show_the_values_of_an_epoch(page: webdriver.Chrome, data: Any) -> None:
    histories = {name: variant["history"] for name, variant in data["variants"].items()}
    slider = page.find_element(By.ID, "epoch")
    page.execute_script(
        "arguments[0].value = 2; arguments[0].dispatchEvent(new Event('input'))", slider
    )
    for name, history in histories.items():
        assert f"{name} {history['accuracy'][1]:.4f}" in text_of(page, "epoch-values")
    chart = page.find_element(By.CSS_SELECTOR, "#curve-plot svg")
    webdriver.ActionChains(page).move_to_element(chart).perform()
    found = re.match(r"epoch (\d+): (\w+) (0\.\d{4})", text_of(page, "epoch-values"))
    assert found
    assert int(found[1]) > 2
    assert found[3] == f"{histories[found[2]]['accuracy'][int(found[1]) - 1]:.4f}"
    page.find_element(By.CSS_SELECTOR, "#curve [value=val_loss]").click()
    validated = [name for name, history in histories.items() if history["val_loss"][0] is not None]
    lines = page.find_elements(By.CSS_SELECTOR, "#curve-plot path.line")
    assert len(lines) == len(validated)


def test_a_cell_of_the_confusion_shows_its_images(page: webdriver.Chrome, data: Any) -> None:
    name = data["ranking"][-1]["variant"]
    page.find_elements(By.CSS_SELECTOR, "#variant option")[-1].click()
    variant = data["variants"][name]
    rows = page.find_elements(By.CSS_SELECTOR, "#confusion tbody tr")
    cells = [[c.text for c in row.find_elements(By.TAG_NAME, "button")] for row in rows]
    assert cells == [[str(count) for count in counts] for counts in variant["confusion"]]
    rows[3].find_elements(By.TAG_NAME, "button")[5].send_keys(Keys.ENTER)
    captions = [c.text for c in page.find_elements(By.CSS_SELECTOR, "#cell figcaption")]
    shown = [row for row in variant["examples"] if row[1:3] == [3, 5]]
    assert captions == [f"is cat, predicted dog, {100 * row[3]:.1f} %" for row in shown]
    mistakes = page.find_elements(By.CSS_SELECTOR, "#mistakes figcaption")
    assert len(mistakes) == data["max_mistakes"]
    top = max(row[3] for row in variant["examples"] if row[1] != row[2])
    assert mistakes[0].text.endswith(f"{100 * top:.1f} %")
    scores_rows = page.find_elements(By.CSS_SELECTOR, "#classes tbody tr")
    assert [row.text.split(" ")[0] for row in scores_rows] == data["classes"]
    assert text_of(page, "settings").startswith("variant")
    assert "numpy" in text_of(page, "libraries")


@pytest.mark.parametrize("width", [360, 768, 1200])
def test_no_width_needs_scrolling_sideways(page: webdriver.Chrome, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    found = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert found <= width


def test_every_control_has_an_accessible_name(page: webdriver.Chrome) -> None:
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "link", "combobox", "checkbox", "slider", "image", "columnheader"}
    nameless = [
        node["role"]["value"]
        for node in nodes
        if node.get("role", {}).get("value") in roles
        and not node.get("ignored")
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"


@pytest.fixture(scope="module")
def of_photos(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """The page of photos of 25 classes, with samples of three megabytes."""
    names = [*page_project.ODD, *(f"class {number}" for number in range(17))]
    dataset = page_project.PHOTOS | {"side": 64}
    folder = tmp_path_factory.mktemp("photos")
    model = page_project.save_model(folder / "fast.keras", classes=25, side=64)
    project = page_project.make_project(
        folder / "project", model, dataset=dataset, classes=names, side=64, samples=8
    )
    with contextlib.chdir(project):
        compare.main([])
        stage.main([])
    return project / stage.PAGE


def test_a_page_of_photos(browser: webdriver.Chrome, of_photos: Path, tmp_path: Path) -> None:
    browsing.messages(browser)
    browser.get(of_photos.as_uri())
    first, *others = browser.find_elements(By.CSS_SELECTOR, "#sample-rows button")
    assert len(others) == 199
    first.click()
    assert "a test image of class class" in browsing.until(lambda: wait(browser))
    assert len(browser.find_elements(By.CSS_SELECTOR, "#prediction .class")) == 20

    pairs = browser.find_elements(By.CSS_SELECTOR, "#confusion tbody tr")
    assert len(pairs) == 15
    pairs[0].find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    actual, predicted = (pairs[0].find_elements(By.CSS_SELECTOR, "th, td")[n].text for n in (0, 1))
    assert f"of class {actual}, predicted {predicted}" in text_of(browser, "cell")
    assert browser.find_elements(By.CSS_SELECTOR, "#cell figure")

    # A wide photo is padded with white above and below.
    Image.new("RGB", (300, 100), "teal").save(tmp_path / "wide.png")
    choose(browser, tmp_path / "wide.png")
    column = read_input(browser, 32, 64)
    white, teal = [255, 255, 255, 255], [0, 128, 128, 255]
    assert [column[row] for row in (0, 20, 21, 41, 42)] == [white, white, teal, teal, white]
    assert browsing.messages(browser) == []
