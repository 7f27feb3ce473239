"""From waveforms to what detectors work on: spectrograms in dB, stacked frames, transformed fields.

Conventions
-----------
- Spectrograms are (n_clips, n_bands, n_frames), float32, in dB; bands from low to high, frames in the order of time.
- Sample rates and frequencies are in Hz; `n_fft`, `win_length` and `hop_length` are in samples.
- Parameters of spectrograms have librosa's names, and the values are librosa's.
"""

from skasd.features._field_transformer import FieldTransformer
from skasd.features._frame_stacker import FrameStacker
from skasd.features._log_mel_spectrogram import LogMelSpectrogram
from skasd.features._log_stft import LogSTFT
from skasd.features._parameters import FRAMES_DOC, MEL_DOC, MelParameters

__all__ = ["FieldTransformer", "FrameStacker", "LogMelSpectrogram", "LogSTFT"]
