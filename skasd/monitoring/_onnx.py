"""A fitted detector as one ONNX graph, which scores recordings without this package."""

import json
import os
import warnings
from pathlib import Path

import skasd
from skasd._drafts import draft_folder, move_new, refuse_existing
from skasd.monitoring._detector import check_detector


def export_onnx(detector, path):
    """Write a fitted detector as an ONNX graph, which any ONNX runtime can run, without skasd or librosa.

    Spectrograms, network, detector, summary and threshold are in one graph. Its input is ``waveform``, a recording as
    float32 samples (n_samples,) in [-1, 1], at the sample rate of the detector and at least one clip long. It gives, in
    float64 and with one value per section, ``score`` (n_sections,), higher = more normal; ``decision`` (n_sections,),
    the score less the threshold, below 0 = anomalous; and ``clip_scores`` (n_clips, n_sections).

    Parameters
    ----------
    detector : RecordingDetector
        Fitted. Its pipeline may contain `LogMelSpectrogram`, `LogSTFT`, `StatisticsEmbedder`, `ClassificationEmbedder`
        of whole clips, and as its last step `MahalanobisDetector`, `NearestNeighborsDetector` or
        `CosineCenterDetector`.

    path : str or path-like
        The file to write; its folder is created if necessary.

    Raises
    ------
    ValueError
        If a step, or one of its parameters, cannot be exported; the message names it.

    FileExistsError
        If the file exists: nothing is overwritten.

    ImportError
        If onnx or onnxscript are not installed: ``pip install "skasd[onnx]"``.

    See Also
    --------
    save_detector : Keeps everything, so that the detector can be updated.

    Notes
    -----
    The metadata of the graph, all of it text, are ``skasd_version``, ``sample_rate`` (Hz), ``channel``,
    ``clip_duration`` and ``hop_duration`` (seconds), ``summary``, ``false_alarm_rate``, and as JSON ``sections``, the
    names of the columns, and ``offsets``, the thresholds on ``score``.

    Scores agree with the detector's to within a relative error of 1e-4. The Fourier transform is a matrix product in
    double precision, which costs more than an FFT. All clips of a recording are in memory at once, so cut recordings of
    hours into parts.

    Examples
    --------
    >>> import numpy as np
    >>> from skasd.monitoring import RecordingDetector, export_onnx
    >>> rng = np.random.default_rng(0)
    >>> detector = RecordingDetector(sample_rate=16000, cv=5).fit(0.1 * rng.standard_normal((20, 16000)))
    >>> export_onnx(detector, "pump.onnx")  # doctest: +SKIP
    """
    check_detector(detector, "export_onnx")
    path = Path(os.fsdecode(path))
    refuse_existing(path)
    graph = _graph(detector)
    for node in graph.graph.all_nodes():
        node.metadata_props.clear()  # where in whose files torch has found it
    graph.metadata_props.clear()
    graph.metadata_props.update(_metadata(detector))
    with draft_folder(path.parent) as folder:
        _save(graph, folder / "graph.onnx")
        move_new(folder / "graph.onnx", path)


def _graph(detector):
    import torch

    from skasd.monitoring._graph import RecordingGraph

    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ImportError('export_onnx needs onnx and onnxscript: pip install "skasd[onnx]"') from error
    graph, n_samples = RecordingGraph(detector).eval(), detector._learned.listener.n_samples
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of what torch itself calls
        program = torch.onnx.export(
            graph,
            (torch.zeros(2 * n_samples + 1),),
            dynamo=True,
            verbose=False,
            input_names=["waveform"],
            output_names=["score", "decision", "clip_scores"],
            dynamic_shapes={"waveform": {0: torch.export.Dim("n_samples")}},
        )
    return program.model


def _save(model, path):
    import onnx_ir

    onnx_ir.save(model, path)


def _metadata(detector):
    listener = detector._learned.listener
    return {
        "skasd_version": skasd.__version__,
        "sample_rate": str(detector.sample_rate_),
        "channel": str(detector._learned.channel),
        "clip_duration": repr(float(listener.duration)),
        "hop_duration": repr(float(listener.start_of(1))),
        "summary": str(detector._learned.summary),
        "false_alarm_rate": repr(float(detector._learned.false_alarm_rate)),
        "sections": json.dumps(list(detector.offsets_)),
        "offsets": json.dumps([float(offset) for offset in detector.offsets_.values()]),
    }
