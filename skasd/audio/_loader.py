"""From audio files to waveforms of one length."""

import os
from dataclasses import dataclass
from numbers import Integral, Real
from statistics import mode

import numpy as np

from skasd._docstrings import fill
from skasd._problems import raise_problems
from skasd._sklearn import Interval, StrOptions, check_params
from skasd._transformer import ClipTransformer
from skasd.audio._decoding import MICROPHONES, count_samples, crop_or_pad, length_at, load_file, open_audio
from skasd.audio.rows import Files, as_paths, run_rows, warn_of_quiet, wrong_length
from skasd.audio.samples import as_dtype, check_mono, read_channels


class _ChannelNumbers(Interval):
    """Whole numbers from 0, but not True and False, which would select axes."""

    def __init__(self):
        super().__init__(Integral, 0, None, closed="left")

    def is_satisfied_by(self, val):
        return not isinstance(val, bool) and super().is_satisfied_by(val)


_CONSTRAINTS = {
    "sample_rate": [Interval(Integral, 1, 2**31 - 1, closed="both")],
    "duration": [Interval(Real, 0, 1e9, closed="right"), None],
    "offset": [Interval(Real, 0, 1e9, closed="both")],
    "channel": [StrOptions({"mix", "mono", "both", *MICROPHONES}), _ChannelNumbers()],
    "resample": ["boolean"],
    "pad_mode": [StrOptions({"constant", "wrap", "error"})],
    "dtype": [StrOptions({"float32", "int16"})],
}

_READING_DOC = """
offset : float, default=0.0
    Where to begin, in seconds from the beginning of the clip.

channel : {"mix", "mono", "near", "far", "both"} or int, default="mix"
    "mix" takes the mean of all channels, a number one of them (counted from 0), and "mono" promises that there is
    only one: a file with more is then an error. Of files with two channels, a microphone near the machine and one far
    from it as in DCASE 2026, "near" takes the first, "far" the second, and "both" keeps both for `NoiseReference`.

resample : bool, default=True
    Whether files with another sample rate are resampled (by soxr, high quality). If not, they are an error.

pad_mode : {"constant", "wrap", "error"}, default="constant"
    How a clip that is too short gets its `duration`: zeros at its end, itself once more, or not at all: an error.
    Zeros are a silence, by which a detector may tell lengths apart; "wrap" all but keeps the spectrum.

dtype : {"float32", "int16"}, default="float32"
    float32 has its full scale at -1 and +1, int16 at 32768; int16 halves the memory and clips what lies beyond."""


@check_params(path=[str, bytes, os.PathLike], **_CONSTRAINTS | {"sample_rate": [*_CONSTRAINTS["sample_rate"], None]})
@fill(reading=_READING_DOC)
def load_audio(
    path,
    *,
    sample_rate=16000,
    duration=None,
    offset=0.0,
    channel="mix",
    resample=True,
    pad_mode="constant",
    dtype="float32",
):
    """Read one audio file as a mono waveform.

    It reads what libsndfile reads: WAV, FLAC, OGG, AIFF, MP3 and more.

    Parameters
    ----------
    path : str, bytes or path-like
        The file, or a link to it.

    sample_rate : int or None, default=16000
        Sample rate of the waveform in Hz. None keeps that of the file. Files are resampled by a factor of at most 128.

    duration : float or None, default=None
        Length in seconds to which the waveform is cropped or padded. None reads to the end of the file.

    {reading}

    Returns
    -------
    waveform : ndarray of shape (n_samples,), or (2, n_samples) of both microphones

    Raises
    ------
    ValueError
        If the file does not exist or is not a regular file (but a folder, a pipe, a device), if it is not audio, is
        empty or cut off, has samples that are NaN, infinite or beyond 2**32 times full scale, ends before `offset`, or
        does not match the other parameters. The message begins with the path.

    Warns
    -----
    UserWarning
        If all samples are zero, which can be a real recording, or if the channels of a "mix" cancel each other: their
        mean has less than a thousandth of their power.

    See Also
    --------
    AudioLoader : The same for many files at once, as a transformer.

    Notes
    -----
    A file that was cut off is an error, and one that was written into a pipe, whose header has no length, is read to
    its end. It cannot be detected that a file was cut off

    - whose format has no length: PAF, PVF, IRCAM, XI and SD2;
    - which does not give its length, and was cut exactly where a part of it ends: FLAC and MP3 from a stream, and WAV,
      AU, AIFF, CAF, W64 and RF64 from a pipe;
    - which declares about 2 or 4 GiB, like those of programs that write into a pipe.

    Samples without a header (RAW, VOX) are refused. XI does not give its sample rate; libsndfile assumes 44100 Hz.

    An excerpt of a file equals the same part of the whole file. If the decoder has a memory, as for MP3, OGG and ADPCM,
    what comes before `offset` is decoded too. A resampled excerpt differs at its very ends from an excerpt of the
    resampled file, since the filter does not see what lies outside.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, soundfile
    >>> from skasd.audio import load_audio
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "fan.wav")
    ...     soundfile.write(path, np.full((8000, 2), 0.25), 8000)
    ...     load_audio(path, sample_rate=8000, duration=0.5).shape
    (4000,)
    """
    waveform, cancelled = load_file(path, sample_rate, duration, offset, channel, resample, pad_mode, dtype)
    warn_of_quiet([path], [not waveform.any()], [cancelled])
    return waveform


@fill(reading=_READING_DOC)
@dataclass(kw_only=True, eq=False, repr=False)
class AudioLoader(ClipTransformer):
    """Read audio files as waveforms of one length, in parallel.

    It goes from paths (the field ``path`` of `Clips`, or a list of paths) to waveforms (the field ``waveform``). The
    field ``path`` stays, because it identifies the clip; later steps prefer the waveform. Given waveforms (`Clips`
    without ``path``, or a 2-D array), it crops or pads them and converts their type. From then on, `Clips` know the
    sample rate of their waveforms, as the attribute ``sample_rate``.

    Parameters
    ----------
    sample_rate : int, default=16000
        Sample rate of the waveforms in Hz. Given waveforms are not resampled: `Clips` with another sample rate are an
        error, and plain arrays are assumed to have this one.

    duration : float or None, default=None
        Length in seconds to which the clips are cropped or padded. None keeps their length, which must then be the same
        for all.

    {reading}

    n_jobs : int or None, default=None
        Number of threads that read files. None means 1 unless in a `joblib.parallel_config` context, -1 all processors.

    Attributes
    ----------
    n_samples_ : int
        Length of the waveforms that `transform` returns, in samples.

    n_features_in_ : int
        Length of the waveforms seen in `fit`, in samples. Only where `fit` was given waveforms.

    {named_samples}

    See Also
    --------
    load_audio : The same for one file, as a function.
    skasd.features.LogMelSpectrogram : Goes from paths to spectrograms without holding all waveforms in memory.

    Notes
    -----
    Resampling is librosa's default, soxr's "HQ". From a 9 kHz tone at 44.1 kHz it leaves an alias of -133 dB at 16 kHz,
    while `scipy.signal.resample_poly` leaves -31 dB and takes three times as long. Clips of another recorder should not
    stand out because of a resampler's aliases.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np, soundfile
    >>> from skasd.audio import AudioLoader
    >>> from skasd.clips import Clips
    >>> rng = np.random.default_rng(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     paths = [os.path.join(folder, name) for name in ("a.wav", "b.flac")]
    ...     for path in paths:
    ...         soundfile.write(path, 0.1 * rng.standard_normal(16000), 16000)
    ...     clips = Clips(path=paths, section=["00", "01"])
    ...     AudioLoader(duration=0.5).fit_transform(clips).without("path")
    Clips of 2
      section   (2,) <U2
      waveform  (2, 8000) float32
    """

    sample_rate: int = 16000
    duration: float | None = None
    offset: float = 0.0
    channel: str | int = "mix"
    resample: bool = True
    pad_mode: str = "constant"
    dtype: str = "float32"
    n_jobs: int | None = None

    _parameter_constraints = {**_CONSTRAINTS, "n_jobs": [Integral, None]}
    _reads = ("path", "waveform")
    _makes = "waveform"
    _columns = "n_samples_"

    def _check(self, X, values, *, reset):
        """Waveforms, or an array of paths."""
        paths = as_paths(values)
        return self._channels_of(read_channels(self, X, values, reset=reset)) if paths is None else paths

    def _fit(self, values, X, y):
        if self.duration is not None:
            self.n_samples_ = count_samples(self.duration, self.sample_rate)
        elif values.dtype.kind == "U":
            self.n_samples_ = self._common_length(values)
        else:
            self.n_samples_ = self._after_offset(values).shape[-1]

    def _transform(self, values, X):
        if values.dtype.kind == "U":
            return self._read_all(values)
        return as_dtype(self._to_length(self._after_offset(values)), self.dtype)

    def _attrs(self, made):
        return {"sample_rate": self.sample_rate}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = [self.dtype]
        return tags

    def _channels_of(self, waveforms):
        """The wanted channel of waveforms that were given, whose second axis holds channels if they have three axes."""
        if waveforms.ndim != 3 or self.channel in ("mix", "mono"):
            check_mono(waveforms, "AudioLoader")
        if self.channel in ("both", *MICROPHONES) and (waveforms.ndim != 3 or waveforms.shape[1] != 2):
            raise ValueError(f"AudioLoader has channel={self.channel!r}, which takes waveforms of a near and a far "
                             f"microphone, shape (n_clips, 2, n_samples); got shape {waveforms.shape}.")  # fmt: skip
        if waveforms.ndim != 3 or self.channel == "both":
            return waveforms
        channel = MICROPHONES.get(self.channel, self.channel)
        if channel >= waveforms.shape[1]:
            raise ValueError(f"There is no channel {channel}; the waveforms have {waveforms.shape[1]}, counted from 0.")
        return waveforms[:, channel]

    def _makes_table(self):
        return self.channel != "both"

    def _after_offset(self, waveforms):
        start = round(self.offset * self.sample_rate)
        if start >= waveforms.shape[-1]:
            raise ValueError(f"offset={self.offset} s is past the end of the waveforms, which have "
                             f"{waveforms.shape[-1]} samples at {self.sample_rate} Hz.")  # fmt: skip
        return waveforms[..., start:]

    def _to_length(self, waveforms):
        if self.duration is not None:
            return crop_or_pad(waveforms, self.n_samples_, self.pad_mode)
        if waveforms.shape[-1] != self.n_samples_:
            raise wrong_length("waveforms", waveforms.shape[-1], self.n_samples_)
        return waveforms

    def _common_length(self, paths):
        def length(row):
            with open_audio(paths[row]) as file:
                return length_at(file, self.offset, self.sample_rate, self.resample)

        lengths = run_rows(lambda: length, len(paths), self.n_jobs)
        usual = mode([length for length in lengths if not isinstance(length, ValueError)] or [0])
        for row, length in enumerate(lengths):
            if not isinstance(length, ValueError) and length != usual:
                lengths[row] = wrong_length(paths[row], length, usual)
        raise_problems(lengths, len(paths))
        return usual

    def _empty(self, n_clips):
        try:
            microphones = (2,) if self.channel == "both" else ()
            return np.empty((n_clips, *microphones, self.n_samples_), dtype=self.dtype)
        except MemoryError as error:
            raise ValueError(f"{n_clips} clips of {self.n_samples_} samples are more than memory holds. Set a shorter "
                             "duration or dtype='int16', or give the files to LogMelSpectrogram, which holds no "
                             "waveforms.") from error  # fmt: skip

    def _read_all(self, paths):
        waveforms = self._empty(len(paths))
        files = Files(paths, self, self.n_samples_, self.dtype)

        def read(row):
            waveforms[row] = files[row]
            return not waveforms[row].any()

        silent = run_rows(lambda: read, len(paths), self.n_jobs)
        raise_problems(silent, len(paths))
        warn_of_quiet(paths, silent, files.cancelled)
        return waveforms
