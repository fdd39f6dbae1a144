"""Chromium, headless, with a profile of its own and nothing that it does on its own account."""

import base64
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, Service(DRIVER))
        try:
            yield driver
        finally:
            driver.quit()


class Browser:
    """What a person does with a page, and sees of it."""

    def __init__(self, driver: webdriver.Chrome, address: str) -> None:
        self.driver = driver
        self.address = address

    def open(self, path: str = "", width: int = 1280, dark: bool = False) -> None:
        scheme = "dark" if dark else "light"
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.driver.get(self.address + path)
        # A cached page may be back before its modules have run, and what is dropped on it then is dropped on nobody.
        WebDriverWait(self.driver, 20, 0.01).until(lambda _: self.js("return document.readyState") == "complete")

    def js(self, script: str, *arguments: object) -> object:
        return self.driver.execute_script(script, *arguments)  # type: ignore[no-untyped-call]

    def texts(self, selector: str) -> list[str]:
        found = self.js("return [...document.querySelectorAll(arguments[0])].map(e => e.textContent)", selector)
        assert isinstance(found, list)
        return found

    def wait(self, selector: str, count: int = 1) -> list[str]:
        """The texts of so many elements, as soon as they are there."""
        WebDriverWait(self.driver, 20, 0.05).until(lambda _: len(self.texts(selector)) >= count, selector)
        return self.texts(selector)

    def choose(self, path: Path) -> None:
        self.driver.find_element("id", "file").send_keys(str(path))

    def hand_over(self, event: str, picture: bytes) -> None:
        """Drop or paste a PNG: the event as a browser makes it, since no driver can take a file by the hand."""
        self.js(
            """const bytes = Uint8Array.from(atob(arguments[1]), c => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "x.png", { type: "image/png" }));
            const about = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
            const kind = arguments[0] === "paste" ? ClipboardEvent : DragEvent;
            document.getElementById("drop").dispatchEvent(new kind(arguments[0], about));""",
            event,
            base64.b64encode(picture).decode(),
        )

    def overflow(self) -> object:
        """By how many pixels the page is wider than the window."""
        return self.js("return document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def complaints(self) -> list[str]:
        """What the console has said since it was last asked; a refused request is not the page's fault."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["source"] != "network"]

    def failures(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requested(self) -> set[str]:
        """Every address asked for since this was last called."""
        time.sleep(0.1)  # the last ones reach the log a little later
        messages = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }
