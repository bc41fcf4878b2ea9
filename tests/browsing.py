"""A real browser without a network: Debian's Chromium, or Chrome, driven by Selenium."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

# No program of its own may ask anything either, or its requests would hide the page's.
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
Found = TypeVar("Found")


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    """A browser of 1,200 by 900 pixels that keeps what it logs."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    assert program, "install Debian's chromium"
    assert driver, "install Debian's chromium-driver"
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with webdriver.Chrome(options=options, service=Service(driver)) as driven:
        driven.set_window_size(1200, 900)
        yield driven


def messages(driver: webdriver.Chrome) -> list[dict[str, Any]]:
    """What stands in the console since this was last asked."""
    logged: Callable[[str], list[dict[str, Any]]] = driver.get_log  # which has no types
    return logged("browser")


def asked(driver: webdriver.Chrome) -> list[str]:
    """The addresses requested since this was last asked, but for those in the page itself."""
    logged: Callable[[str], list[dict[str, Any]]] = driver.get_log
    events = [json.loads(entry["message"])["message"] for entry in logged("performance")]
    found = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in found if url.partition(":")[0] not in ("data", "blob")]


def until(find: Callable[[], Found]) -> Found:
    """What `find` gives as soon as it gives something; AssertionError after ten seconds."""
    for _ in range(200):
        if found := find():
            return found
        time.sleep(0.05)
    raise AssertionError("waited for ten seconds")
