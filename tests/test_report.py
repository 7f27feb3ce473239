"""The report on recordings: what it says, that it needs no network, and that no file name becomes a part of it."""

import base64
import io
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import soundfile
from PIL import Image

from skasd.clips import Clips
from skasd.monitoring import RecordingDetector, write_report

RATE = 8000
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)> \"&'"


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text by the section that it is in."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.place, self.open = [], {}, "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        self.place = attrs.get("id", self.place) if tag == "section" else self.place

    def handle_data(self, data):
        self.texts[self.place] = self.texts.get(self.place, "") + data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self, place):
        return re.sub(r"\s+", " ", self.texts[place])


def sound(seed, seconds=2.0, knock=None):
    rng = np.random.default_rng(seed)
    made = 0.1 * rng.standard_normal(round(seconds * RATE))
    if knock is not None:
        made[round(knock * RATE) :][:200] += 0.4
    return made.astype(np.float32)


@pytest.fixture(scope="module")
def detector():
    return RecordingDetector(sample_rate=RATE, cv=4).fit([sound(seed) for seed in range(24)])


@pytest.fixture(scope="module")
def page(detector, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "to day"
    folder.mkdir()
    names = {"healthy.wav": sound(101), f"knock {EVIL.replace('/', '')}.wav": sound(102, knock=1.25),
             "silent.wav": np.zeros(RATE), "short.wav": sound(103, 0.1)}  # fmt: skip
    for name, samples in names.items():
        soundfile.write(folder / name, samples, RATE)
    (folder / "broken.wav").write_bytes(b"no sound")
    write_report(detector, folder, folder / "made" / "report.html")
    return Page((folder / "made" / "report.html").read_text(encoding="utf-8"))


def test_it_tells_alarms_and_where_they_are(page):
    assert page.text("").endswith("1 alarm 1 as usual 3 not judged ")
    assert re.search(r"None of 24 healthy recordings is as unusual", page.text("alarms"))
    start, end = map(float, re.search(r"([\d.]+) to ([\d.]+) s:", page.text("alarms")).groups())
    assert start <= 1.25 <= end
    assert "knock" in page.text("alarms") and "healthy.wav" not in page.text("alarms")


def test_the_picture_can_be_seen_and_the_recording_heard(page):
    (picture,), (sound_,) = page.all("img"), page.all("audio")
    image = Image.open(io.BytesIO(base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"))))
    assert image.size == (int(picture["width"]), int(picture["height"])) and picture["alt"] and "controls" in sound_
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(sound_["src"].removeprefix("data:audio/flac;base64,"))))
    heard = sound(102, knock=1.25)
    assert rate == RATE and samples == pytest.approx(heard * 0.5 / np.abs(heard).max(), abs=1e-3)


@pytest.mark.parametrize(
    ("seconds", "knock", "first"), [(40, 1.0, 0.0), (40, 20.0, 5.25), (40, 38.5, 10.0), (75, 55, 40)]
)
def test_of_a_long_recording_the_worst_half_minute_is_shown(detector, seconds, knock, first, tmp_path):
    samples = sound(104, seconds, knock)
    write_report(detector, [samples], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    (sound_,) = page.all("audio")
    told = re.search(r"From ([\d.]+) to ([\d.]+) s of the recording", page.text("alarms"))
    start, end = map(float, told.groups())
    assert (start, end - start) == (pytest.approx(first, abs=0.6), pytest.approx(30))
    heard, rate = soundfile.read(io.BytesIO(base64.b64decode(sound_["src"].removeprefix("data:audio/flac;base64,"))))
    assert len(heard) == 30 * rate
    assert np.argmax(np.convolve(np.abs(heard), np.ones(200), "valid")) == pytest.approx(
        rate * (knock - start), abs=500
    )


def test_it_tells_what_could_not_be_judged_and_what_to_do(page):
    unjudged = page.text("unjudged")
    assert all(f"{name}.wav" in unjudged for name in ("silent", "short", "broken")) and "healthy.wav" not in unjudged
    assert "Record again" in page.text("next") and "Listen" in page.text("next")


def test_it_tells_rates_and_what_was_learned(page, detector):
    below = np.count_nonzero(detector.calibration_["score"] < detector.offsets_[""])
    assert "5 % of healthy recordings" in page.text("false-alarms")
    assert re.search(
        rf"of 24 healthy recordings, .* {below} would have raised an alarm: 4\.2 %", page.text("false-alarms")
    )
    assert "24 healthy recordings, 0.8 minutes, heard at 8000 Hz" in page.text("learned")
    assert detector.log_[0]["time"][:10] in page.text("learned")


def test_no_file_name_becomes_a_part_of_the_page(page):
    assert not page.all("script") and all(attrs["src"].startswith("data:") for attrs in page.all("img"))
    assert EVIL.replace("/", "") in page.texts["alarms"] and EVIL.replace("/", "") in page.texts["all"]
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]


def test_it_loads_nothing(page):
    policy = next(attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert not {"link", "script", "iframe", "object", "embed", "base", "form", "a"} & {tag for tag, _ in page.tags}
    sources = [attrs[name] for _, attrs in page.tags for name in ("src", "href", "srcset", "data") if name in attrs]
    assert sources and all(source.startswith("data:") for source in sources)


def test_what_is_not_quite_in_order_is_told(detector, tmp_path):
    soundfile.write(tmp_path / "slow.wav", sound(5), RATE // 2)
    write_report(detector, tmp_path, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "lower sample rate than 8000 Hz" in " ".join(page.texts.values())


def test_sections_are_named(tmp_path):
    section = ["north <i>", "south"] * 12
    clips = Clips(waveform=[sound(seed) for seed in range(24)], section=section).with_attrs(sample_rate=RATE)
    detector = RecordingDetector(false_alarm_rate=0.1, cv=4).fit(clips)
    new = Clips(waveform=[sound(200, knock=1.0), sound(201)], section=["north <i>", "east"])
    write_report(detector, new.with_attrs(sample_rate=RATE), tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "north <i>" in page.text("alarms") and not page.all("i")
    assert "east" in page.text("unjudged") and "south: of 12" in page.text("false-alarms")


def test_nothing_is_overwritten_and_nothing_half_written(detector, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(FileExistsError, match=r"report\.html"):
        write_report(detector, [sound(1)], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "mine" and os.listdir(tmp_path) == ["report.html"]
