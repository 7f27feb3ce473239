"""Audio files of every format of libsndfile, whole, damaged in every way, and things that are no audio files."""

import os
import socket
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
from hypothesis import strategies as st

from fuzzing.judging import Sparing, check, must
from skasd.audio import AudioLoader, load_audio
from skasd.features import LogMelSpectrogram

WHOLE_BYTES = ("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
CANNOT_TELL = ("PAF", "PVF", "IRCAM", "XI", "SD2")  # nothing in them says how long they are
SUFFIX = {"WAVEX": "wav", "RF64": "wav", "AIFF": "aiff"}
THINGS = (
    "missing",
    "folder",
    "empty",
    "fifo",
    "socket",
    "null",
    "loop",
    "text",
    "zip",
    "nul",
    "long",
    "latin1",
    "bytes",
)
STRANGE = {"nan": np.nan, "inf": np.inf, "huge": 1.0}  # huge: all samples near the largest float32
SIGNALS = ("noise", "noise", "noise", "silence", "square", *STRANGE)
READINGS = {
    "sample_rate": st.sampled_from([None] * 4 + [8000, 11025, 1, 10**7]),
    "duration": st.sampled_from([None] * 4 + [0.01, 0.1, 1e-9, 3.0, 1e9, float("inf"), float("nan")]),
    "offset": st.sampled_from([0.0] * 4 + [0.01, 0.2, 1e9, float("inf"), 1e-300]),
    "channel": st.sampled_from(["mix"] * 4 + ["mono", 0, 1, 7]),
    "resample": st.sampled_from([True] * 4 + [False]),
    "pad_mode": st.sampled_from(["constant"] * 3 + ["wrap", "error"]),
    "dtype": st.sampled_from(["float32"] * 3 + ["int16"]),
}
DAMAGES = st.one_of(
    st.tuples(st.just("cut"), st.floats(0, 1)),
    st.tuples(st.just("behead"), st.floats(0, 1)),
    st.tuples(st.just("flip"), st.integers(0, 2**16), st.sampled_from([1, 8, 100])),
    st.tuples(st.just("flip head"), st.integers(0, 2**16), st.sampled_from([1, 2, 8])),
    st.tuples(st.just("set word"), st.integers(0, 30), st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**16])),
    st.tuples(st.just("zero"), st.floats(0, 1), st.sampled_from([1, 16, 1000])),
    st.tuples(st.just("append"), st.sampled_from([1, 7, 1000])),
    st.tuples(st.just("insert"), st.floats(0, 1), st.sampled_from([1, 4, 1000])),
    st.tuples(st.just("streamed"), st.sampled_from([2**32 - 1, 2**31 - 1, 2**31])),
)


@cache
def formats():
    """All formats, subtypes and byte orders that libsndfile writes and that tell themselves what they are."""
    known = [
        (name, subtype, endian)
        for name in soundfile.available_formats()
        for subtype in soundfile.available_subtypes(name)
        for endian in ("FILE", "LITTLE", "BIG")
        if name != "RAW" and soundfile.check_format(name, subtype, endian)
    ]
    with tempfile.TemporaryDirectory() as folder:  # SD2 writes a second file beside the first
        return [format for format in known if _write(Case("file", format), Path(folder, "probe"))]


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """One file, or one thing that is none, and how it is read."""

    thing: str
    format: tuple = ("WAV", "PCM_16", "FILE")
    channels: int = 1
    sample_rate: int = 16000
    n_frames: int = 1000
    signal: str = "noise"
    seed: int = 0
    damages: tuple = ()
    reading: tuple = ()

    @property
    def names(self):
        """What a message must name: the file, or the parameter that is wrong."""
        return ("null" if self.thing == "null" else "sound", "path", *READINGS)

    @property
    def untrue(self):
        """What no message may say."""
        finite = self.signal not in ("nan", "inf") and not self.damages
        return ("NaN",) if finite else ()


def cases():
    """Files as libsndfile writes them, most of them damaged; one in twenty is no file at all."""
    reading = st.fixed_dictionaries({}, optional=READINGS).map(lambda chosen: tuple(sorted(chosen.items())))
    files = st.builds(
        Case,
        st.just("file"),
        st.deferred(lambda: st.sampled_from(formats())),
        channels=st.sampled_from([1, 1, 2, 3]),
        sample_rate=st.sampled_from([16000, 8000, 44100, 48000, 1, 7, 192000, 2**31 - 1]),
        n_frames=st.sampled_from([1000, 1, 2, 300, 5000, 20000]),
        signal=st.sampled_from(SIGNALS),
        seed=st.integers(0, 99),
        damages=st.lists(DAMAGES, max_size=2).map(tuple),
        reading=st.one_of(st.just(()), reading),
    )
    things = st.builds(Case, st.sampled_from(THINGS), reading=st.one_of(st.just(()), reading))
    return st.integers(0, 19).flatmap(lambda number: things if number == 19 else files)


def law(case):
    """A whole file gives its samples; a damaged one finite samples or an error that names it."""
    with tempfile.TemporaryDirectory() as folder:
        if case.thing != "file":
            _look_at_thing(case, Path(folder))
            return
        path = Path(folder, f"sound.{SUFFIX.get(case.format[0], case.format[0].lower())}")
        check(_write(case, path), "libsndfile cannot write it")
        wanted = _read(path)
        whole = _damage(case, path)
        reading = {"sample_rate": None} | dict(case.reading)
        if whole and wanted is not None and len(wanted) and case.signal not in STRANGE:
            with must("reading a whole file"):
                waveform = load_audio(path, sample_rate=None)
            check(len(waveform) == len(wanted), f"{len(waveform)} samples of {len(wanted)} that were written")
            error = np.abs(waveform - wanted).max()
            check(
                error <= (2**-15 if case.format[1] == "PCM_16" else 1e-6),
                f"samples differ by {error:.3g} from those that libsndfile reads",
            )
        waveform = load_audio(path, **reading)
        _check_waveform(waveform, reading)
        if wanted is not None:
            _check_cut(case, wanted, waveform, reading)
        _compare_ways(case, path, reading, waveform)


def _write(case, path):
    """Write the file, with fewer channels and another rate where its format has no such; whether that can be done."""
    rate = case.sample_rate if case.format[1] in WHOLE_BYTES else min(case.sample_rate, 48000)  # or encoders crash
    for channels, plain in ((case.channels, rate), (1, rate), (case.channels, 16000), (1, 8000)):
        try:
            soundfile.write(path, _samples(case, channels), plain, case.format[1], case.format[2], case.format[0])
            return True
        except (soundfile.SoundFileError, ValueError, TypeError):
            continue
    return False


def _read(path):
    """The samples that libsndfile reads; None where it cannot read what it has written."""
    try:
        return soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    except (soundfile.SoundFileError, TypeError):
        return None


def _samples(case, channels):
    samples = np.random.default_rng(case.seed).uniform(-0.9, 0.9, (case.n_frames, channels))
    if case.signal in ("square", "silence"):
        return np.sign(samples) * (case.signal == "square")
    if case.signal in STRANGE and case.format[1] in ("FLOAT", "DOUBLE"):  # others do not hold it, and may crash
        samples[case.n_frames // 2] = STRANGE[case.signal]
        samples *= 3.3e38 if case.signal == "huge" else 1
    return samples


def _damage(case, path):
    """Damage the file; True where all of its audio is still there, as a streaming encoder would have written it."""
    data = bytearray(path.read_bytes())
    whole = True
    for name, *arguments in case.damages:
        if name == "streamed":
            whole &= _forget_lengths(data, case.format[0], *arguments)
        else:
            whole = False
            data = _DAMAGE[name](data, *arguments)
    path.write_bytes(data)
    return whole


def _forget_lengths(data, name, size):
    """Write the sizes that encoders write into a pipe; False where the format has none."""
    at = data.find(b"data")
    if name in ("WAV", "WAVEX") and data[:4] == b"RIFF" and at > 0:
        data[4:8] = data[at + 4 : at + 8] = size.to_bytes(4, "little")
    elif name == "FLAC":
        data[21] &= 0xF0
        data[22:42] = bytes(20)  # 32 bits of the number of samples, and the MD5 sum
    elif name == "AU":
        data[8:12] = b"\xff" * 4
    else:
        return False
    return True


def _flip(data, seed, n_bytes, end=None):
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, max(1, min(len(data), end or len(data))), n_bytes):
        data[at : at + 1] = bytes([rng.integers(256)])
    return data


def _set_word(data, number, value):
    data[4 * number : 4 * number + 4] = value.to_bytes(4, "little")
    return data


def _zero(data, place, size):
    at = round(place * len(data))
    return data[:at] + bytes(len(data[at : at + size])) + data[at + size :]


def _insert(data, place, size):
    at = round(place * len(data))
    return data[:at] + np.random.default_rng(size).bytes(size) + data[at:]


_DAMAGE = {
    "cut": lambda data, place: data[: round(place * len(data))],
    "behead": lambda data, place: data[round(place * len(data)) :],
    "flip": _flip,
    "flip head": lambda data, seed, n_bytes: _flip(data, seed, n_bytes, 128),
    "set word": _set_word,
    "zero": _zero,
    "append": lambda data, size: data + np.random.default_rng(size).bytes(size),
    "insert": _insert,
}


def _check_waveform(waveform, reading):
    check(waveform.ndim == 1 and len(waveform) > 0, f"a waveform of shape {waveform.shape}")
    check(waveform.dtype == reading.get("dtype", "float32"), f"a waveform of {waveform.dtype}")
    check(np.isfinite(waveform).all(), f"{np.count_nonzero(~np.isfinite(waveform))} samples are not finite")
    duration, rate = reading.get("duration"), reading["sample_rate"]
    if duration is not None and rate is not None:
        check(len(waveform) == max(1, round(duration * rate)), f"{len(waveform)} samples for {duration} s at {rate} Hz")


def _check_cut(case, wanted, waveform, reading):
    """A file that was cut off is not read as a shorter one, where its format says how long it is."""
    if [name for name, *_ in case.damages] != ["cut"] or case.format[0] in CANNOT_TELL:
        return
    if reading["sample_rate"] is None and reading.get("duration") is None and not reading.get("offset"):
        check(
            len(waveform) >= len(wanted), f"cut-off {case.format[0]} read as {len(waveform)} of {len(wanted)} samples"
        )


def _compare_ways(case, path, reading, waveform):
    """Among others, and by its path inside a spectrogram: always the same samples."""
    if reading["sample_rate"] is None:
        try:
            reading = reading | {"sample_rate": soundfile.info(path).samplerate}
        except soundfile.SoundFileError:  # the package reads more than libsndfile
            return
    with must("AudioLoader on a file that load_audio reads"):
        rows = AudioLoader(**reading).fit_transform([path, path])
    check(np.array_equal(rows, [waveform, waveform]), "AudioLoader gives other samples than load_audio")
    rate = reading["sample_rate"]
    if len(waveform) < 64 or rate < 8 or waveform.dtype != np.float32 or case.signal == "huge":
        return
    features = {"sample_rate": rate, "n_fft": 64, "hop_length": 32, "n_mels": 4}
    with must("LogMelSpectrogram on a file that load_audio reads"):
        by_path = LogMelSpectrogram(**features, loader=AudioLoader(**reading)).fit_transform([path])
        by_waveform = LogMelSpectrogram(**features).fit_transform(waveform[np.newaxis])
    check(np.allclose(by_path, by_waveform, atol=0.05), "a path gives another spectrogram than its waveform")


def _look_at_thing(case, folder):
    """What is no audio file is an error that names it, and opens nothing that waits for ever."""
    path, listening = folder / "sound.wav", None
    if case.thing == "folder":
        path.mkdir()
    elif case.thing == "fifo":
        os.mkfifo(path)
    elif case.thing == "socket":
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
    elif case.thing == "loop":
        path.symlink_to(path)
    elif case.thing in ("empty", "text", "zip"):
        path.write_bytes({"empty": b"", "text": b"no audio\n" * 99, "zip": b"PK\x03\x04" + bytes(99)}[case.thing])
    path = {"null": "/dev/null", "nul": "sound\0.wav", "long": "sound" * 99 + ".wav", "bytes": b"sound.wav"}.get(
        case.thing, path
    )
    if case.thing == "latin1":
        path = os.fsdecode(os.fsencode(folder) + b"/sound-\xe9.wav")
        soundfile.write(folder / "sound.wav", np.linspace(-0.5, 0.5, 1000), 16000)
        os.rename(folder / "sound.wav", path)
    try:
        load_audio(path, **dict(case.reading))
    finally:
        if listening:
            listening.close()
    check(case.thing in ("latin1", "bytes"), f"{case.thing} gave a waveform")
