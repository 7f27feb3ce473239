"""Where blocks of sound come from that has not ended yet: a microphone, and a pipe."""

from numbers import Integral
from typing import NamedTuple

import numpy as np
import soundfile

from skasd._sklearn import Interval, check_params

_BLOCKS_A_SECOND = 10
_ENDLESS = 2**31 - 2**16  # bytes: what programs promise from here on, or 0, is that they do not know
_RIFF = (np.frombuffer(b"RIFF", "<i2") / 2**15).tolist()
_WIDTHS = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}


class Gap(NamedTuple):
    """Samples that a stream has lost, in place of a block.

    Parameters
    ----------
    seconds : float, default=None
        How long the gap is; None if unknown.

    See Also
    --------
    StreamMonitor : Reports it, and lets no clip span it.

    Examples
    --------
    >>> from skasd.monitoring import Gap
    >>> Gap(1.5)
    Gap(seconds=1.5)
    """

    seconds: float | None = None


class Microphone:
    """Blocks of samples from a microphone, for as long as you take them.

    Parameters
    ----------
    sample_rate : int
        In Hz.

    device : int or str, default=None
        Number or name of the device, as ``python -m sounddevice`` lists them; the system's default device by default.

    n_channels : int, default=1
        Number of channels to record.

    Raises
    ------
    ImportError
        If sounddevice (the extra ``live``) or PortAudio, which it needs, is not installed, when blocks are taken.

    ValueError
        If the device cannot record like this, when blocks are taken.

    See Also
    --------
    StreamMonitor : Listens to it.

    Examples
    --------
    >>> from skasd.monitoring import Microphone
    >>> microphone = Microphone(16000, device=2)
    >>> microphone.sample_rate
    16000
    >>> for event in monitor.events(microphone):  # doctest: +SKIP
    ...     print(event)
    """

    def __init__(self, sample_rate, device=None, n_channels=1):
        self.sample_rate, self.device, self.n_channels = sample_rate, device, n_channels

    def __iter__(self):
        """Blocks (n, n_channels) of float32 of a tenth of a second, and a `Gap` before one that came too late."""
        sounddevice = _sounddevice()
        try:
            stream = sounddevice.InputStream(
                samplerate=self.sample_rate, device=self.device, channels=self.n_channels, dtype="float32"
            )
            with stream:
                while True:
                    block, has_lost = stream.read(max(1, self.sample_rate // _BLOCKS_A_SECOND))
                    if has_lost:
                        yield Gap()
                    yield block
        except (sounddevice.PortAudioError, ValueError) as error:
            device = "The default device" if self.device is None else f"device={self.device!r}"
            raise ValueError(f"{device} cannot record {self.n_channels} channels at {self.sample_rate} Hz ({error}). "
                             "python -m sounddevice lists devices.") from error  # fmt: skip


def _sounddevice():
    try:
        import sounddevice
    except ImportError as error:
        raise ImportError("A microphone needs sounddevice: pip install 'skasd[live]'") from error
    except OSError as error:
        raise ImportError("A microphone needs PortAudio, which sounddevice does not find. Install it: on Debian "
                          "apt install libportaudio2, on Fedora dnf install portaudio.") from error  # fmt: skip
    return sounddevice


class Pipe:
    """Blocks of samples that another program writes into a pipe.

    Parameters
    ----------
    file : int or file-like
        The pipe: its file descriptor, or a binary file that has one, such as ``sys.stdin.buffer``.

    sample_rate : int, default=None
        None if a WAV header comes first, as written by ``ffmpeg -f wav``. A number, in Hz, for raw samples of 16 bits,
        least significant byte first, as written by ``arecord -t raw -f S16_LE``. A header that promises no samples, or
        2 GiB and more, comes from a program that did not know the length, and the stream goes on to its end.

    n_channels : int, default=1
        Number of channels of raw samples; a header says it itself.

    Attributes
    ----------
    sample_rate : int
        In Hz.

    Raises
    ------
    ValueError
        If there is no readable header, or one where raw samples were expected.

    See Also
    --------
    StreamMonitor : Listens to it.

    Examples
    --------
    >>> import os, threading
    >>> from skasd.monitoring import Pipe
    >>> read, write = os.pipe()
    >>> n_written = os.write(write, bytes(32000))
    >>> os.close(write)
    >>> pipe = Pipe(read, sample_rate=16000)
    >>> sum(len(block) for block in pipe)
    16000
    >>> os.close(read)
    """

    @check_params(
        sample_rate=[Interval(Integral, 1, None, closed="left"), None],
        n_channels=[Interval(Integral, 1, None, closed="left")],
    )
    def __init__(self, file, sample_rate=None, n_channels=1):
        self._file, self._is_bare = file if isinstance(file, int) else file.fileno(), sample_rate is not None
        try:
            self._sound = self._bare(sample_rate, n_channels) if self._is_bare else self._open()
        except soundfile.SoundFileError as error:
            raise ValueError("The pipe does not begin with the header of a WAV file. Give the sample rate of bare "
                             "samples of 16 bits, or have a header written.") from error  # fmt: skip
        self.sample_rate = self._sound.samplerate

    def __iter__(self):
        """Blocks (n, n_channels) of float32, of a tenth of a second."""
        for number, block in enumerate(self._blocks(self._sound)):
            if self._is_bare and not number and block.ravel()[:2].tolist() == _RIFF:
                raise ValueError("The pipe begins with the header of a WAV file, where bare samples are to come. Leave "
                                 "the sample rate out: the header tells it.")  # fmt: skip
            yield block
        sound = self._sound
        n_promised = sound.frames * sound.channels * _WIDTHS.get(sound.subtype, 0)
        if sound.format in ("WAV", "WAVEX") and sound.subtype in _WIDTHS and not 0 < n_promised < _ENDLESS:
            yield from self._blocks(self._bare(sound.samplerate, sound.channels, sound.subtype))

    def _open(self, **how):
        return soundfile.SoundFile(self._file, closefd=False, **how)

    def _bare(self, sample_rate, n_channels, subtype="PCM_16"):
        return self._open(samplerate=sample_rate, channels=n_channels, format="RAW", subtype=subtype, endian="LITTLE")

    def _blocks(self, sound):
        size = max(1, self.sample_rate // _BLOCKS_A_SECOND)
        while len(block := sound.read(size, dtype="float32", always_2d=True)):
            yield np.asarray(block)
