"""From audio files to waveforms of one length, and whether the recordings are usable.

Conventions
-----------
- A waveform is mono: (n_clips, n_samples), float32 with full scale at -1 and +1, or int16 with full scale at 32768.
  That of a microphone near the machine and one far from it is (n_clips, 2, n_samples). Input arrays may have other
  types whose full scale is known: floats, and integers of 8, 16 or 32 bits.
- Sample rates are in Hz, durations and offsets in seconds, levels in dB relative to full scale (dBFS).
- One bad file never hides the others: an error counts them all and shows the first ten.
"""

from skasd.audio._check import check_recordings
from skasd.audio._level import LevelNormalizer
from skasd.audio._loader import AudioLoader, load_audio
from skasd.audio._noise_reference import NoiseReference

__all__ = ["AudioLoader", "LevelNormalizer", "NoiseReference", "check_recordings", "load_audio"]
