"""The directive `pipeline`: a system drawn from the object that an expression gives."""

import inspect
from functools import partial

from docutils import nodes
from docutils.parsers.rst import Directive
from names import full_name, public_objects
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline
from sphinx.addnodes import pending_xref

MADE = {
    "AudioLoader": "waveform",
    "LevelNormalizer": "waveform",
    "LogMelSpectrogram": "log_mel",
    "FrameStacker": "embedding",
    "StatisticsEmbedder": "embedding",
}
NOT_DRAWN = {
    "device",
    "verbose",
    "random_state",
    "pretrain",
}  # the last one has a box of its own


class PipelineDrawing(Directive):
    """Boxes for the steps, with what differs from the defaults, and between them the field that flows."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        system = eval(
            self.arguments[0], {"make_pipeline": make_pipeline, **public_objects()}
        )
        field = "waveform"
        drawing = nodes.container(classes=["pipeline"])
        drawing += arrow("waveform", " or ", "path")
        for name, step in system.steps:
            if getattr(step, "pretrain", None) is not None:
                drawing += [
                    box(f"{name}__pretrain", step.pretrain),
                    arrow("the weights of its network"),
                ]
            field = made(step, field)
            drawing += [box(name, step), arrow(field)]
        drawing.children[-1] += nodes.Text(", higher = more normal")
        return [drawing]


def made(step, field):
    """The field that a step makes of another one; augmentation leaves it as it is."""
    if hasattr(step, "score_samples"):
        return "score_samples"
    if type(step).__name__ == "ClassificationEmbedder":
        return "logits" if step.output == "logits" else "embedding"
    return MADE.get(type(step).__name__, field)


def box(name, step):
    kind = type(step).__name__
    link = pending_xref(
        "",
        nodes.literal(text=kind),
        refdomain="py",
        reftype="obj",
        reftarget=full_name(kind),
    )
    drawing = nodes.container(classes=["pipeline-step"])
    title = nodes.paragraph(classes=["pipeline-name"])
    if name != kind.lower():  # as make_pipeline calls it
        title += [nodes.emphasis(text=name), nodes.Text(" ")]
    title += link
    drawing += title
    choices = nodes.paragraph()
    for key, value in changed(step).items():
        choices += [nodes.literal(text=f"{key}={value}"), nodes.Text(" ")]
    if choices.children:
        drawing += choices
    return drawing


def arrow(*parts):
    """What flows to the next step: fields, which are one word, and plain words."""
    flow = nodes.paragraph(classes=["pipeline-flow"])
    flow += [
        nodes.Text(part) if " " in part else nodes.literal(text=part) for part in parts
    ]
    return flow


def changed(estimator):
    """The parameters that are not at their defaults, as text; `network_params` become arguments of `network`."""
    defaults = inspect.signature(type(estimator)).parameters
    values = estimator.get_params(deep=False)
    told = {
        key: text(value)
        for key, value in values.items()
        if repr(value) != repr(defaults[key].default)
    }
    for key in [key for key in values if values.get(f"{key}_params")]:
        told[key] = call(values[key].__name__, values[f"{key}_params"])
        del told[f"{key}_params"]
    return {key: value for key, value in told.items() if key not in NOT_DRAWN}


def text(value):
    """A value as one would write it."""
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, partial):
        return call(value.func.__name__, value.keywords, *value.args)
    if isinstance(value, BaseEstimator):
        told = [f"{key}={choice}" for key, choice in changed(value).items()]
        return f"{type(value).__name__}({', '.join(told)})"
    if isinstance(value, float):
        return repr(float(f"{value:.3g}"))
    if isinstance(value, list):
        return f"[{', '.join(map(text, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(text, value))}{',' * (len(value) == 1)})"
    return repr(value)


def call(name, keywords, *arguments):
    told = [
        *map(text, arguments),
        *(f"{key}={text(value)}" for key, value in keywords.items()),
    ]
    return f"{name}({', '.join(told)})"


def setup(app):
    app.add_directive("pipeline", PipelineDrawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
