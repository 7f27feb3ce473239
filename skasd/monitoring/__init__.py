"""From a folder of healthy recordings to an alarm, and where in the recording it comes from.

Conventions
-----------
- A row is a recording: a file or a waveform. Internally it is cut into overlapping clips, and its score is a summary of
  theirs. Scores are higher for more normal recordings; +1 is normal and -1 anomalous.
- Sample rates and frequencies are in Hz, durations in seconds, levels in dB.
- Thresholds and p-values come from healthy recordings, each scored by a model that learned from others.
"""

from skasd.monitoring._detector import RecordingDetector
from skasd.monitoring._drift import Drift
from skasd.monitoring._onnx import export_onnx
from skasd.monitoring._page import write_report
from skasd.monitoring._pipeline import statistics_pipeline
from skasd.monitoring._recordings import what_spoils
from skasd.monitoring._saving import load_detector, save_detector
from skasd.monitoring._sources import Gap, Microphone, Pipe
from skasd.monitoring._spans import Band, Span
from skasd.monitoring._stream import StreamEvent, StreamMonitor
from skasd.monitoring._verdicts import Verdict, judge_recording

__all__ = [
    "Band",
    "Drift",
    "Gap",
    "Microphone",
    "Pipe",
    "RecordingDetector",
    "Span",
    "StreamEvent",
    "StreamMonitor",
    "Verdict",
    "export_onnx",
    "judge_recording",
    "load_detector",
    "save_detector",
    "statistics_pipeline",
    "write_report",
]
