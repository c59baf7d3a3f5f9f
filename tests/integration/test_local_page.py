"""The page of `duet-device serve` in Chromium: keyboard, phone, light and dark."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duet_device.history.store import History
from duet_device.vault.vault import Vault
from tests.doubles.browser import CHROMIUM, Tab, browser
from tests.doubles.cloud import ScriptedCloud, tokens
from tests.unit.device.conftest import decoder, installed, pair  # noqa: F401 (fixtures)
from tests.unit.device.serve.conftest import (  # noqa: F401 (fixtures)
    Api,
    api,
    cloud,
    loads,
    request_to,
    service,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Tab, api: Api) -> Iterator[Tab]:  # noqa: F811
    """The page, opened by the address that the server prints."""
    chromium.problems.clear()
    chromium.call("Page.navigate", url=f"{api.url}/#{api.key}")
    chromium.wait_for("location.hash === '' && document.querySelectorAll('option').length === 1")
    yield chromium
    assert chromium.problems == []


def text(tab: Tab, id_: str) -> str:
    return str(tab.value(f"document.getElementById('{id_}').textContent"))


def ask(tab: Tab, question: str) -> None:
    tab.call("Input.insertText", text=question)
    tab.press("Enter", 13, "\r")


def test_a_question_by_keyboard(tab: Tab, cloud: ScriptedCloud) -> None:  # noqa: F811
    assert tab.value("document.activeElement.id") == "question"
    ask(tab, "why?")
    tab.wait_for("document.getElementById('stored').textContent")
    assert text(tab, "answer") == "häppy 🙂"
    assert text(tab, "signal") == "because"
    assert text(tab, "sent").startswith("why?\n(")
    assert text(tab, "cost").startswith("7 large-model tokens · 11 answer tokens · ")
    assert "logs on" in text(tab, "stored")
    assert tab.value("document.activeElement.id") == "question"
    assert [request.question for request in cloud.requests] == ["why?"]
    # No part of the key is in what a page remembers of its address.
    assert "#" not in tab.value("location.href")


def test_a_stored_answer_has_its_id(
    tab: Tab,
    installed: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUET_PASSPHRASE", "correct horse")
    Vault.open(installed)
    history = History.of(installed)
    history.enable(True)
    ask(tab, "why?")
    tab.wait_for("document.getElementById('stored').textContent")
    assert text(tab, "stored") == f"Stored, encrypted, as {history.ids()[0]}."


def test_the_signal_appears_as_it_arrives_and_escape_stops_it(
    tab: Tab,
    cloud: ScriptedCloud,  # noqa: F811
) -> None:
    def script(_: object, context: Any) -> Any:
        over = threading.Event()
        context.add_callback(over.set)
        yield tokens(*b"be")
        over.wait(60)

    cloud.script = script
    ask(tab, "why?")
    tab.wait_for("document.getElementById('signal').textContent === 'be'")
    assert text(tab, "sent").startswith("why?")
    assert text(tab, "answer") == ""
    tab.press("Escape", 27)
    assert cloud.ended.wait(60)
    tab.wait_for("document.getElementById('problem').textContent === 'Stopped.'")
    assert tab.value("document.getElementById('send').disabled") is False


def test_device_only_says_that_nothing_left(tab: Tab, cloud: ScriptedCloud) -> None:  # noqa: F811
    tab.value("document.getElementById('alone').click()")
    tab.value("document.getElementById('question').focus()")
    ask(tab, "why?")
    tab.wait_for("document.getElementById('stored').textContent")
    assert text(tab, "sent") == "Nothing."
    assert text(tab, "cost").startswith("Device alone")
    assert cloud.requests == []


def test_text_of_others_is_never_markup(tab: Tab, cloud: ScriptedCloud) -> None:  # noqa: F811
    ask(tab, "<img src=x onerror=alert(1)>")
    tab.wait_for("document.getElementById('stored').textContent")
    assert text(tab, "sent").startswith("<img src=x")
    assert tab.value("document.images.length") == 0


def test_an_error_is_said(chromium: Tab, api: Api) -> None:  # noqa: F811
    chromium.call("Page.navigate", url="about:blank")
    chromium.call("Page.navigate", url=f"{api.url}/#wrong")
    chromium.wait_for("document.getElementById('problem')?.textContent")
    assert "duet-device serve prints" in text(chromium, "problem")


def test_it_fits_a_phone(tab: Tab) -> None:
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=320,
        height=568,
        deviceScaleFactor=2,
        mobile=True,
    )
    ask(tab, "w" * 60)
    tab.wait_for("document.getElementById('stored').textContent")
    assert tab.value("document.documentElement.scrollWidth") <= 320
    # Apple's and Google's least size of what a finger hits.
    small = "[...document.querySelectorAll('button, select, textarea, .row label')]"
    assert tab.value(f"Math.min(...{small}.map(each => each.offsetHeight))") >= 44
    tab.call("Emulation.clearDeviceMetricsOverride")


CONTRAST = """(() => {
  const light = color => {
    const [r, g, b] = color.match(/[\\d.]+/g).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = each => {
    for (; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor;
      if (color !== "rgba(0, 0, 0, 0)") return color;
    }
  };
  document.getElementById("problem").hidden = false;
  return [...document.querySelectorAll("h1, h2, p, label, button:enabled, select, textarea")]
    .map(each => [light(getComputedStyle(each).color), light(behind(each))])
    .map(pair => (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05))
    .reduce((least, ratio) => Math.min(least, ratio));
})()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(tab: Tab, scheme: str) -> None:
    tab.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    background = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") is (scheme == "light")
    # WCAG 2.2, 1.4.3.
    assert tab.value(CONTRAST) >= 4.5
