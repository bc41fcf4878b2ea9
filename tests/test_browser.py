"""The page in a real browser, opened from disk without a network."""

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
Predict = Callable[[Path], np.ndarray]


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, or Chrome, without a network, which keeps what it logs."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as driver:
        yield driver


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, tensorflow_started: None) -> Path:
    """Of photos, which are padded to a square."""
    folder = tmp_path_factory.mktemp("browser") / "project"
    return page_project.make_page(folder, dataset=page_project.PHOTOS | {"side": 32})


def read_log(driver: webdriver.Chrome, name: str) -> list[dict[str, Any]]:
    """The messages of a log since the last call."""
    get_log: Callable[[str], list[dict[str, Any]]] = driver.get_log  # which has no types
    return get_log(name)


@pytest.fixture
def page(browser: webdriver.Chrome, project: Path) -> Iterator[webdriver.Chrome]:
    """The page, newly opened; at the end the console is empty and no other address requested."""
    url = (project / PAGE).as_uri()
    browser.get(url)
    yield browser
    assert read_log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in read_log(browser, "performance")]
    requests = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = {event["params"]["request"]["url"] for event in requests}
    assert {address for address in urls if not address.startswith(("data:", "blob:"))} == {url}


@pytest.fixture(scope="module")
def data(project: Path) -> Any:
    return page_project.read_data(project / PAGE)


@pytest.fixture(scope="module")
def predict(project: Path, data: Any) -> Predict:
    """Probabilities of a photo by Keras, with the weights in the page."""
    import keras

    from pipeline.evaluation.deterministic import make_deterministic

    model = keras.saving.load_model(project / paths.model("fast"), compile=False)
    model.set_weights(page_project.read_weights(data["network"]))
    model = make_deterministic(model)
    config = read_inference_config(read_params(project / PARAMS_FILE), "fast")

    def predict_photo(photo: Path) -> np.ndarray:
        images = load_image(photo, side=data["side"], crop_mode=data["crop_mode"])[None]
        logits, _ = predict_logits(model, images, batch_size=1, config=config)
        return metrics.softmax(logits)[0]

    return predict_photo


def text_of(page: webdriver.Chrome, element: str) -> str:
    return page.find_element(By.ID, element).text


def texts_of(page: webdriver.Chrome, selector: str) -> list[str]:
    return [element.text for element in page.find_elements(By.CSS_SELECTOR, selector)]


def wait(page: webdriver.Chrome) -> str:
    """The prediction, when there is one; AssertionError after ten seconds."""
    for _ in range(200):
        text = text_of(page, "prediction")
        if text and text_of(page, "status") != "classifying":
            return text
        time.sleep(0.05)
    raise AssertionError("no prediction in ten seconds")


def choose(page: webdriver.Chrome, photo: Path) -> str:
    page.find_element(By.ID, "choose").send_keys(str(photo))
    return wait(page)


def assert_probabilities(
    page: webdriver.Chrome, classes: list[str], expected: np.ndarray, atol: float = 0.00051
) -> None:
    """The probabilities on the page are the `expected` ones, which are in order of the classes."""
    texts = texts_of(page, "#prediction .class span")
    shown = dict(zip(texts[::2], texts[1::2], strict=True))
    shares = [float(shown[name].removesuffix(" %")) / 100 for name in classes]
    np.testing.assert_allclose(shares, expected, atol=atol)


def save_blurred(path: Path, size: tuple[int, int] = (32, 32), seed: int = 1) -> Image.Image:
    """A photo of blurred noise, of which the network is certain or not."""
    noise = np.random.default_rng(seed).integers(256, size=(4, 4, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
    photo.save(path)
    return photo


def test_images_are_classified_as_by_keras(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path
) -> None:
    outcomes = set()
    for seed in range(10):
        photo = tmp_path / f"{seed}.png"
        save_blurred(photo, seed=seed)
        text, expected = choose(page, photo), predict(photo)
        assert text.startswith(data["classes"][expected.argmax()])
        is_rejected = "rejected: below the threshold of 50.0 %" in text
        assert is_rejected == (expected.max() < 0.5)
        outcomes.add(is_rejected)
        assert_probabilities(page, data["classes"], expected)
    assert outcomes == {False, True}


def test_photos_of_several_formats(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path
) -> None:
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


def test_bad_files_are_refused_and_the_prediction_stays(
    page: webdriver.Chrome, tmp_path: Path
) -> None:
    save_blurred(tmp_path / "good.png")
    prediction = choose(page, tmp_path / "good.png")
    assert "good.png" in prediction
    for number, content in enumerate((b"no picture", b"\x89PNG\r\n\x1a\n rubbish", b"")):
        bad = tmp_path / f"bad{number}.png"
        bad.write_bytes(content)
        assert choose(page, bad) == prediction
        assert text_of(page, "status").startswith(bad.name)


@pytest.mark.parametrize(
    "event",
    [
        "DragEvent('drop', {dataTransfer: transfer, bubbles: true, cancelable: true})",
        "ClipboardEvent('paste', {clipboardData: transfer, bubbles: true})",
    ],
)
def test_dropped_and_pasted_images(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path, event: str
) -> None:
    save_blurred(tmp_path / "0.png")
    page.execute_script(
        "const transfer = new DataTransfer();"
        "const bytes = Uint8Array.from(atob(arguments[0]), (letter) => letter.charCodeAt(0));"
        "transfer.items.add(new File([bytes], 'dropped.png', {type: 'image/png'}));"
        f"document.dispatchEvent(new {event});",
        base64.b64encode((tmp_path / "0.png").read_bytes()).decode(),
    )
    assert "dropped.png" in wait(page)
    assert_probabilities(page, data["classes"], predict(tmp_path / "0.png"))


def test_a_sample_is_classified_by_a_click(
    page: webdriver.Chrome, data: Any, predict: Predict, tmp_path: Path
) -> None:
    """It also replaces an earlier request, whose photo takes longer to decode."""
    label, png = data["samples"][-1]
    Image.fromarray(page_project.read_image(png)).save(tmp_path / "sample.png")
    save_blurred(tmp_path / "large.png", (6000, 4000))
    page.find_element(By.ID, "choose").send_keys(str(tmp_path / "large.png"))
    page.find_elements(By.CSS_SELECTOR, "#samples button")[-1].click()
    time.sleep(4)
    assert f"test image of class {data['classes'][label]}" in text_of(page, "prediction")
    assert_probabilities(page, data["classes"], predict(tmp_path / "sample.png"))


def read_rows(page: webdriver.Chrome, table: str) -> list[list[str]]:
    rows = page.find_elements(By.CSS_SELECTOR, f"#{table} tr")
    return [[c.text for c in row.find_elements(By.CSS_SELECTOR, "th, td")] for row in rows]


def test_ranking_and_training_times(page: webdriver.Chrome) -> None:
    headers, *rows = read_rows(page, "ranking")
    fast, final = (dict(zip(headers, row, strict=True)) for row in rows)
    assert (fast["variant"], fast["test accuracy"]) == ("fast", "0.8500 ± 0.0707")
    assert (final["variant"], final["test accuracy"]) == ("final", "0.7000")
    assert fast["95.0 % interval"] == "0.8265 to 0.8708"
    assert fast["significantly better than"] == "final"
    assert (fast["training time"], final["training time"]) == ("not measured", "1.3 min")
    *axes, point, label = texts_of(page, "#time text")
    assert (point, label, "70.0 %" in axes) == ("●", "final", True)
    assert text_of(page, "time-note") == "final: 0.7000 after 1.3 min on 2 cores of P"


def test_curves_errors_scores_and_settings_of_a_variant(page: webdriver.Chrome, data: Any) -> None:
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
    page.find_element(By.CSS_SELECTOR, f'[aria-label="{label}"]').send_keys(Keys.ENTER)
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


def test_widths_and_names_of_controls(page: webdriver.Chrome) -> None:
    """No width needs scrolling sideways, and every control has an accessible name."""
    for width in (360, 768, 1200):
        metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 700}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scroll_width = page.execute_script("return document.documentElement.scrollWidth")
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        assert scroll_width <= width
    nodes = page.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "combobox", "image", "columnheader"}
    controls = [node for node in nodes if node.get("role", {}).get("value") in roles]
    assert controls
    assert all(node["ignored"] or node["name"]["value"] for node in controls)
