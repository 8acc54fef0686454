"""A real JupyterLab, driven by a headless browser: started once, with nothing of the user's own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TOKEN = "t"
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
FOLDERS = (
    "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTERLAB_SETTINGS_DIR",
    "JUPYTERLAB_WORKSPACES_DIR",
)  # fmt: skip
PATIENCE = 600  # seconds, for a machine that does other things too


class Lab:
    """JupyterLab with the notebooks of a folder, and a browser.

    Attributes:
        folder: The notebooks.
        browser: Playwright's context.
    """

    def __init__(self, folder: Path, port: int, browser: Any) -> None:
        self.folder, self.port, self.browser = folder, port, browser

    def write(self, name: str, *cells: str) -> str:
        """A notebook of these cells; it names its kernel, since JupyterLab would ask for one."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        code = [nbformat.v4.new_code_cell(cell) for cell in cells]
        nbformat.write(nbformat.v4.new_notebook(cells=code, metadata={"kernelspec": kernel}), self.folder / name)
        return name

    def open(self, name: str) -> Any:
        """The notebook in a tab of the browser, its kernel ready."""
        tab = self.browser.new_page()
        tab.set_default_timeout(PATIENCE * 1000)
        tab.goto(f"http://127.0.0.1:{self.port}/doc/tree/{name}?token={TOKEN}")
        tab.wait_for_selector(".jp-Notebook")
        wait_for(lambda: any(self._ready(s, name) for s in self._ask("/api/sessions")), "the kernel")
        return tab

    def download(self, path: str) -> bytes:
        """A file of the notebooks' folder, as the server gives it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/files/{path}?token={TOKEN}", timeout=30) as answer:
            content: bytes = answer.read()
        return content

    def _ready(self, session: dict[str, Any], name: str) -> bool:
        kernel = session.get("kernel") or {}
        return session["path"] == name and kernel.get("execution_state") == "idle" and kernel.get("connections", 0) > 0

    def _ask(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?token={TOKEN}", timeout=30) as answer:
            return json.load(answer)


def wait_for(is_so: Any, what: str) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not come within {PATIENCE} seconds")
        time.sleep(0.2)


@contextmanager
def running(folder: Path, width: int = 1366, height: int = 900) -> Iterator[Lab]:
    """JupyterLab and a browser, both stopped at the end.

    Args:
        folder: For notebooks (``notebooks/``) and for everything that Jupyter and the browser write.
        width, height: Of the browser's window.
    """
    from playwright.sync_api import sync_playwright

    notebooks = folder / "notebooks"
    notebooks.mkdir(exist_ok=True)
    environment = {**os.environ, **{name: str(folder / name.lower()) for name in FOLDERS}}
    news = Path(environment["JUPYTERLAB_SETTINGS_DIR"]) / "@jupyterlab" / "apputils-extension"
    news.mkdir(parents=True)
    (news / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={notebooks}",
    ]  # fmt: skip
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        lab = Lab(notebooks, port, None)
        wait_for(lambda: _up(lab, server), "JupyterLab")
        with sync_playwright() as playwright:
            lab.browser = playwright.chromium.launch_persistent_context(
                str(folder / "profile"), executable_path=BROWSER, args=list(OPTIONS), viewport={"width": width, "height": height},
                permissions=["clipboard-read", "clipboard-write"], accept_downloads=True,
            )  # fmt: skip
            try:
                yield lab
            finally:
                lab.browser.close()
    finally:
        server.terminate()
        server.wait(PATIENCE)


def _up(lab: Lab, server: subprocess.Popen[bytes]) -> bool:
    if server.poll() is not None:
        raise RuntimeError(f"JupyterLab ended by itself: {(lab.folder.parent / 'server.log').read_text()[-800:]}")
    try:
        lab._ask("/api/status")
    except OSError:
        return False
    return True


def run_all(tab: Any) -> None:
    """Run every cell, as the menu does it."""
    tab.get_by_role("menuitem", name="Run", exact=True).click()
    tab.get_by_text("Run All Cells", exact=True).click()
