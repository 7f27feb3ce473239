"""Official scores that others have published, to stand beside one's own."""

from typing import NamedTuple

MACHINES = ("ToyCar", "ToyTrain", "bearing", "fan", "gearbox", "slider", "valve")
N_CLIPS = 200  # test clips of each section of these sets
SECTIONS = {"development": {"00", "01", "02"}, "evaluation": {"03", "04", "05"}}

SOURCES = {
    "S1": "G. Liu, Y. Liu, S. Cai, M. Chen, 'Unsupervised anomalous sound detection under domain shift conditions "
    "based on MobileFaceNets and masked autoregressive flow', technical report, DCASE 2022 Challenge Task 2",
    "S2": "H. Narita, 'CNN-based anomalous sound detection system for domain generalization', technical report, DCASE "
    "2022 Challenge Task 2; its pAUC is per domain, so that these figures are not quite the official score",
    "K": "result table of the toolkit ASDKit, arXiv:2507.10264, 2025; mean of 4 seeds",
    "T": "a paper of 2026 that compares systems",
    "R": "recomputed from the public score files of a team of 2022",
}


class PublishedSystem(NamedTuple):
    """What a system reached in the DCASE Challenge's Task 2 of 2022, as others published it.

    Parameters
    ----------
    name : str
        What the system is.

    source : str
        Key of `SOURCES`.

    subset : {"development", "evaluation"}
        The set of clips.

    total : float or None
        Official score over all seven machines, in percent.

    machines : dict of str to float
        Official score of machines, in percent, as far as they were published.

    See Also
    --------
    Evaluation.published : Those for the machines of an evaluation.

    Examples
    --------
    >>> from skasd.evaluation import PublishedSystem
    >>> baseline = PublishedSystem("autoencoder baseline", "S1", "development", 52.61, {"fan": 58.47})
    >>> baseline.machines["fan"]
    58.47
    """

    name: str
    source: str
    subset: str
    total: float | None
    machines: dict


def _row(name, source, subset, total, *machines):
    figures = zip(MACHINES, machines, strict=True) if machines else ()
    return PublishedSystem(name, source, subset, total, {m: value for m, value in figures if value is not None})


_DEV, _EVAL = SECTIONS
SYSTEMS = [
    _row("autoencoder baseline", "S1", _DEV, 52.61, 51.06, 39.61, 54.80, 58.47, 63.07, 57.99, 50.59),
    _row("MobileNetV2 baseline", "S1", _DEV, 55.94, 54.26, 51.14, 59.18, 57.20, 59.89, 50.17, 61.98),
    _row("MobileFaceNet, scorer per machine", "S1", _DEV, 64.67, 57.85, 51.39, 63.89, 59.65, 69.97, 82.68, 78.77),
    _row("masked autoregressive flow", "S1", _DEV, None, 68.76, 57.98, None, 66.20, None, None, None),
    _row("flow for ToyCar, ToyTrain and fan, MobileFaceNet for the rest", "S1", _DEV, 68.88),
    _row("CNN-GLOBAL", "S2", _DEV, 55.74, 41.64, 53.89, 71.32, 32.85, 76.71, 75.56, 81.51),
    _row("CNN-LOCAL", "S2", _DEV, 60.48, 73.54, 58.90, 74.53, 33.25, 73.68, 74.56, 68.12),
    _row("CNN-OE", "S2", _DEV, 68.54, 66.16, 61.18, 56.84, 74.20, 81.93, 84.43, 64.33),
    _row("the best of the three CNNs for each machine", "S2", _DEV, 76.17),
    _row("frozen BEATs, temporal pooling, local-density nearest neighbours", "T", _DEV, 66.1),
    _row("spectrogram CNN, AdaCos, mixup", "K", _DEV, 68.30),
    _row("spectrogram CNN, sub-cluster AdaCos", "K", _DEV, 71.62),
    _row("STFTs and FFT CNN, sub-cluster AdaCos, kNN with SMOTE", "K", _DEV, 71.74),
    _row("BEATs fine-tuned with LoRA", "K", _DEV, 73.24),
    _row("EAT fine-tuned with LoRA", "K", _DEV, 73.88),
    _row("autoencoder baseline", "K", _EVAL, 54.02),
    _row("rank-pooled log-mel, GMM per section, SMOTE", "R", _EVAL, 66.53, 91.1, 56.4, 66.3, 50.0, 74.5, 68.5, 74.5),
    _row("frozen BEATs, temporal pooling, local-density nearest neighbours", "T", _EVAL, 65.1),
    _row("spectrogram CNN, AdaCos, mixup", "K", _EVAL, 64.12),
    _row("spectrogram CNN, sub-cluster AdaCos", "K", _EVAL, 67.74),
    _row("STFTs and FFT CNN, sub-cluster AdaCos, kNN with SMOTE", "K", _EVAL, 68.99),
    _row("BEATs fine-tuned with LoRA", "K", _EVAL, 68.87),
    _row("EAT fine-tuned with LoRA", "K", _EVAL, 69.85),
    _row("winner of the challenge", "T", _EVAL, 70.97),
]  # fmt: skip


def published_systems(year, machines, sections):
    """The systems whose figures are of these machines and sections; none where there are no such figures."""
    if year != 2022 or not set(machines) <= set(MACHINES):
        return []
    subsets = [name for name, known in SECTIONS.items() if set(sections) <= known]
    return [system for system in SYSTEMS if system.subset in subsets]
