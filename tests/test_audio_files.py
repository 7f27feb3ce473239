"""What files say of themselves is not to be trusted: every format that soundfile writes, whole and cut off."""

import io
import os
import random
import re
import socket
import struct
import sys

import numpy as np
import pytest
import soundfile

from skasd.audio import AudioLoader, load_audio
from skasd.clips import Clips
from skasd.features import LogMelSpectrogram

pytestmark = pytest.mark.filterwarnings("ignore:.* files are silent")  # as libsndfile decodes some ALAC
RATE, N_SAMPLES = 8000, 6000
NO_LENGTH = ("PAF", "PVF", "IRCAM", "XI", "SD2")  # their headers have none
posix = pytest.mark.skipif(os.name == "nt", reason="there are no such files")


def noise(n_channels=1, n_samples=N_SAMPLES):
    return np.random.default_rng(0).uniform(-0.5, 0.5, size=(n_samples, n_channels))


def write(path, samples, **options):
    """Write at the first sample rate that the format allows; the rate, or None where it cannot be written."""
    for rate in (RATE, 44100):
        try:
            soundfile.write(path, samples, rate, **options)
            return rate
        except soundfile.SoundFileError:
            pass
    return None


def pairs():
    for format in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(format):
            if format != "RAW":
                yield format, subtype


def load(path, **options):
    return load_audio(path, **{"sample_rate": None, "channel": 0} | options)


def reference(path):
    with soundfile.SoundFile(path) as file:
        return file.read(file.frames, dtype="float32", always_2d=True)[:, 0]


@pytest.fixture(params=pairs(), ids="-".join)
def written(request, tmp_path):
    """Paths of a mono and a stereo file of one format."""
    format, subtype = request.param
    paths = []
    for n_channels in (1, 2):
        path = tmp_path / f"{n_channels}.bin"
        if write(path, noise(n_channels), format=format, subtype=subtype):
            paths.append(path)
    if not paths or os.path.getsize(paths[0]) < 200:
        pytest.skip("libsndfile cannot write it")
    return format, subtype, paths


def test_whole_file_reads_whole_and_half_a_file_is_an_error(written):
    format, subtype, paths = written
    for path in paths:
        if subtype == "DWVW_12":
            continue  # libsndfile writes what it cannot read
        whole = load(path)
        assert N_SAMPLES <= len(whole) <= N_SAMPLES + 500  # the last block of some is padded
        if not subtype.startswith("DWVW"):  # soundfile fails where there is no way back
            np.testing.assert_allclose(whole, reference(path), atol=2**-15)
        content = path.read_bytes()
        for share in (0.5, 0.9):
            path.write_bytes(content[: int(share * len(content))])
            if format in NO_LENGTH:
                assert format in load_audio.__doc__ and len(load(path)) < N_SAMPLES
            else:
                with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: "):
                    load(path)


def test_excerpt_is_the_same_part_of_the_whole_file(written):
    _, subtype, paths = written
    for path in paths if subtype != "DWVW_12" else ():
        whole, rate = load(path), soundfile.info(path).samplerate
        for start in (1, 2345, N_SAMPLES - 10):
            np.testing.assert_array_equal(load(path, offset=start / rate), whole[start:])
            excerpt = load(path, offset=start / rate, duration=10 / rate)
            np.testing.assert_array_equal(excerpt, whole[start : start + 10])


def test_what_follows_the_audio_is_no_audio(written):
    format, subtype, paths = written
    if format in (*NO_LENGTH, "HTK", "OGG") or subtype == "DWVW_12" or (format, subtype) == ("WAV", "GSM610"):
        pytest.skip("nothing may follow")
    for path in paths:
        whole, content = load(path), path.read_bytes()
        for tail in (bytes(1000), b"TAG" + b"by somebody".ljust(125, b"\0")):
            path.write_bytes(content + tail)
            np.testing.assert_array_equal(load(path), whole)
        if format not in ("FLAC", "MP3"):
            path.write_bytes(content + b"\x81" * 1000)
            with pytest.raises(ValueError, match=r"100\d bytes follow"):
                load(path)


# Lengths in the headers


def content_of(samples, **options):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, **options)
    return bytearray(file.getvalue())


def put(content, at, layout, number):
    content = bytearray(content)
    struct.pack_into(layout, content, at, number)
    return content


def size_field(format):
    """A file of 16 bits, and where its header has the number of bytes."""
    content = content_of(noise(), format=format, subtype="PCM_16")
    at, layout = {
        "WAV": (40, "<I"),
        "AU": (8, ">I"),
        "AIFF": (content.index(b"SSND") + 4 if b"SSND" in content else 0, ">I"),
        "CAF": (content.index(b"data") + 4 if b"data" in content else 0, ">q"),
        "W64": (content.index(b"data") + 16 if b"data" in content else 0, "<q"),
        "RF64": (28, "<q"),
    }[format]
    assert abs(struct.unpack_from(layout, content, at)[0] - 2 * N_SAMPLES) <= 24
    return content, at, layout


@pytest.mark.parametrize("riff_size", [0, 36, 2**32 - 1])
@pytest.mark.parametrize("size", [0, 2**31 - 1, 0x7FFFF000, 2**31, 2**32 - 37, 2**32 - 2, 2**32 - 1])
def test_wav_out_of_a_pipe_is_read_whole(tmp_path, size, riff_size):
    content, at, layout = size_field("WAV")
    whole = np.frombuffer(content[44:], "<i2") / np.float32(2**15)
    path = tmp_path / "pipe.wav"
    path.write_bytes(put(put(content, 4, "<I", riff_size), at, layout, size))
    np.testing.assert_array_equal(load(path), whole)
    assert AudioLoader(sample_rate=RATE).fit([path]).n_samples_ == N_SAMPLES


@pytest.mark.parametrize(
    "format, size",
    [("AU", 0), ("AU", 2**31 - 1), ("AU", 2**32 - 1), ("AIFF", 0), ("AIFF", 2**32 - 1), ("CAF", -1), ("CAF", 0),
     ("W64", 0), ("W64", -1), ("RF64", 0), ("RF64", -1), ("RF64", 2**63 - 1)],
)  # fmt: skip
def test_length_that_is_not_known(tmp_path, format, size):
    content, at, layout = size_field(format)
    path = tmp_path / "stream"
    path.write_bytes(content)
    whole = load(path)
    path.write_bytes(put(content, at, layout, size))
    np.testing.assert_array_equal(load(path)[:N_SAMPLES], whole)


@pytest.mark.parametrize("format", ["WAV", "AU", "AIFF", "CAF", "W64", "RF64"])
@pytest.mark.parametrize("factor, message", [(0.5, "bytes follow"), (1.5, "is cut off")])
def test_length_that_is_wrong(tmp_path, format, factor, message):
    content, at, layout = size_field(format)
    path = tmp_path / "wrong"
    path.write_bytes(put(content, at, layout, int(2 * N_SAMPLES * factor)))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: .*{message}"):
        load(path)


def test_chunks_around_the_audio(tmp_path):
    content, *_ = size_field("WAV")
    note = b"data : 16000 (should be 4)\n" * 1000  # what libsndfile's log would say of a file that was cut off
    chunk = b"LIST" + struct.pack("<I", len(note) + 12) + b"INFOICMT" + struct.pack("<I", len(note)) + note
    path = tmp_path / "chunks.wav"
    for whole in (content[:36] + chunk + content[36:], content + chunk):
        path.write_bytes(whole)
        assert len(load(path)) == N_SAMPLES
    path.write_bytes((content[:36] + chunk + content[36:])[:-5000])
    with pytest.raises(ValueError, match="is cut off"):
        load(path)
    path.write_bytes(put(content[:44], 40, "<I", 0) + chunk)
    with pytest.raises(ValueError, match="has no samples"):
        load(path)


def test_more_than_a_header_can_tell(tmp_path):
    content, *_ = size_field("WAV")
    path = tmp_path / "long.wav"
    path.write_bytes(put(content, 40, "<I", 2**32 - 1))
    os.truncate(path, 5 * 2**30)  # takes no room
    with path.open("r+b") as file:
        file.seek(2**32)
        file.write(b"\x81" * 100)
    with pytest.raises(ValueError, match="more than its header can tell"):
        load(path)


@pytest.mark.parametrize("n_promised", [0, 1000, N_SAMPLES - 1, N_SAMPLES + 1, 2**36 - 1])
def test_number_of_samples_in_a_flac_header(tmp_path, n_promised):
    content = content_of(noise(), format="FLAC")
    (numbers,) = struct.unpack_from(">Q", content, 18)
    path = tmp_path / "stream.flac"
    path.write_bytes(content)
    whole = load(path)
    path.write_bytes(put(content, 18, ">Q", numbers >> 36 << 36 | n_promised))
    if n_promised:
        with pytest.raises(ValueError, match=rf"promises {n_promised} samples.* {N_SAMPLES}$"):
            load(path)
    else:
        np.testing.assert_array_equal(load(path), whole)
        np.testing.assert_array_equal(load(path, offset=0.5), whole[4000:])
        assert AudioLoader(sample_rate=RATE, offset=0.5).fit([path]).n_samples_ == N_SAMPLES - 4000
        with pytest.raises(ValueError, match=r"offset=1.5 s is past the end"):
            load(path, offset=1.5)
        path.write_bytes(path.read_bytes()[:10000])
        with pytest.raises(ValueError, match="cut off"):
            load(path)


# MP3


def mp3(samples, rate=RATE):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="VARIABLE")
    return file.getvalue()


def without_xing(content):
    """An MP3 file as streaming encoders write it, without the first frame, which tells the length."""
    return content[content.index(content[:2], content.index(b"Xing")) :]


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 24000, 44100, 48000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_mp3_of_unknown_length(tmp_path, rate, n_channels):
    samples = noise(n_channels, 3 * rate)
    samples[:rate] *= 1e-4  # small frames first, from which libsndfile would guess a length
    whole, stream = tmp_path / "whole.mp3", tmp_path / "stream.mp3"
    whole.write_bytes(mp3(samples, rate))
    stream.write_bytes(without_xing(whole.read_bytes()))
    expected, found = load(whole), load(stream)
    assert len(expected) == 3 * rate <= len(found) <= 3 * rate + 4000
    delay = 576 + 529  # of the encoder and the decoder, which only the first frame tells
    np.testing.assert_allclose(found[delay + 3000 : delay + 3 * rate - 3000], expected[3000:-3000], atol=1e-6)
    np.testing.assert_array_equal(load(stream, offset=2.0, duration=0.5), found[2 * rate : 2 * rate + rate // 2])
    assert AudioLoader(sample_rate=rate).fit([stream]).n_samples_ == len(found)


@pytest.mark.parametrize("before, after", [(b"", b"TAG".ljust(128)), (b"ID3\4\0\0\0\0\4\0" + bytes(512), b""),
                                           (b"", bytes(50000)), (b"", b"APETAGEX" + b"x" * 9000)])  # fmt: skip
def test_tags_around_an_mp3(tmp_path, before, after):
    path = tmp_path / "tagged.mp3"
    path.write_bytes(before + mp3(noise()) + after)
    assert len(load(path)) == N_SAMPLES


def test_joined_mp3_files_are_read_to_the_end(tmp_path):
    path = tmp_path / "joined.mp3"
    path.write_bytes(2 * mp3(noise(n_samples=40000)))
    assert 80000 <= len(load(path)) <= 80000 + 5000


# Ogg


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_ends_with_its_last_page(tmp_path, subtype):
    content = content_of(noise(n_samples=40000), format="OGG", subtype=subtype)
    path = tmp_path / "music.ogg"
    path.write_bytes(content)
    assert len(load(path)) == 40000
    pages = [found.start() for found in re.finditer(b"OggS", content)]
    for end in (pages[-1], pages[-1] + 50):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match="is cut off"):
            load(path)
    path.write_bytes(content * 2)
    with pytest.raises(ValueError, match="several Ogg streams"):
        load(path)


# What is no file, and names


def special(folder, kind):
    path = folder / f"{kind}.wav"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(os.path.relpath(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to({"loop": path, "device": "/dev/zero", "nowhere": folder / "nothing"}[kind])
    return str(path)


@posix
@pytest.mark.filterwarnings("ignore:unclosed")
@pytest.mark.parametrize(
    "kind, message",
    [("pipe", "is a named pipe"), ("socket", "is a socket"), ("folder", "is a folder"), ("device", "is a device"),
     ("loop", "cannot be opened"), ("nowhere", "no such file")],
)  # fmt: skip
def test_only_regular_files_are_opened(tmp_path, kind, message):
    good, bad = tmp_path / "good.wav", special(tmp_path, kind)
    soundfile.write(good, noise(), RATE)
    with pytest.raises(ValueError, match=f"^{re.escape(bad)}: {message}"):
        load(bad)
    for step in (AudioLoader(sample_rate=RATE), LogMelSpectrogram(sample_rate=RATE)):
        with pytest.raises(ValueError, match=f"^1 of 3 clips cannot be used:\n{re.escape(bad)}: {message}"):
            step.fit_transform([good, bad, good])


@posix
def test_link_to_a_file_is_a_file(tmp_path):
    soundfile.write(tmp_path / "good.wav", noise(), RATE)
    (tmp_path / "link.wav").symlink_to("good.wav")
    assert len(load(tmp_path / "link.wav")) == N_SAMPLES


@pytest.mark.skipif(sys.platform != "linux", reason="other systems want UTF-8")
def test_names_that_are_no_text(tmp_path):
    good, bad = os.fsencode(tmp_path) + b"/\xe9t\xff.wav", os.fsencode(tmp_path) + b"/bad\xff.wav"
    with open(good, "wb") as file:
        file.write(size_field("WAV")[0])
    with open(bad, "wb") as file:
        file.write(b"no audio at all")
    for path in (good, os.fsdecode(good)):
        assert len(load(path)) == N_SAMPLES
        for X in ([path], np.array([path]), Clips(path=[path])):
            clips = AudioLoader(sample_rate=RATE).fit_transform(X)
            assert (clips["waveform"] if isinstance(clips, Clips) else clips).shape == (1, N_SAMPLES)
        for call in (lambda path=path: load(bad), lambda path=path: AudioLoader().fit([bad, path])):
            with pytest.raises(ValueError, match=r"bad\\udcff.wav: cannot be read as audio") as caught:
                call()
            str(caught.value).encode()  # it can be printed


@pytest.mark.parametrize(
    "path, message", [("", "'': no such file"), ("a\0b", r"a\\x00b: no file"), ("\ud800", r"\\ud800: no")]
)
def test_names_that_no_file_has(path, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        load(path)


@pytest.mark.parametrize("X", [["a.wav", None], ["a.wav", 3.5], [b"a.wav", [1.0]]])
def test_something_else_among_paths(X):
    with pytest.raises(ValueError, match=r"Expected a sequence of paths, got .* in row 1"):
        AudioLoader().fit(X)


@pytest.mark.parametrize("suffix", ["raw", "au", "vox", "gsm", "wav"])
def test_what_has_no_header_is_no_audio(tmp_path, suffix):
    path = tmp_path / f"samples.{suffix}"
    path.write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: (cannot be read as audio|has no header)"):
        load(path)


# Numbers in the headers and in the samples


@pytest.mark.parametrize("rate", [1, 100, 2**24, 2**31 - 1, 2**32 - 1, 0])
@pytest.mark.parametrize("options", [{}, {"duration": 0.1}])
def test_sample_rates_that_nobody_uses(tmp_path, rate, options):
    path = tmp_path / "rate.wav"
    path.write_bytes(put(size_field("WAV")[0], 24, "<I", rate))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: "):
        load(path, sample_rate=16000, **options)
    with pytest.raises(ValueError, match=r"rate\.wav: "):
        AudioLoader().fit([path])
    if 0 < rate < 2**31:
        assert len(load(path)) == N_SAMPLES


@pytest.mark.parametrize("n_channels", [0, 1025, 65535])
def test_numbers_of_channels_that_nobody_uses(tmp_path, n_channels):
    path = tmp_path / "channels.wav"
    path.write_bytes(put(size_field("WAV")[0], 22, "<H", n_channels))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: "):
        load(path)


@pytest.mark.parametrize("subtype, value", [("FLOAT", 3e38), ("FLOAT", 1e10), ("DOUBLE", 1e300), ("DOUBLE", 1e39)])
@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("options", [{}, {"sample_rate": 16000}, {"dtype": "int16"}])
def test_samples_far_beyond_full_scale(tmp_path, subtype, value, n_channels, options):
    path = tmp_path / "loud.wav"
    soundfile.write(path, value * np.sign(noise(n_channels)), RATE, subtype=subtype)
    for channel in ("mix", 0):
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: its samples reach [\d.]+e\+"):
            load(path, channel=channel, **options)


def test_loud_samples_are_taken_as_they_are(tmp_path):
    path = tmp_path / "counts.wav"
    soundfile.write(path, 2.0**31 * np.sign(noise()), RATE, subtype="FLOAT")
    assert np.abs(load(path)).max() == 2.0**31
    assert np.isfinite(load(path, sample_rate=16000)).all()
    assert np.isfinite(LogMelSpectrogram(sample_rate=RATE).fit_transform([path])).all()


def test_duration_that_no_memory_holds(tmp_path):
    path = tmp_path / "short.wav"
    soundfile.write(path, noise(), RATE)
    for duration in (1e7, 1e12, np.inf):
        with pytest.raises(ValueError, match="duration"):
            load(path, duration=duration)
        with pytest.raises(ValueError, match="duration"):
            AudioLoader(duration=duration).fit(np.ones((2, 100)))


def test_silent_files_are_a_warning(tmp_path):
    good, silent = str(tmp_path / "good.wav"), str(tmp_path / "silent.wav")
    soundfile.write(good, noise(), RATE)
    soundfile.write(silent, np.zeros(N_SAMPLES), RATE)
    steps = [AudioLoader(sample_rate=RATE), LogMelSpectrogram(sample_rate=RATE)]
    for call in (lambda: load(silent), *(lambda step=step: step.fit_transform([good, silent]) for step in steps)):
        with pytest.warns(UserWarning, match=r"1 of \d files are silent.*\n.*silent.wav"):
            call()


# Channels


@pytest.mark.parametrize("gain, warns", [(-1.0, True), (-0.97, True), (-0.5, False), (0.0, False), (1.0, False)])
def test_channels_that_cancel_each_other_are_a_warning(tmp_path, gain, warns):
    left = noise()
    good, stereo = str(tmp_path / "good.wav"), str(tmp_path / "stereo.wav")
    soundfile.write(good, left, RATE)
    soundfile.write(stereo, np.hstack([left, gain * left]), RATE, subtype="FLOAT")
    steps = [AudioLoader(sample_rate=RATE), LogMelSpectrogram(sample_rate=RATE)]
    calls = [
        lambda: load(stereo, channel="mix"),
        *(lambda step=step: step.fit_transform([good, stereo]) for step in steps),
    ]
    for call in calls:
        if warns:
            with pytest.warns(UserWarning, match=r"1 of \d files .*opposite phase.*channel=0(.|\n)*stereo.wav"):
                call()
        else:
            call()
    load(stereo, channel=0)


@pytest.mark.parametrize("n_channels", [2, 3, 8])
def test_mix_is_the_mean(tmp_path, n_channels):
    path = tmp_path / "many.wav"
    for subtype in ("PCM_16", "FLOAT", "DOUBLE"):
        soundfile.write(path, noise(n_channels), RATE, subtype=subtype)
        expected = soundfile.read(path)[0].mean(axis=1)
        np.testing.assert_allclose(load(path, channel="mix"), expected, atol=1e-7)


# Anything


@pytest.mark.parametrize("seed", range(2))
def test_mutated_files_give_samples_or_an_error_that_names_the_file(tmp_path, seed):
    draw = random.Random(seed)
    originals = []
    for format, subtype in pairs():
        path = tmp_path / "original"
        if write(path, noise(draw.choice([1, 2]), 1500), format=format, subtype=subtype):
            originals.append(path.read_bytes())
    path = tmp_path / "mutated.bin"
    for _ in range(200):
        content = bytearray(draw.choice(originals))
        for _ in range(draw.choice([1, 2, 8])):
            at = draw.randrange(max(1, min(len(content), draw.choice([16, 64, 5000]))))
            new = draw.choice([draw.randbytes(1), b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", draw.randbytes(30)])
            content[at : at + draw.choice([0, len(new), 100])] = new
        path.write_bytes(content)
        try:
            samples = load(path, sample_rate=draw.choice([None, 16000]), offset=draw.choice([0, 0.01]))
        except ValueError as error:
            assert str(error).startswith(f"{path}: ")
        else:
            assert samples.size and np.isfinite(samples).all()
