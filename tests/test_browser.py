"""The page in Chromium and Firefox, opened from disk without a network."""

import base64
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import page_project
import pytest
from firefox import start_firefox
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from pipeline.core import paths
from pipeline.core.params import PARAMS_FILE, read_params
from pipeline.datasets.image_loading import load_image
from pipeline.evaluation import metrics
from pipeline.evaluation.config import read_inference_config
from pipeline.evaluation.inference import predict_logits
from pipeline.page.page import PAGE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# Requests of the browser itself would be listed beside the page's.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
EXIF_ORIENTATION = 274
Predict = Callable[..., np.ndarray]


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """Debian's Chromium, or Chrome, without a network, which keeps what it logs; or Firefox."""
    if request.param == "firefox":
        with start_firefox(tmp_path_factory.mktemp("firefox")) as driver:
            yield driver
        return
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as chrome:
        yield chrome


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """Of photos, which are padded to a square."""
    folder = tmp_path_factory.mktemp("browser") / "project"
    return page_project.make_page(folder, dataset=page_project.PHOTOS | {"side": 32})


def read_log(driver: Any, name: str) -> list[dict[str, Any]]:
    """The messages of a log since the last call."""
    get_log: Callable[[str], list[dict[str, Any]]] = driver.get_log  # which has no types
    return get_log(name)


@pytest.fixture
def page(browser: Any, project: Path) -> Iterator[Any]:
    """The page, newly opened; at the end the console is empty and no other address requested."""
    url = (project / PAGE).as_uri()
    browser.get("about:blank")
    browser.get(url)
    yield browser
    if not isinstance(browser, webdriver.Chrome):
        return
    assert read_log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    requests = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = {event["params"]["request"]["url"] for event in requests}
    urls = {u.partition("#")[0] for u in urls if not u.startswith(("data:", "blob:", "about:"))}
    assert urls == {url}


@pytest.fixture(scope="module")
def data(project: Path) -> Any:
    return page_project.read_data(project / PAGE)


@pytest.fixture(scope="module")
def predict(project: Path, data: Any) -> Predict:
    """Probabilities of a photo by Keras, with the weights in the page."""
    import keras

    from pipeline.evaluation.deterministic import make_deterministic

    def predict_photo(photo: Path, variant: str = "fast") -> np.ndarray:
        model = keras.saving.load_model(project / paths.model(variant), compile=False)
        model.set_weights(page_project.read_weights(variant, project / PAGE))
        config = read_inference_config(read_params(project / PARAMS_FILE), variant)
        images = load_image(photo, side=data["side"], crop_mode=data["crop_mode"])[None]
        model = make_deterministic(model)
        logits, _ = predict_logits(model, images, batch_size=1, config=config)
        return metrics.softmax(logits)[0]

    return predict_photo


def text_of(page: Any, element: str) -> str:
    text: str = page.find_element(By.ID, element).text
    return text


def texts_of(page: Any, selector: str) -> list[str]:
    return [element.text for element in page.find_elements(By.CSS_SELECTOR, selector)]


def wait(page: Any) -> str:
    """The status when there are answers or an error; AssertionError after ten seconds."""
    for _ in range(200):
        text = text_of(page, "status")
        if text not in ("loading", "classifying"):
            return text
        time.sleep(0.05)
    raise AssertionError("no answer in ten seconds")


def choose(page: Any, photo: Path) -> str:
    wait(page)
    page.find_element(By.ID, "choose").send_keys(str(photo))
    return wait(page)


def assert_probabilities(
    page: Any, classes: list[str], expected: np.ndarray, variant: str = "fast", atol: float = 5.1e-4
) -> None:
    """The card has the five highest of the `expected` ones, which are in order of the classes."""
    texts = texts_of(page, f"#card-{variant} .class span")
    shown = dict(zip(texts[::2], texts[1::2], strict=True))
    shares = [float(share.removesuffix(" %")) / 100 for share in shown.values()]
    np.testing.assert_allclose(shares, np.sort(expected)[:-6:-1], atol=atol)
    own = expected[[classes.index(name) for name in shown]]
    np.testing.assert_allclose(shares, own, atol=atol)


def save_blurred(path: Path, size: tuple[int, int] = (32, 32), seed: int = 1) -> Image.Image:
    """A photo of blurred noise, of which the network is certain or not."""
    noise = np.random.default_rng(seed).integers(256, size=(4, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    photo.save(path)
    return photo


def test_images_are_classified_as_by_keras(
    page: Any, data: Any, predict: Predict, tmp_path: Path
) -> None:
    outcomes = set()
    for seed in range(10):
        photo = tmp_path / f"{seed}.png"
        save_blurred(photo, seed=seed)
        choose(page, photo)
        assert text_of(page, "caption").startswith(f"{seed}.png, 32 ")
        for variant in ("fast", "final"):
            expected, text = predict(photo, variant), text_of(page, f"card-{variant}")
            assert text.startswith(data["classes"][expected.argmax()])
            is_rejected = "unlikely: below 50.0 %" in text
            assert is_rejected == (expected.max() < 0.5)
            outcomes.add(is_rejected)
            assert_probabilities(page, data["classes"], expected, variant)
    assert outcomes == {False, True}


def test_photos_of_several_formats(page: Any, data: Any, predict: Predict, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    wide = save_blurred(tmp_path / "wide.bmp", (1601, 1200))
    wide.save(tmp_path / "wide.webp", quality=90)
    wide.convert("P").save(tmp_path / "palette.gif")
    wide.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "rotated.jpg", quality=92, exif=exif)
    wide.putalpha(Image.linear_gradient("L").resize(wide.size))
    wide.save(tmp_path / "transparent.png")
    for name in ("wide.bmp", "wide.webp", "palette.gif", "rotated.jpg", "transparent.png"):
        choose(page, tmp_path / name)
        assert_probabilities(page, data["classes"], predict(tmp_path / name), atol=0.01)


def test_the_page_stays_responsive_with_48_megapixels(page: Any, tmp_path: Path) -> None:
    wait(page)
    save_blurred(tmp_path / "large.jpg", (8000, 6000))
    page.execute_script(
        "window.ticks = 0; setInterval(() => { window.ticks += document.getElementById('status')"
        ".textContent === 'classifying'; }, 20)"
    )
    for _ in range(2):  # the second photo took five times as long once
        page.execute_script("window.ticks = 0")
        choose(page, tmp_path / "large.jpg")
        assert text_of(page, "caption") == "large.jpg, 8000 \N{MULTIPLICATION SIGN} 6000 pixels"
        assert page.execute_script("return window.ticks") > 20


def test_bad_files_are_refused_and_the_answer_stays(page: Any, tmp_path: Path) -> None:
    save_blurred(tmp_path / "good.png")
    choose(page, tmp_path / "good.png")
    cards = text_of(page, "cards")
    for number, content in enumerate((b"no picture", b"\x89PNG\r\n\x1a\n rubbish", b"<svg/>")):
        bad = tmp_path / f"bad{number}.png"
        bad.write_bytes(content)
        choose(page, bad)
        time.sleep(0.1)
        assert wait(page).startswith(f"{bad.name}: not an image")
        assert text_of(page, "cards") == cards
        assert text_of(page, "caption").startswith("good.png")


@pytest.mark.parametrize("event", [("drop", "dataTransfer"), ("paste", "clipboardData")])
def test_dropped_and_pasted_images(
    page: Any, data: Any, predict: Predict, tmp_path: Path, event: tuple[str, str]
) -> None:
    """A second event, of text, changes nothing."""
    save_blurred(tmp_path / "0.png")
    page.execute_script(
        "const transfer = new DataTransfer(), text = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        "text.items.add('text', 'text/plain');"
        "for (const files of [transfer, text]) {"
        f"const event = new Event('{event[0]}', {{cancelable: true}});"
        f"document.dispatchEvent(Object.assign(event, {{{event[1]}: files}}));}}",
        base64.b64encode((tmp_path / "0.png").read_bytes()).decode(),
    )
    time.sleep(0.1)
    wait(page)
    assert "dropped.png" in text_of(page, "caption")
    assert_probabilities(page, data["classes"], predict(tmp_path / "0.png"))


def test_a_sample_is_classified_at_load_and_by_a_click(
    page: Any, project: Path, data: Any, predict: Predict, tmp_path: Path
) -> None:
    """It also replaces an earlier request, whose photo takes longer to decode."""
    wait(page)
    samples = page_project.read_data(project / PAGE, "samples-data")
    first, _ = samples[data["first_sample"]]
    assert f"of class {data['classes'][first]}" in text_of(page, "caption")
    label, webp = samples[-1]
    Image.fromarray(page_project.read_image(webp)).save(tmp_path / "sample.png")
    save_blurred(tmp_path / "large.png", (6000, 4000))
    page.find_element(By.ID, "choose").send_keys(str(tmp_path / "large.png"))
    page.find_elements(By.CSS_SELECTOR, "#samples button")[-1].click()
    time.sleep(4)
    wait(page)
    name, expected = data["classes"][label], predict(tmp_path / "sample.png")
    assert f"test image of class {name}" in text_of(page, "caption")
    assert_probabilities(page, data["classes"], expected)
    verdict = "right" if expected.argmax() == label else f"wrong, it is of class {name}"
    assert texts_of(page, "#card-fast .answer p")[1].startswith(verdict)


def test_square_networks_and_the_address(
    page: Any, project: Path, data: Any, predict: Predict, tmp_path: Path
) -> None:
    """The square can be moved by keys; the address brings photo, square and networks back."""
    wait(page)
    page.find_elements(By.CSS_SELECTOR, "#samples button")[3].click()
    time.sleep(0.1)
    wait(page)
    page.find_element(By.ID, "use-final").click()
    square = page.find_element(By.ID, "square")
    for key in ("-", "-", Keys.ARROW_LEFT, Keys.ARROW_UP):
        square.send_keys(key)
        time.sleep(0.1)
        wait(page)
    address = page.execute_script("return location.href")
    (numbers,) = re.findall(r"#photo=3&networks=fast&square=(\d+),(\d+),(\d+)&", address)
    x, y, side = map(int, numbers)
    assert (side, x < 6, y < 6) == (21, True, True)  # of 32
    _, webp = page_project.read_data(project / PAGE, "samples-data")[3]
    pixels = page_project.read_image(webp)[y : y + side, x : x + side]
    Image.fromarray(pixels).save(tmp_path / "square.png")
    page.get("about:blank")
    page.get(address)
    wait(page)
    assert page.find_elements(By.ID, "card-final") == []
    assert_probabilities(page, data["classes"], predict(tmp_path / "square.png"))
    left = page.execute_script("return document.getElementById('square').style.left")
    assert float(left.removesuffix("%")) == 100 * x / 32


def test_a_photo_is_kept_while_networks_are_chosen(page: Any, tmp_path: Path) -> None:
    """Both while it is decoded, and with the variant of another link."""
    wait(page)
    save_blurred(tmp_path / "large.png", (6000, 4000))
    page.find_element(By.ID, "choose").send_keys(str(tmp_path / "large.png"))
    page.execute_script("document.getElementById('use-final').click()")
    time.sleep(4)
    wait(page)
    assert text_of(page, "caption").startswith("large.png, 6000 ")
    assert page.find_elements(By.ID, "card-final") == []
    page.execute_script("location.hash = '#photo=1&variant=final'")
    time.sleep(1)
    assert text_of(page, "caption").startswith("test image")
    assert page.execute_script("return document.getElementById('variant').value") == "final"


@pytest.mark.parametrize("is_photo", [True, False])
def test_a_file_dropped_before_samples_and_networks(
    browser: Any, project: Path, tmp_path: Path, is_photo: bool
) -> None:
    """On a slow link the results come first; a photo is kept as the rest is loaded."""
    text = (project / PAGE).read_text(encoding="utf-8")
    start, samples, rest = text.partition('<script type="application/json" id="samples-data">')
    save_blurred(tmp_path / "photo.png")
    content = (tmp_path / "photo.png").read_bytes() if is_photo else b"no picture"
    script = (
        f"<script>const content = atob('{base64.b64encode(content).decode()}');"
        "const bytes = Uint8Array.from(content, (letter) => letter.charCodeAt(0));"
        "classifyFile([new File([bytes], 'early.png')]);</script>"
    )
    early = tmp_path / "early.html"
    early.write_text(start + script, "utf-8")
    browser.get(early.as_uri())
    time.sleep(1)
    problem = "" if is_photo else "early.png: not an image that this browser decodes; "
    assert text_of(browser, "status") == f"{problem}loading"
    early.write_text(start + script + samples + rest, "utf-8")
    browser.get(early.as_uri())
    wait(browser)
    if is_photo:
        assert text_of(browser, "caption").startswith("early.png, 32")
    if isinstance(browser, webdriver.Chrome):  # the logs of this page are not of the next
        read_log(browser, "browser")
        read_log(browser, "performance")


def test_occlusion_map_over_the_input(page: Any) -> None:
    wait(page)
    script = (
        "const copy = new OffscreenCanvas(8, 8).getContext('2d');"
        "copy.drawImage(document.querySelector('#card-fast .veil'), 0, 0);"
        "return Array.from(copy.getImageData(0, 0, 8, 8).data).filter((_, i) => i % 4 === 3);"
    )
    for _ in range(100):
        if max(darkness := page.execute_script(script)):
            break
        time.sleep(0.05)
    assert (min(darkness), max(darkness)) == (0, 180)


def read_rows(page: Any, table: str) -> list[list[str]]:
    rows = page.find_elements(By.CSS_SELECTOR, f"#{table} tr")
    return [[c.text for c in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]


def test_ranking_and_training_times(page: Any) -> None:
    rows = read_rows(page, "ranking")
    assert rows[0][3:] == rows[1][3:] == [""] * 6  # hidden
    page.find_element(By.ID, "all-columns").click()
    headers, *rows = read_rows(page, "ranking")
    fast, final = (dict(zip(headers, row, strict=True)) for row in rows)
    assert (fast["variant"], fast["test accuracy"]) == ("fast", "0.8500 ± 0.0707")
    assert (final["variant"], final["test accuracy"]) == ("final", "0.7000")
    assert fast["95.0 % interval"] == "0.8265 to 0.8708"
    assert fast["significantly better than"] == "final"
    assert (fast["training time"], final["training time"]) == ("not measured", "1.3 min")
    assert (fast["trained on"], final["trained on"]) == ("", "2 cores of P")


def test_curves_errors_scores_and_settings_of_a_variant(page: Any, data: Any) -> None:
    curves = "#curves path:not(.grid)"
    assert len(page.find_elements(By.CSS_SELECTOR, curves)) == 2  # without validation images
    page.find_elements(By.CSS_SELECTOR, "#variant option")[-1].click()
    final, classes = data["variants"]["final"], data["classes"]
    paths = [path.get_dom_attribute("d") for path in page.find_elements(By.CSS_SELECTOR, curves)]
    names = ("accuracy", "val_accuracy", "loss", "val_loss")
    for path, name in zip(paths, names, strict=True):
        heights = [-float(point.split(",")[1]) for point in path[1:].split("L")]
        assert np.corrcoef(heights, final["history"][name])[0, 1] > 0.999
    headers, *rows = read_rows(page, "confusion")
    assert headers[1:] == [row[0] for row in rows] == classes
    assert [[int(count) for count in row[1:]] for row in rows] == final["confusion"]
    label = f"{final['confusion'][3][5]} of class cat, predicted dog"
    page.find_element(By.CSS_SELECTOR, "#confusion button").send_keys(Keys.ARROW_RIGHT)
    for key in [Keys.ARROW_RIGHT] * 4 + [Keys.ARROW_DOWN] * 3:
        page.execute_script("return document.activeElement").send_keys(key)
    button = page.execute_script("return document.activeElement")
    assert button.get_attribute("aria-label") == label
    button.send_keys(Keys.ENTER)
    confidences = [row[3] for row in final["examples"] if row[1:3] == [3, 5]]
    expected = [f"cat, predicted dog, probability {100 * c:.1f} %" for c in confidences]
    assert texts_of(page, "#cell figcaption") == expected
    assert page.execute_script("return document.querySelector('#cell img').naturalWidth") == 32
    captions = texts_of(page, "#misclassified figcaption")
    assert len(captions) == data["max_misclassified"]
    assert all(re.fullmatch(r"(\w+), predicted (?!\1,).* 95\.0 %", text) for text in captions)
    headers, *rows = read_rows(page, "classes")
    scores = [final["scores"][name.lower()][0] for name in headers[1:4]]
    assert rows[0] == [classes[0], *(f"{score:.4f}" for score in scores), "100"]
    assert text_of(page, "settings") == final["settings"].strip()


def test_widths_tab_stops_and_names_of_controls(page: Any) -> None:
    """No width needs scrolling sideways, and every control has an accessible name."""
    wait(page)
    stops = (
        "return [...document.querySelectorAll('button, [tabindex]')].filter((e) => e.tabIndex >= 0)"
    )
    assert page.execute_script(f"{stops}.length") < 12
    if not isinstance(page, webdriver.Chrome):
        return
    for width in (360, 768, 1200):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scroll_width = page.execute_script("return document.documentElement.scrollWidth")
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert scroll_width <= width
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "combobox", "image", "columnheader", "checkbox", "slider", "meter"}
    controls = [node for node in nodes if node.get("role", {}).get("value") in roles]
    assert controls
    assert all(node["ignored"] or node["name"]["value"] for node in controls)
