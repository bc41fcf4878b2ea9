"""Firefox for Selenium by Marionette, its own remote protocol: geckodriver is in no registry."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.file_detector import UselessFileDetector
from servers import free_port

# Of remote/marionette/driver.sys.mjs in Firefox, by Selenium's names.
COMMANDS = {
    "newSession": "WebDriver:NewSession",
    "get": "WebDriver:Navigate",
    "findElement": "WebDriver:FindElement",
    "findElements": "WebDriver:FindElements",
    "findChildElements": "WebDriver:FindElements",
    "w3cExecuteScript": "WebDriver:ExecuteScript",
    "getElementText": "WebDriver:GetElementText",
    "getElementAttribute": "WebDriver:GetElementAttribute",
    "clickElement": "WebDriver:ElementClick",
    "sendKeysToElement": "WebDriver:ElementSendKeys",
    "quit": "Marionette:Quit",
}


class MarionetteConnection:
    """What Selenium sends its commands to. A message is its length, a colon, and JSON."""

    def __init__(self, port: int) -> None:
        """Connect to a Firefox that may take a minute to start."""
        self._client_config = ClientConfig(f"http://localhost:{port}")
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", port)) as connection:
                    self.stream = connection.makefile("rwb")  # keeps the connection
                break
            except ConnectionRefusedError:
                time.sleep(0.2)
        self._read()

    def _read(self) -> Any:
        length = b""
        while (byte := self.stream.read(1)) != b":":
            length += byte
        return json.loads(self.stream.read(int(length)))

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """The value of `command`; AssertionError with Firefox's message if it fails."""
        if command == "findChildElements":
            params = params | {"element": params["id"]}
        if command == "w3cExecuteScript":
            params = params | {"sandbox": None}  # in the page's own scope
        message = json.dumps([0, 1, COMMANDS[command], params]).encode()
        self.stream.write(b"%d:%b" % (len(message), message))
        self.stream.flush()
        _, _, error, result = self._read()
        assert error is None, error
        is_wrapped = isinstance(result, dict) and set(result) == {"value"}
        return {"value": result["value"] if is_wrapped else result}


@contextmanager
def start_firefox(folder: Path) -> Iterator[webdriver.Remote]:
    """A headless Firefox with its profile in `folder`."""
    port = free_port()
    (folder / "user.js").write_text(f'user_pref("marionette.port", {port});')
    program = shutil.which("firefox-esr") or shutil.which("firefox") or "firefox"
    command = [program, "--headless", "--marionette", "--no-remote", "--profile", str(folder)]
    output = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            connection: Any = MarionetteConnection(int(port))
            options, detector = webdriver.FirefoxOptions(), UselessFileDetector()  # files are local
            with connection.stream:
                yield webdriver.Remote(connection, file_detector=detector, options=options)
        finally:
            process.kill()
