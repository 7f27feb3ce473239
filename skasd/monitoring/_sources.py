"""Where blocks of sound come from that has not ended yet: a microphone, and a pipe."""

from typing import NamedTuple

import numpy as np
import soundfile

_BLOCKS_A_SECOND = 10


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
        None if a WAV header comes first, as written by ``arecord -t wav``. A number, in Hz, for raw samples of 16 bits,
        least significant byte first, as written by ``arecord -t raw -f S16_LE``.

    n_channels : int, default=1
        Number of channels of raw samples; a header says it itself.

    Attributes
    ----------
    sample_rate : int
        In Hz.

    Raises
    ------
    ValueError
        If there is no readable header.

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

    def __init__(self, file, sample_rate=None, n_channels=1):
        bare = {} if sample_rate is None else {
            "samplerate": sample_rate, "channels": n_channels, "format": "RAW", "subtype": "PCM_16", "endian": "LITTLE"
        }  # fmt: skip
        try:
            self._sound = soundfile.SoundFile(file if isinstance(file, int) else file.fileno(), closefd=False, **bare)
        except soundfile.SoundFileError as error:
            raise ValueError("The pipe does not begin with the header of a WAV file. Give the sample rate of bare "
                             "samples of 16 bits, or have a header written.") from error  # fmt: skip
        self.sample_rate = self._sound.samplerate

    def __iter__(self):
        """Blocks (n, n_channels) of float32, of a tenth of a second."""
        size = max(1, self.sample_rate // _BLOCKS_A_SECOND)
        while len(block := self._sound.read(size, dtype="float32", always_2d=True)):
            yield np.asarray(block)
