"""A browser without a network: Debian's Chromium, or Chrome, driven by Selenium."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# Requests of the browser itself would be listed beside the page's.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
Value = TypeVar("Value")


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser of 1,200 by 900 pixels that keeps what it logs."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    assert program, "install the packages that .ci/run names"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(
        options=options, service=Service(shutil.which("chromedriver"))
    ) as browser:
        browser.set_window_size(1200, 900)
        yield browser


def messages(driver: webdriver.Chrome, log: str = "browser") -> list[dict[str, Any]]:
    """The messages of the console, or of another log, since the last call."""
    get_log: Callable[[str], list[dict[str, Any]]] = driver.get_log  # which has no types
    return get_log(log)


def asked(driver: webdriver.Chrome) -> list[str]:
    """The addresses requested since the last call, except data and blob URLs."""
    events = [json.loads(entry["message"])["message"] for entry in messages(driver, "performance")]
    requests = [event for event in events if event["method"] == "Network.requestWillBeSent"]
    urls = [event["params"]["request"]["url"] for event in requests]
    return [url for url in urls if url.partition(":")[0] not in ("data", "blob")]


def until(find: Callable[[], Value]) -> Value:
    """The first true value of `find`; AssertionError after ten seconds."""
    for _ in range(200):
        if value := find():
            return value
        time.sleep(0.05)
    raise AssertionError("waited for ten seconds")
