"""Firefox as Debian ships it, driven by WebDriver BiDi, which it speaks itself: playwright drives only a Firefox of its own."""

import contextlib
import json
import shutil
import socket
import subprocess
import time

import websocket

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")


class Firefox:
    """A page: `goto(address)`, and `value(code)`, what JavaScript code gives, promises waited for."""

    def __init__(self, connection):
        self._connection, self._number = connection, 0
        self._send("session.new", capabilities={})
        [tab] = self._send("browsingContext.getTree")["contexts"]
        self._tab = tab["context"]

    def _send(self, method, **parameters):
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._connection.recv())
            if answer.get("id") == self._number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def goto(self, address):
        self._send("browsingContext.navigate", context=self._tab, url=address, wait="complete")

    def value(self, code):
        found = self._send("script.evaluate", expression=code, target={"context": self._tab}, awaitPromise=True)
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return found["result"].get("value")


@contextlib.contextmanager
def firefox(folder):
    """A headless Firefox with a profile of its own in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([FIREFOX, "--headless", "--no-remote", "--profile", str(folder),
                                f"--remote-debugging-port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for left in reversed(range(240)):
            try:
                connection = websocket.create_connection(f"ws://127.0.0.1:{port}/session", timeout=240, suppress_origin=True)
                break
            except OSError:
                assert process.poll() is None and left, "Firefox did not start"
                time.sleep(0.5)
        yield Firefox(connection)
        connection.close()
    finally:
        process.terminate()
        process.wait(240)
