"""Sound that does not end, in blocks of any size, to events."""

import io
import os
import sys
import threading
import tracemalloc
import types

import numpy as np
import pytest
import soundfile

from skasd.clips import Clips
from skasd.monitoring import Gap, Microphone, Pipe, RecordingDetector, StreamMonitor

RATE = 8000


def noise(seed, seconds, rate=RATE):
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def with_fault(seconds, *times):
    """Noise that is louder between these times in seconds."""
    made = noise(7, seconds)
    for start, end in times:
        made[round(start * RATE) : round(end * RATE)] *= 3
    return made


@pytest.fixture(scope="module")
def detector():
    return RecordingDetector(sample_rate=RATE).fit([noise(seed, 2 + seed % 3) for seed in range(20)])


def cut(samples, size):
    return np.split(samples, np.arange(size, len(samples), size))


FILES = {
    "mono, at the rate of the detector": (RATE, 1, "PCM_16"),
    "three channels, resampled": (44100, 3, "PCM_16"),
    "stereo floats, resampled": (48000, 2, "FLOAT"),
}


@pytest.fixture(scope="module", params=FILES)
def path(request, tmp_path_factory):
    rate, n_channels, subtype = FILES[request.param]
    path = tmp_path_factory.mktemp("stream") / "one.wav"
    samples = np.stack([noise(30 + channel, 7.3, rate) for channel in range(n_channels)], axis=1)
    samples[rate : 2 * rate] *= 3
    soundfile.write(path, samples, rate, subtype)
    return path


@pytest.mark.parametrize("sizes", [(1, 0, 2, 37, 1000), (441,), (50000,), (10**6,)])
def test_scores_are_those_of_the_file_whatever_the_size_of_blocks(detector, path, sizes):
    frames, rate = soundfile.read(path, dtype="float32")
    ends = np.cumsum(np.resize(sizes, 2 * len(sizes) * len(frames) // sum(sizes)))
    blocks = np.split(frames, ends[ends < len(frames)])
    parts = list(StreamMonitor(detector, sample_rate=rate).score_clips(blocks))
    expected = detector.score_clips(path)
    for name in expected:
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), expected[name])


@pytest.mark.parametrize("size", [50, 3000, 10**6])
def test_events_are_the_same_whatever_the_size_of_blocks(detector, size):
    samples = with_fault(12, (3, 4), (8, 10))
    alarm, end, second, second_end = StreamMonitor(detector).events(cut(samples, size))
    assert [alarm.kind, end.kind, second.kind, second_end.kind] == ["alarm", "end"] * 2
    assert (alarm.start, end.start, end.end) == (2.75, 2.75, 4.25)
    assert alarm.end == 3.5  # the second unusual clip
    spans = {(span.start, span.end): span for span in detector.locate(samples)}
    assert spans[2.75, 4.25].score == end.score <= alarm.score
    assert spans[2.75, 4.25].p_value == end.p_value == pytest.approx(1 / 21)
    assert (second.start, second_end.end) == (7.75, 10.25)
    assert "louder" in alarm.reason


def test_k_of_n_clips_make_an_alarm(detector):
    knock = with_fault(6, (3.05, 3.1))  # in two clips
    for k, kinds in [(1, ["alarm", "end"]), (2, ["alarm", "end"]), (3, [])]:
        assert [event.kind for event in StreamMonitor(detector, k=k).events([knock])] == kinds


def test_an_alarm_lasts_until_all_is_calm(detector):
    samples = with_fault(12, (3, 3.5), (4.5, 5))
    few, many = (list(StreamMonitor(detector, n=n).events([samples])) for n in (2, 8))
    assert [event.kind for event in few] == ["alarm", "end"] * 2
    assert [event.kind for event in many] == ["alarm", "end"]
    assert many[1].end == few[3].end


def test_hysteresis_keeps_an_alarm_between_the_two_limits():
    from skasd.monitoring._stream import _Alarm

    alarm = _Alarm(limit=-2.0, release=-1.0, k=2, n=2)
    scores = [0, -3, 0, -3, -3, -1.5, -1.5, -1.5, -3, -0.5, -1.5, -0.5, -1.0, -1.5, -2.0, -3, 0]
    clips = [{"score": score, "start": number, "end": number + 1} for number, score in enumerate(scores)]
    found = {number: kind for number, clip in enumerate(clips) for kind, _ in alarm.take(clip, None)}
    assert found == {4: "alarm", 12: "end"}
    assert (alarm.start, alarm.end) == (3, 9)


def test_frequent_false_alarms_have_a_release_rate(detector):
    often = RecordingDetector(sample_rate=RATE, false_alarm_rate=0.4).fit([noise(seed, 2) for seed in range(20)])
    assert StreamMonitor(often).release_rate == 0.4
    assert StreamMonitor(detector).release_rate == 0.25


def test_an_alarm_at_the_end_of_the_stream_is_ended(detector):
    *_, end = StreamMonitor(detector).events([with_fault(5, (4, 5))])
    assert end.kind == "end"
    assert "stream ended" in end.reason


@pytest.mark.parametrize(("gap", "seconds"), [(Gap(2.5), 2.5), (Gap(), 0.0)])
def test_a_gap_is_said_and_no_clip_spans_it(detector, gap, seconds):
    first, second = noise(50, 2.1), noise(51, 1.9)
    monitor = StreamMonitor(detector)
    (event,) = monitor.events([first, gap, second])
    assert (event.kind, event.start, event.end) == ("gap", 2.1, 2.1 + seconds)
    assert event.score is None
    scored = list(monitor.score_clips([first, gap, second]))
    expected = [detector.score_clips(one) for one in (first, second)]
    np.testing.assert_array_equal(
        np.concatenate([part["score"] for part in scored]), np.concatenate([part["score"] for part in expected])
    )
    starts = np.concatenate([part["start"] for part in scored])
    np.testing.assert_allclose(starts, np.r_[expected[0]["start"], expected[1]["start"] + 2.1 + seconds])


def test_an_alarm_goes_on_over_a_gap(detector):
    loud = with_fault(2, (0, 2))
    kinds = [event.kind for event in StreamMonitor(detector).events([loud, Gap(1.0), loud, noise(52, 3)])]
    assert kinds == ["alarm", "gap", "end"]


def test_a_monitor_can_be_fed_and_is_as_new_when_finished(detector):
    samples = with_fault(6, (2, 3))
    monitor = StreamMonitor(detector)
    fed = []
    for _ in range(2):
        events = [event for block in cut(samples, 700) for event in monitor.feed(block)]
        fed.append([*events, *monitor.finish()])
    assert fed[0] == fed[1] == list(monitor.events([samples]))
    assert monitor.feed([]) == []
    assert monitor.feed(np.zeros((10, 2))) == []


def test_memory_does_not_grow(detector):
    monitor, block = StreamMonitor(detector), noise(60, 1)

    def peak(n_blocks):
        tracemalloc.start()
        assert list(monitor.events(block for _ in range(n_blocks))) is not None
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak(2)
    assert peak(40) < peak(5) + 2**19  # 35 blocks are 1.1 MB


def test_sections_are_chosen(detector):
    clips = Clips(waveform=[noise(seed, 2) for seed in range(40)], section=["a", "b"] * 20)
    both = RecordingDetector().fit(clips.with_attrs(sample_rate=RATE))
    with pytest.raises(ValueError, match=r"'a'.*'b'"):
        StreamMonitor(both)
    (part,) = StreamMonitor(both, section="b").score_clips([noise(99, 2)])
    expected = both.score_clips(Clips(waveform=[noise(99, 2)], section=["b"]).with_attrs(sample_rate=RATE))
    np.testing.assert_array_equal(part["score"], expected["score"])
    np.testing.assert_array_equal(part["p_value"], expected["p_value"])


WRONG = {
    "NaN": ([[0.1, np.nan]], "number 0 on.*NaN"),
    "after others": ([np.zeros(100), [np.inf]], "number 100 on.*infinite"),
    "several shapes": ([np.zeros((10, 2)), np.zeros((10, 1))], "2 channels.*1"),
    "three axes": ([np.zeros((1, 2, 3))], "shape"),
    "text": ([["a"]], "str"),
    "int64": ([np.zeros(10, int)], "int64"),
    "nothing": ([], "0 samples"),
    "too short": ([np.zeros(100)], "100 samples"),
    "negative gap": ([Gap(-1.0)], "seconds"),
}


@pytest.mark.parametrize("blocks, message", WRONG.values(), ids=WRONG)
def test_what_cannot_be_heard_is_an_error(detector, blocks, message):
    with pytest.raises(ValueError, match=message):
        list(StreamMonitor(detector).events(blocks))


@pytest.mark.parametrize("parameters", [{"k": 5, "n": 4}, {"release_rate": 0.01}, {"section": "x"}, {"k": 0}])
def test_parameters_that_contradict_each_other_are_refused(detector, parameters):
    with pytest.raises(ValueError, match=next(iter(parameters))):
        StreamMonitor(detector, **parameters)


def test_a_stream_of_a_lower_rate_is_warned_of(detector):
    with pytest.warns(UserWarning, match="4000 Hz"):
        StreamMonitor(detector, sample_rate=4000)


@pytest.mark.parametrize("has_header", [True, False])
def test_a_pipe_is_heard_as_the_file(detector, tmp_path, has_header):
    path = tmp_path / "one.wav"
    soundfile.write(path, np.stack([noise(1, 3, 16000), noise(2, 3, 16000)], axis=1), 16000)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 8
    content[4:8] = content[start - 4 : start] = b"\xff" * 4  # as programs write it that cannot go back
    read, write = os.pipe()

    def send():
        with os.fdopen(write, "wb") as file:
            file.write(content if has_header else content[start:])

    threading.Thread(target=send).start()
    with os.fdopen(read, "rb") as file:
        pipe = Pipe(file) if has_header else Pipe(file, 16000, 2)
        parts = list(StreamMonitor(detector, sample_rate=pipe.sample_rate).score_clips(pipe))
    scores = np.concatenate([part["score"] for part in parts])
    np.testing.assert_array_equal(scores, detector.score_clips(path)["score"])


def piped(content, *format_of_bare):
    """The samples that a pipe gives, with full scale at 32768."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    with os.fdopen(read, "rb") as file:
        return 2**15 * np.concatenate([np.empty((0, 1)), *Pipe(file, *format_of_bare)])[:, 0]


@pytest.mark.parametrize(
    ("promised", "n_heard"), [(0, 5000), (2**31 - 1, 5000), (2**32 - 1, 5000), (3000, 1500), (20000, 5000)]
)
def test_a_header_that_promises_no_length_is_no_end(promised, n_heard, monkeypatch):
    samples = np.arange(5000, dtype="<i2")
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV")
    content = bytearray(file.getvalue())
    start = content.index(b"data") + 4
    content[start : start + 4] = promised.to_bytes(4, "little")
    np.testing.assert_array_equal(piped(content), samples[:n_heard])
    monkeypatch.setattr("skasd.monitoring._sources._ENDLESS", 3000)  # instead of 2 GiB, which have passed
    np.testing.assert_array_equal(piped(content), samples)


def test_a_header_is_no_bare_sample():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(1000), RATE, format="WAV")
    with pytest.raises(ValueError, match="begins with the header"):
        piped(file.getvalue(), RATE)
    assert len(piped(file.getvalue()[44:], RATE)) == 1000


def test_a_pipe_without_a_header_is_an_error():
    read, write = os.pipe()
    os.write(write, bytes(100))
    os.close(write)
    with os.fdopen(read, "rb") as file, pytest.raises(ValueError, match="header"):
        Pipe(file)


class Unplugged(Exception):
    pass


def a_sound_device(blocks):
    """What sounddevice has, as far as it is used, whose microphone gives these blocks and is then unplugged."""

    class InputStream:
        def __init__(self, **settings):
            self.settings, self.blocks = settings, iter(blocks)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def read(self, n_frames):
            try:
                return next(self.blocks)
            except StopIteration:
                raise Unplugged("Device unavailable") from None

    return types.SimpleNamespace(InputStream=InputStream, PortAudioError=Unplugged)


def test_a_microphone_gives_blocks_and_says_what_it_lost(monkeypatch):
    blocks = [(np.zeros((800, 1), np.float32), False), (np.ones((800, 1), np.float32), True)]
    monkeypatch.setitem(sys.modules, "sounddevice", a_sound_device(blocks))
    heard = iter(Microphone(RATE, device=3))
    assert next(heard).shape == (800, 1)
    assert next(heard) == Gap()
    assert next(heard).all()
    with pytest.raises(ValueError, match=r"device=3.*unavailable"):
        next(heard)


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ImportError, match=r"skasd\[live\]"):
        next(iter(Microphone(RATE)))
