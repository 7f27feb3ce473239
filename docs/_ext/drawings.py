"""The directive `pipeline`: a system drawn from the object that an expression gives."""

import importlib
import inspect
import re

from docutils import nodes
from docutils.parsers.rst import Directive
from sklearn.pipeline import make_pipeline
from sphinx.addnodes import pending_xref

import skasd

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
    "feature_groups",
}  # the last one has a box of its own


class PipelineDrawing(Directive):
    """Boxes for the steps, with what differs from the defaults, and between them the field that flows."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        modules = [
            importlib.import_module(f"skasd.{name}") for name in skasd._submodules
        ]
        names = {
            name: getattr(module, name) for module in modules for name in module.__all__
        }
        field, drawing = "waveform", nodes.container(classes=["pipeline"])
        drawing += flow("waveform", " or ", "path")
        for name, step in eval(
            self.arguments[0], {"make_pipeline": make_pipeline, **names}
        ).steps:
            if getattr(step, "pretrain", None) is not None:
                drawing += [
                    box(f"{name}__pretrain", step.pretrain),
                    flow("the weights of its network"),
                ]
            field = made(step, field)
            drawing += [box(name, step), flow(field)]
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
    title, choices = nodes.paragraph(classes=["pipeline-name"]), nodes.paragraph()
    if name != kind.lower():  # as make_pipeline calls it
        title += [nodes.emphasis(text=name), nodes.Text(" ")]
    title += pending_xref(
        "", nodes.literal(text=kind), refdomain="py", reftype="obj", reftarget=kind
    )
    for choice in changed(step):
        choices += [nodes.literal(text=choice), nodes.Text(" ")]
    return nodes.container("", title, choices, classes=["pipeline-step"])


def flow(*parts):
    """What flows to the next step: fields, which are one word, and plain words."""
    texts = [
        nodes.Text(part) if " " in part else nodes.literal(text=part) for part in parts
    ]
    return nodes.paragraph("", "", *texts, classes=["pipeline-flow"])


def changed(step):
    """The parameters that are not at their defaults, as one would write them."""
    signature = inspect.signature(type(step)).parameters
    for name, given in step.get_params(deep=False).items():
        value = repr(given)
        default = signature[name].default if name in signature else None
        if value != repr(default) and name not in NOT_DRAWN:
            value = re.sub(
                r"<class '(?:\w+\.)*(\w+)'>|functools\.(?=partial)",
                r"\1",
                " ".join(value.split()),
            )
            value = re.sub(
                r"\d\.\d{4,}", lambda number: f"{float(number[0]):.3g}", value
            )
            yield f"{name}={value}"


def setup(app):
    app.add_directive("pipeline", PipelineDrawing)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
