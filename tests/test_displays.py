"""Laws of all displays: one shape, on whatever axes they are given, in whatever style, without side effects."""

import inspect
import sys
from functools import cache, partial

import matplotlib
import numpy as np
import pytest
from matplotlib import colors, pyplot
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.pipeline import make_pipeline
from torch import nn

from skasd import plotting
from skasd.clips import Clips
from skasd.detectors import FlowDetector, MahalanobisDetector
from skasd.embedders import ClassificationEmbedder, StatisticsEmbedder
from skasd.features import FrameStacker, LogMelSpectrogram

RNG = np.random.default_rng(0)
WAVEFORMS = RNG.normal(0, 0.1, size=(12, 4000)).astype(np.float32)
LABEL = np.repeat([1, -1], [8, 4])
SCORES = RNG.normal(LABEL, 1)
HISTORY = [{"epoch": epoch, "train_loss": 4 / epoch, "valid_loss": 4 / epoch + 0.3 * epoch} for epoch in (1, 2, 3)]
log_mel = partial(LogMelSpectrogram, n_mels=16, n_fft=256, hop_length=256)


@cache
def detector():
    return make_pipeline(log_mel(), StatisticsEmbedder(), MahalanobisDetector()).fit(WAVEFORMS, LABEL)


@cache
def flow():
    training = {"max_epochs": 1, "batch_size": 64, "device": "cpu", "random_state": 0}
    density = FlowDetector(transforms=1, hidden_features=(4,), **training)
    return make_pipeline(log_mel(), FrameStacker(n_frames=2), density).fit(WAVEFORMS)


@cache
def embedder():
    network = partial(nn.Sequential, nn.Flatten(), nn.LazyLinear(2))
    clips = Clips(log_mel=log_mel().fit_transform(WAVEFORMS), section=["00", "01"] * 6)
    return ClassificationEmbedder(network, max_epochs=2, device="cpu", random_state=0).fit(clips)


def draw_of(display, method, *make):
    """A function that draws by a class method; what is costly is made when it is called, once."""
    return lambda **kwargs: getattr(display, method)(*(part() for part in make), **kwargs)


def of(value):
    return lambda: value


EMBEDDING = plotting.EmbeddingDisplay
MAP, SPECTROGRAM = plotting.AnomalyMapDisplay, plotting.SpectrogramDisplay
HISTOGRAM, ROC, TRAINING = (
    plotting.ScoreHistogramDisplay, plotting.PartialROCDisplay, plotting.TrainingHistoryDisplay,
)  # fmt: skip
DRAWN = {
    (MAP, "from_estimator"): [detector, of(WAVEFORMS)],
    (EMBEDDING, "from_embedding"): [of(WAVEFORMS[:, :20])],
    (EMBEDDING, "from_estimator"): [embedder, lambda: log_mel().fit_transform(WAVEFORMS)],
    (SPECTROGRAM, "from_log_mel"): [lambda: log_mel().fit_transform(WAVEFORMS)[0]],
    (SPECTROGRAM, "from_waveform"): [of(WAVEFORMS[0])],
    (HISTOGRAM, "from_estimator"): [detector, of(WAVEFORMS), of(LABEL)],
    (HISTOGRAM, "from_predictions"): [of(LABEL), of(SCORES)],
    (ROC, "from_estimator"): [detector, of(WAVEFORMS), of(LABEL)],
    (ROC, "from_predictions"): [of(LABEL == -1), of(-SCORES)],
    (TRAINING, "from_estimator"): [embedder],
    (TRAINING, "from_history"): [of(HISTORY)],
}
DRAW = {f"{display.__name__}.{method}": draw_of(display, method, *make) for (display, method), make in DRAWN.items()}
DRAW["AnomalyMapDisplay.from_estimator, of frames"] = draw_of(MAP, "from_estimator", flow, of(WAVEFORMS))
DRAW["EmbeddingDisplay.from_embedding, in groups"] = partial(
    draw_of(EMBEDDING, "from_embedding", of(Clips(embedding=WAVEFORMS[:, :20], label=LABEL))), by="label"
)
DRAW["ScoreHistogramDisplay.from_predictions, with threshold"] = partial(
    DRAW["ScoreHistogramDisplay.from_predictions"], threshold=0.0
)
GROUPS = {"group": np.tile(["00", "01"], 6), "by": "section"}
for kind in ("ScoreHistogramDisplay", "PartialROCDisplay"):
    DRAW[f"{kind}.from_predictions, in groups"] = partial(DRAW[f"{kind}.from_predictions"], **GROUPS)
every_display = pytest.mark.parametrize("name", DRAW)
every_class = pytest.mark.parametrize("display", plotting.__all__)


def class_of(name):
    return getattr(plotting, name.split(".")[0])


def numbers_of(display):
    names = list(inspect.signature(type(display)).parameters)
    return {name: getattr(display, name) for name in names}


def picture(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())


def added_axes(display):
    return {display.colorbar_.ax} if hasattr(display, "colorbar_") else set()


def texts_of(display):
    """Each text that can be read, with the colour behind it."""
    axes, paper = display.ax_, display.figure_.get_facecolor()
    for part in [axes, *added_axes(display)]:
        labels = [part.title, part.xaxis.label, part.yaxis.label, *part.get_xticklabels(), *part.get_yticklabels()]
        yield from ((text, paper) for text in labels if text.get_text())
    legend = axes.get_legend()
    if legend is not None:
        frame = legend.get_frame().get_facecolor()
        yield from ((text, over(frame, axes.get_facecolor())) for text in legend.get_texts())


def over(front, back):
    alpha = front[3]
    return tuple(alpha * f + (1 - alpha) * b for f, b in zip(front[:3], back[:3], strict=True))


def contrast(one, other):
    """Contrast of two colours as the WCAG define it, from 1 to 21."""

    def luminance(color):
        channels = np.array(colors.to_rgb(color))
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def test_no_display_is_left_out():
    public = [getattr(plotting, name) for name in plotting.__all__]
    made = {(display, name) for display in public for name in vars(display) if name.startswith("from_")}
    assert made == set(DRAWN)


@every_class
def test_all_have_the_same_signatures(display):
    display = getattr(plotting, display)
    assert display.__name__.endswith("Display")
    assert {parameter.kind for parameter in inspect.signature(display).parameters.values()} == {
        inspect.Parameter.KEYWORD_ONLY
    }
    assert str(inspect.signature(display.plot)) == "(self, ax=None, **kwargs)"
    for name in vars(display):
        if name.startswith("from_"):
            *_, title, ax, kwargs = inspect.signature(getattr(display, name)).parameters.values()
            assert (str(title), str(ax), str(kwargs)) == ("name=None", "ax=None", "**kwargs")
            assert title.kind == ax.kind == inspect.Parameter.KEYWORD_ONLY


@every_display
def test_keeps_its_numbers_and_draws_when_told(name):
    drawn = DRAW[name](name="fan")
    assert type(drawn) is class_of(name)
    numbers = numbers_of(drawn)
    again = type(drawn)(**numbers)
    assert vars(again) == numbers and all(vars(again)[key] is numbers[key] for key in numbers)
    assert again.plot() is again
    assert all(vars(again)[key] is numbers[key] for key in numbers)
    assert again.ax_.figure is again.figure_


@every_display
def test_draws_the_same_picture_again_and_again(name):
    display = DRAW[name]()
    first = display.figure_
    second = display.plot().figure_
    assert first is not second
    assert (picture(first) == picture(second)).all()
    assert np.ptp(picture(first)[..., :3]) > 100


@every_display
def test_draws_on_the_given_axes_and_on_no_others(name):
    figure, (left, right) = pyplot.subplots(1, 2)
    pyplot.sca(right)
    before = len(right.get_children()), pyplot.get_fignums()
    display = DRAW[name](ax=left, name="fan")
    assert display.ax_ is left and display.figure_ is figure
    assert set(figure.axes) - {left, right} == added_axes(display)
    assert pyplot.gca() is right and (len(right.get_children()), pyplot.get_fignums()) == before
    assert right.get_xlabel() == right.get_ylabel() == right.get_title() == ""
    assert display.plot(ax=right) is display and display.ax_ is right and display.figure_ is figure


@every_display
def test_draws_on_figures_that_pyplot_does_not_know(name):
    part = Figure(layout="constrained").subfigures(1, 2)[1]
    display = DRAW[name](ax=part.add_subplot())
    assert display.figure_ is part and pyplot.get_fignums() == []
    assert np.ptp(picture(part.figure)) > 100


@every_display
def test_hands_arguments_to_matplotlib(name):
    display = DRAW[name](alpha=0.125)
    assert 0.125 in {artist.get_alpha() for artist in display.ax_.get_children()}
    display.plot()
    assert 0.125 not in {artist.get_alpha() for artist in display.ax_.get_children()}


@every_display
def test_writes_no_global_settings(name):
    before = dict(matplotlib.rcParams)
    DRAW[name]().plot()
    assert dict(matplotlib.rcParams) == before


@every_display
def test_says_what_is_on_every_axis(name):
    display = DRAW[name](name="fan no. 3")
    axes = [display.ax_.get_xlabel(), display.ax_.get_ylabel()]
    axes += [part.get_ylabel() for part in added_axes(display)]
    for label in axes:
        assert label == "epoch" or (label[:1].islower() and label.endswith(")")), label  # its unit, or its direction
    assert any("fan no. 3" in text.get_text() for text, _ in texts_of(display))


@pytest.mark.parametrize(
    ("style", "drawn"), [("default", "inside"), ("dark_background", "inside"), ("dark_background", "outside")]
)
@every_display
def test_can_be_read_in_light_and_in_dark(name, style, drawn):
    """Also where the axes were made in another style than the one that is in force when the display draws."""
    with pyplot.style.context(style):
        _, ax = pyplot.subplots()
        if drawn == "inside":
            display = DRAW[name](ax=ax, name="fan")
    if drawn == "outside":
        display = DRAW[name](ax=ax, name="fan")
    display.figure_.canvas.draw()
    for text, behind in texts_of(display):
        assert contrast(text.get_color(), behind) > 4.5, text
    for line in display.ax_.lines:
        assert contrast(line.get_color(), ax.get_facecolor()) > 2, line  # orange on white has 2.2
    for patch in display.ax_.patches:
        assert contrast(patch.get_edgecolor(), ax.get_facecolor()) > 2, patch


@every_display
@pytest.mark.parametrize("given", ["pump $2_{1$", "_pump", r"pump $\foo$", r"pump \$1"])
def test_names_are_shown_as_they_are(name, given):
    """No part of a machine's name is taken for a formula, and none keeps it out of the legend."""
    axes = Figure().add_subplot()
    DRAW[name](ax=axes, name=given)
    axes.figure.draw_without_rendering()
    texts = [text for text in axes.figure.findobj(Text) if "pump" in text.get_text()]
    assert texts
    for text in texts:
        literal = axes.figure.text(0, 0, text.get_text().replace(r"\$", "$"), parse_math=False)
        literal.set_fontproperties(text.get_fontproperties())
        assert given in literal.get_text()
        assert text.get_window_extent().width == pytest.approx(literal.get_window_extent().width, abs=1)


@every_display
def test_several_axes_are_refused(name):
    with pytest.raises(TypeError, match=r"ax must be one matplotlib Axes.*got ndarray\. Of several axes choose one"):
        DRAW[name](ax=pyplot.subplots(1, 2)[1])


@every_display
def test_without_matplotlib(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=rf"{class_of(name).__name__} needs matplotlib: pip install skasd\[plot\]"):
        DRAW[name]()
