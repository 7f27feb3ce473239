import subprocess
import sys
from functools import partial

import joblib
import numpy as np
import pytest
import soundfile
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, GradientNormClipping
from torch import nn

from skasd.audio import AudioLoader
from skasd.augmentation import Augmentation, Mixup, SpecAugment
from skasd.clips import Clips
from skasd.detectors import CosineCenterDetector
from skasd.embedders import ClassificationEmbedder
from skasd.losses import AdaCosLoss, ArcFaceLoss, FocalLoss, SoftmaxLoss, SubclusterAdaCosLoss
from skasd.metrics import auc_scorer
from skasd.model_selection import DevelopmentSplit
from skasd.networks import DualFeatureNetwork, LogMelLayer, SpectrogramResNet, WithFrontEnd


class TinyNetwork(nn.Module):
    """A network of a user: two convolutions with batch norm and dropout, and stages."""

    def __init__(self, embedding_size=8):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1))
        self.last = nn.Linear(6, embedding_size)

    def forward(self, x):
        return self.forward_stages(x)[-1]

    def forward_stages(self, x):
        first = self.first(x.unsqueeze(1) if x.ndim == 3 else x)
        second = self.second(first).mean(dim=(2, 3))
        return [first.mean(dim=(2, 3)), second, self.last(second)]


def make_clips(n_clips=48, seed=0, n_frames=20, anomalous=False):
    """Two sections and four attributes: each has its own loud bands; anomalies have another."""
    rng = np.random.default_rng(seed)
    log_mel = rng.normal(size=(n_clips, 16, n_frames)).astype(np.float32)
    number = np.arange(n_clips) % 4
    for clip, band in zip(log_mel, number + (6 if anomalous else 0), strict=True):
        clip[band : band + 2] += 4
    return Clips(
        log_mel=log_mel,
        section=np.where(number % 2, "01", "00"),
        attribute=np.array(["a", "b", "c", "d"])[number],
        domain=np.where(np.arange(n_clips) % 6, "source", "target"),
        label=np.full(n_clips, -1 if anomalous else 1),
        split=np.full(n_clips, "test" if seed else "train"),
    )


def make_embedder(**params):
    defaults = {"network": TinyNetwork, "max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
    return ClassificationEmbedder(**(defaults | params))


VARIANTS = {
    "arcface": {},
    "softmax": {"loss": SoftmaxLoss},
    "two targets": {"loss": FocalLoss, "targets": ("section", "attribute")},
    "subclusters": {"loss": SubclusterAdaCosLoss, "loss__n_subclusters": 2, "loss__trainable": True},
    "augmented": {
        "augmentations": (Mixup(target_share=0.5), SpecAugment(freq_mask=4, time_mask=4)),
        "loss": AdaCosLoss,
    },
    "windows": {"window_frames": 12, "hop_frames": 4},
    "stages": {"output": "stages"},
    "logits": {"output": "logits"},
    "pretrained": {"pretrain": make_embedder(max_epochs=1)},
    "early stopping": {
        "validation_fraction": 0.25,
        "callbacks": [EarlyStopping(patience=1, load_best=True)],
        "max_epochs": 4,
    },
    "schedule": {"lr_schedule": "cosine", "callbacks": [GradientNormClipping(0.5)]},
    "mixed precision": {"mixed_precision": True},
    "workers": {"iterator_train__num_workers": 2, "iterator_valid__num_workers": 2},
}
every_variant = pytest.mark.parametrize("params", VARIANTS.values(), ids=VARIANTS)


def output(embedder, clips):
    made = embedder.transform(clips)
    return made["logits" if embedder.output == "logits" else "embedding"]


def without_early_exit(params):
    return {**params, "max_epochs": params.get("max_epochs", 2)}


@every_variant
def test_two_fits_are_the_same_bit_for_bit(params):
    clips = make_clips()
    first, second = (output(make_embedder(**params).fit(clips), clips) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert first.dtype == np.float32


@every_variant
def test_training_leaves_the_randomness_of_others_alone(params):
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    make_embedder(**params).fit(make_clips())
    torch.testing.assert_close(torch.rand(4), wanted, rtol=0, atol=0)


@every_variant
def test_saved_and_loaded_gives_the_same_bit_for_bit(params, tmp_path):
    clips = make_clips()
    embedder = make_embedder(**params).fit(clips)
    joblib.dump(embedder, tmp_path / "embedder.joblib")
    np.testing.assert_array_equal(output(joblib.load(tmp_path / "embedder.joblib"), clips), output(embedder, clips))


@every_variant
def test_anomalies_never_train(params):
    clips, odd = make_clips(), make_clips(6, seed=5, anomalous=True)
    wanted = output(make_embedder(**params).fit(clips), clips)
    np.testing.assert_array_equal(output(make_embedder(**params).fit(clips + odd), clips), wanted)
    unlabelled = (clips + odd).without("label")
    y = np.repeat([1, -1], [len(clips), len(odd)])
    np.testing.assert_array_equal(output(make_embedder(**params).fit(unlabelled, y), clips), wanted)


@every_variant
def test_row_order_and_batch_size_change_nothing(params):
    clips = make_clips()
    embedder = make_embedder(**params).fit(clips)
    wanted = output(embedder, clips)
    tolerance = {"rtol": 0.05, "atol": 0.05} if embedder.mixed_precision else {"rtol": 1e-4, "atol": 1e-5}
    order = np.random.default_rng(0).permutation(len(clips))
    np.testing.assert_allclose(output(embedder, clips[order]), wanted[order], **tolerance)
    np.testing.assert_allclose(output(embedder.set_params(batch_size=5), clips), wanted, **tolerance)


def test_another_seed_gives_another_embedding():
    clips = make_clips()
    first, second = (output(make_embedder(random_state=seed).fit(clips), clips) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_it_learns_to_tell_the_classes_apart():
    clips, test = make_clips(96), make_clips(96, seed=1)
    embedder = make_embedder(targets=("attribute",), output="logits", max_epochs=20, lr=0.01).fit(clips)
    assert (embedder.classes_[0][output(embedder, test).argmax(axis=1)] == test["attribute"]).mean() > 0.95
    losses = [epoch["train_loss"] for epoch in embedder.history_]
    assert losses[-1] < 0.5 * losses[0]


def test_it_finds_clips_that_sound_like_the_other_section():
    normal, odd = make_clips(40, seed=1), make_clips(40, seed=2)
    odd = odd.with_fields(section=np.where(odd["section"] == "00", "01", "00"), label=np.full(40, -1))
    clips = make_clips(96) + normal + odd
    system = make_pipeline(make_embedder(max_epochs=10), CosineCenterDetector())
    search = GridSearchCV(
        system, {"classificationembedder__lr": [0.01, 1e-6]}, scoring=auc_scorer, cv=DevelopmentSplit(), n_jobs=2
    )
    search.fit(clips, clips["label"])
    assert search.best_params_ == {"classificationembedder__lr": 0.01}
    assert search.best_score_ > 0.95


def test_plain_arrays_take_the_classes_from_y():
    clips = make_clips()
    embedded = make_embedder().fit(clips["log_mel"], clips["section"]).transform(clips["log_mel"])
    np.testing.assert_array_equal(embedded, make_embedder().fit(clips).transform(clips)["embedding"])


def test_memory_mapped_clips_train_as_those_in_memory(tmp_path):
    clips = make_clips()
    joblib.dump(clips["log_mel"], tmp_path / "log_mel.joblib")
    mapped = clips.with_fields(log_mel=joblib.load(tmp_path / "log_mel.joblib", mmap_mode="r"))
    np.testing.assert_array_equal(
        output(make_embedder().fit(mapped), mapped), output(make_embedder().fit(clips), clips)
    )


FRONT_END = partial(LogMelLayer, sample_rate=8000, n_fft=256, hop_length=128, n_mels=16)
WAVE_NETWORK = partial(WithFrontEnd, [FRONT_END], TinyNetwork)


def make_waveforms(n_clips=24):
    rng = np.random.default_rng(0)
    tone = np.sin(np.arange(2560) * np.where(np.arange(n_clips) % 2, 0.2, 0.9)[:, np.newaxis])
    waveform = (0.3 * tone + 0.05 * rng.normal(size=(n_clips, 2560))).astype(np.float32)
    return Clips(waveform=waveform, section=np.where(np.arange(n_clips) % 2, "01", "00"))


def test_waveforms_files_and_16_bit_samples_train_alike(tmp_path):
    clips = make_waveforms()
    samples = np.round(clips["waveform"] * 2**15).astype(np.int16)
    paths = [tmp_path / f"{row}.wav" for row in range(len(clips))]
    for path, one in zip(paths, samples, strict=True):
        soundfile.write(path, one, 8000)
    forms = [
        clips.with_fields(waveform=samples),
        clips.with_fields(waveform=samples.astype(np.float32) / 2**15),
        clips.without("waveform").with_fields(path=paths),
    ]
    embedders = [make_embedder(network=WAVE_NETWORK, loader=AudioLoader(sample_rate=8000)).fit(form) for form in forms]
    wanted = output(embedders[0], forms[0])
    for embedder in embedders:
        for form in forms:
            np.testing.assert_array_equal(output(embedder, form), wanted)


class Witness(Augmentation):
    """Keeps the domains of the clips that it is given, by their number, which is their first value."""

    works_on = "log_mel"

    def __init__(self, seen):
        self.seen = seen

    def draw(self, batch, generator):
        return {}

    def apply(self, batch, params):
        domain = [None] * len(batch.x) if batch.domain is None else batch.domain.tolist()
        self.seen.update(zip(batch.x[:, 0, 0].int().tolist(), domain, strict=True))
        return batch


def numbered_clips(**fields):
    clips = make_clips()
    log_mel = clips["log_mel"].copy()
    log_mel[:, 0, 0] = np.arange(len(clips))
    return clips.with_fields(log_mel=log_mel, **fields)


@pytest.mark.parametrize("domain", [["source", "target", ""] * 16, None])
def test_augmentations_are_told_the_domains(domain):
    seen = {}
    clips = numbered_clips(domain=domain) if domain else numbered_clips().without("domain")
    make_embedder(augmentations=(Witness(seen),), max_epochs=1).fit(clips)
    assert seen == dict(enumerate([0, 1, -1] * 16 if domain else [None] * 48))


def test_clips_that_watch_the_loss_are_whole_recordings():
    seen, recording = {}, np.arange(48) // 4
    clips = numbered_clips(recording=recording.astype(str))
    make_embedder(augmentations=(Witness(seen),), max_epochs=2, validation_fraction=0.25).fit(clips)
    trained = np.isin(np.arange(48), list(seen))
    assert 0 < trained.sum() < 48
    assert all(len(set(trained[recording == one])) == 1 for one in range(12))


class Silence(Augmentation):
    """Sets all that it is given to one number, which tells what it was given and whether it counts."""

    def __init__(self, works_on, value):
        self.works_on = works_on
        self.value = value

    def draw(self, batch, generator):
        return {}

    def apply(self, batch, params):
        assert batch.x.ndim == (2 if self.works_on == "waveform" else 3)
        return batch._replace(x=torch.full_like(batch.x, self.value))


class Listener(TinyNetwork):
    """A network that keeps what it was trained on."""

    def __init__(self):
        super().__init__()
        self.heard = []

    def forward(self, x):
        if self.training:
            self.heard.append(x)
        return super().forward(x)


@pytest.mark.parametrize("dtype", [np.int32, ">i2", "<i2", ">f4", np.float16, np.uint8])
def test_samples_are_scaled_by_their_type(dtype):
    clips = make_waveforms()
    scale, rest = {"f": (1, 0), "i": (2 ** (8 * np.dtype(dtype).itemsize - 1), 0), "u": (128, 128)}[
        np.dtype(dtype).kind
    ]
    samples = np.round(clips["waveform"] * scale + rest) if scale > 1 else clips["waveform"]
    exact = clips.with_fields(waveform=(samples.astype(dtype).astype(np.float64) - rest) / scale)
    wanted = output(make_embedder(network=WAVE_NETWORK).fit(exact), exact)
    typed = clips.with_fields(waveform=samples.astype(dtype))
    np.testing.assert_allclose(
        output(make_embedder(network=WAVE_NETWORK).fit(typed), typed), wanted, rtol=1e-4, atol=1e-5
    )


def test_a_type_that_does_not_tell_its_scale_is_refused():
    clips = make_waveforms()
    with pytest.raises(ValueError, match="int64"):
        make_embedder(network=WAVE_NETWORK).fit(clips.with_fields(waveform=(clips["waveform"] * 1000).astype(np.int64)))


def test_spectrograms_of_whole_numbers_are_decibels():
    clips = make_clips()
    whole = clips.with_fields(log_mel=np.round(clips["log_mel"]).astype(np.int16))
    floats = clips.with_fields(log_mel=np.round(clips["log_mel"]))
    np.testing.assert_array_equal(
        output(make_embedder().fit(whole), whole), output(make_embedder().fit(floats), floats)
    )


def test_parts_for_another_sample_rate_are_refused(tmp_path):
    clips = make_waveforms()
    with pytest.raises(ValueError, match=r"LogMelLayer.*8000.*16000"):
        make_embedder(network=WAVE_NETWORK).fit(clips.with_attrs(sample_rate=16000))
    paths = [tmp_path / f"{row}.wav" for row in range(len(clips))]
    for path, one in zip(paths, clips["waveform"], strict=True):
        soundfile.write(path, one, 8000)
    with pytest.raises(ValueError, match=r"LogMelLayer.*8000.*16000"):
        make_embedder(network=WAVE_NETWORK).fit(clips.without("waveform").with_fields(path=paths))
    embedder = make_embedder(network=WAVE_NETWORK).fit(clips)
    assert embedder.sample_rate_ == 8000
    assert len(output(embedder, clips.with_attrs(sample_rate=8000))) == len(clips)
    with pytest.raises(ValueError, match=r"8000 Hz; these have 16000 Hz"):
        embedder.transform(clips.with_attrs(sample_rate=16000))


@pytest.mark.parametrize("window", [None, 16])
@pytest.mark.parametrize(
    ("augmentations", "heard"),
    [
        ((Silence("log_mel", -3.0),), -3.0),
        ((Silence("waveform", 0.0),), 10 * np.log10(np.finfo(float).eps)),
        ((Silence("waveform", 0.0), Silence("log_mel", -3.0), Silence("any", -4.0)), -4.0),
    ],
)
def test_every_augmentation_is_applied_before_or_after_the_front_end(augmentations, heard, window):
    network = partial(WithFrontEnd, [FRONT_END], Listener)
    embedder = make_embedder(network=network, augmentations=augmentations, window_frames=window).fit(make_waveforms())
    batches = embedder.network_.backbone.heard
    assert len(batches) == 2 * 2  # epochs of 24 clips, 16 at a time
    for batch in batches:
        assert batch.shape[2] == (window or 21)
        np.testing.assert_allclose(batch, heard, rtol=1e-4)
    assert np.isfinite(output(embedder, make_waveforms())).all()


def test_dual_features_of_the_first_report_train():
    clips = make_waveforms(8)
    network = partial(DualFeatureNetwork, sample_rate=8000, n_fft=256, hop_length=128, n_mels=32)
    embedder = make_embedder(network=network, max_epochs=1, batch_size=4).fit(clips)
    assert output(embedder, clips).shape == (8, 128)


def test_windows_are_those_of_the_clip():
    clips = make_clips(n_frames=21)
    embedder = make_embedder(window_frames=12, hop_frames=4).fit(clips)
    windows = output(embedder, clips)
    assert windows.shape == (48, 3, 8)
    second = clips.with_fields(log_mel=clips["log_mel"][:, :, 4:16])
    np.testing.assert_allclose(output(embedder, second)[:, 0], windows[:, 1], rtol=1e-4, atol=1e-5)


def test_stages_lie_side_by_side():
    clips = make_clips()
    stages = make_embedder(output="stages").fit(clips)
    assert stages.stage_sizes_ == [4, 6, 8]
    np.testing.assert_allclose(
        output(stages, clips)[:, 10:], output(make_embedder().fit(clips), clips), rtol=1e-4, atol=1e-5
    )


def test_two_steps_start_from_the_weights_of_the_first():
    clips = make_clips()
    first = make_embedder(max_epochs=3).fit(clips)
    second = make_embedder(pretrain=make_embedder(max_epochs=3), max_epochs=1, lr=1e-12, optimizer=torch.optim.SGD)
    for mine, its in zip(second.fit(clips).network_.parameters(), first.network_.parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=0, atol=1e-6)


def test_both_steps_have_a_checkpoint_unless_the_first_has_one_of_its_own(tmp_path):
    clips = make_clips()
    make_embedder(pretrain=make_embedder(), checkpoint=tmp_path / "both").fit(clips)
    own = make_embedder(checkpoint=tmp_path / "own")
    make_embedder(pretrain=own, checkpoint=tmp_path / "second").fit(clips)
    found = {path.parent.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("training.pt")}
    assert found == {"both", "both/pretrain", "own", "second"}


@pytest.mark.parametrize(
    "params", [{}, {"augmentations": (Mixup(), SpecAugment(freq_mask=4, time_mask=4))}, {"mixed_precision": True}]
)
def test_batch_norms_end_with_the_statistics_of_the_training_clips(params):
    clips, odd = make_clips(), make_clips(6, seed=5, anomalous=True)
    network = make_embedder(max_epochs=1, batch_size=48, **params).fit(clips + odd).network_
    with torch.no_grad():
        maps = network.first[0](torch.from_numpy(clips["log_mel"])[:, None]).transpose(0, 1).flatten(1)
    norm, tolerance = network.first[1], 0.02 if params.get("mixed_precision") else 1e-4
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=1), rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(norm.running_var, maps.var(dim=1), rtol=tolerance, atol=tolerance)
    assert norm.momentum == 0.1 and not norm.training


def test_batch_norms_end_with_the_statistics_of_all_batches():
    clips = make_clips()
    clips = clips.with_fields(log_mel=clips["log_mel"] + np.arange(48, dtype=np.float32)[:, None, None])
    network = make_embedder(max_epochs=1, batch_size=8).fit(clips).network_
    with torch.no_grad():
        maps = network.first[0](torch.from_numpy(clips["log_mel"])[:, None])
    norm = network.first[1]
    assert norm.num_batches_tracked == 6
    torch.testing.assert_close(norm.running_mean, maps.mean(dim=(0, 2, 3)), rtol=1e-4, atol=1e-4)
    # in mixed batches of 8 there are 7/8 of the variance; clips in their order, which go up by 1, would have a fiftieth
    assert ((norm.running_var / maps.var(dim=(0, 2, 3)) > 0.5) & (norm.running_var < maps.var(dim=(0, 2, 3)))).all()


def test_after_one_step_the_network_embeds_as_it_did_in_training():
    """Decibels lie far from the 0 and 1 at which batch norms start, and one step of the running mean is not enough."""
    clips = make_clips()
    clips = clips.with_fields(log_mel=10 * clips["log_mel"] - 60)
    embedder = make_embedder(max_epochs=1, batch_size=48).fit(clips)
    network, x = embedder.network_, torch.from_numpy(clips["log_mel"])
    network.first.train(), network.second[:2].train()  # without the dropout
    with torch.no_grad():
        wanted = network(x)
    assert wanted.std(dim=0).min() > 0.01
    np.testing.assert_allclose(output(embedder, clips), wanted, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("max_epochs", [50, 2])
def test_early_stopping_keeps_network_and_loss_of_the_best_epoch(max_epochs):
    kept = []

    class Keeps(Callback):
        def on_epoch_end(self, net, **kwargs):
            modules = (net.module_.network, net.criterion_)
            kept.append([parameter.detach().clone() for module in modules for parameter in module.parameters()])

    callbacks = [Keeps(), EarlyStopping(patience=2, load_best=True)]
    params = {"validation_fraction": 0.25, "max_epochs": max_epochs, "lr": 0.3}
    embedder = make_embedder(callbacks=callbacks, **params).fit(make_clips())
    losses = [epoch["valid_loss"] for epoch in embedder.history_]
    best = int(np.argmin(losses))
    assert len(losses) == min(max_epochs, best + 3)
    found = [*embedder.network_.parameters(), *embedder.loss_.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(found, kept[best], strict=True))


def test_callbacks_and_arguments_reach_the_net():
    callbacks = [EpochScoring(lambda net, X, y: 7.0, name="seven", use_caching=False, on_train=True)]
    embedder = make_embedder(callbacks=callbacks, optimizer__weight_decay=0.25).fit(make_clips())
    assert embedder.net_.history[-1]["seven"] == 7.0
    assert embedder.net_.optimizer_.param_groups[0]["weight_decay"] == 0.25


def test_the_saved_file_is_about_as_large_as_the_weights(tmp_path):
    clips = make_clips(96)
    embedder = make_embedder(network=partial(TinyNetwork, embedding_size=20_000)).fit(clips)
    joblib.dump(embedder, tmp_path / "embedder.joblib")
    modules = (embedder.network_, embedder.loss_)
    weights = sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())
    assert weights < (tmp_path / "embedder.joblib").stat().st_size < weights + 30_000


def test_a_fresh_process_gives_the_same_bit_for_bit(tmp_path):
    clips = make_waveforms()
    embedder = make_embedder(network=partial(WithFrontEnd, [FRONT_END], partial(nn.Flatten))).fit(clips)
    joblib.dump((embedder, clips), tmp_path / "embedder.joblib")
    code = (
        "import joblib, numpy, sys\n"
        "embedder, clips = joblib.load(sys.argv[1])\n"
        "numpy.save(sys.argv[2], embedder.transform(clips)['embedding'])"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "embedder.joblib", tmp_path / "out.npy"], check=True)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), output(embedder, clips))


def test_progress_in_a_log_file_is_a_line(capsys):
    make_embedder(max_epochs=40, verbose=1).fit(make_clips(16))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Training: 40/40 epochs, train_loss ")


# Bad input


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({}, {"section": ["00"] * 48}, "target 'section' has 1 class among the normal clips, .*'00'"),
        ({"targets": ("speed",)}, {}, "needs the field 'speed'"),
        ({"window_frames": 21}, {}, "window_frames=21 is longer than the clips, which have 20 frames"),
        ({"network": partial(nn.Linear, 7, 3)}, {}, r"cannot take clips of shape \(16, 20\)"),
        ({"network": WAVE_NETWORK}, {}, "cannot take clips of shape"),
        ({"lr": 1e30, "optimizer": torch.optim.SGD}, {}, "Training diverged: the loss is .* Lower lr"),
        ({"validation_fraction": 0.01}, {}, "validation_fraction=0.01 of 48"),
    ],
)
def test_what_cannot_train_says_why(params, change, message):
    with pytest.raises(ValueError, match=message):
        make_embedder(**params).fit(make_clips().with_fields(change))


@pytest.mark.parametrize(
    ("targets", "values", "message"),
    [
        ((), {}, "targets is empty"),
        (("speed",), {"speed": [1.0, np.nan] * 24}, "'speed' has no value"),
        (("speed",), {"speed": np.array([1, None] * 24, dtype=object)}, "'speed' cannot be sorted"),
        (("log_mel",), {}, r"'log_mel'.*\(48, 16, 20\)"),
        ((("section", "log_mel"),), {}, r"'log_mel'.*\(48, 16, 20\)"),
        ((("section", "speed"),), {"speed": [1.0, np.nan] * 24}, "'speed' has no value"),
        ((("section", "speed"),), {"speed": np.array([1, None] * 24, dtype=object)}, "'speed' cannot be sorted"),
        (((),), {}, r"targets .*\(\)"),
        ((["section", "domain"],), {}, r"targets .*\['section', 'domain'\]"),
        ((1,), {}, "targets .* 1"),
    ],
)
def test_what_is_no_class_is_named(targets, values, message):
    with pytest.raises(ValueError, match=message):
        make_embedder(targets=targets).fit(make_clips().with_fields(values))


def test_clips_that_are_not_finite_are_named():
    clips = make_clips()
    broken = clips["log_mel"].copy()
    broken[5, 0, 0], broken[7, 1, 1] = np.nan, np.inf
    named = clips.with_fields(log_mel=broken, path=[f"{row}.wav" for row in range(48)])
    for call in (make_embedder().fit, make_embedder().fit(clips).transform):
        with pytest.raises(ValueError, match=r"'log_mel'.*2 of 48.*5\.wav, 7\.wav"):
            call(named)


def test_an_embedding_that_is_not_finite_is_no_embedding():
    embedder = make_embedder().fit(make_clips())
    with torch.no_grad():
        embedder.network_.last.weight.fill_(np.inf)
    with pytest.raises(ValueError, match=r"diverged.*row 0"):
        embedder.transform(make_clips())


def test_an_augmentation_that_does_not_fit_the_input_is_refused():
    with pytest.raises(ValueError, match="SpecAugment works on the field 'log_mel', but the network gets waveform"):
        make_embedder(network=partial(nn.LazyLinear, 4), augmentations=(SpecAugment(),)).fit(make_waveforms())


def test_clips_of_another_length_are_refused():
    embedder = make_embedder().fit(make_clips())
    with pytest.raises(ValueError, match=r"fitted on clips of shape \(16, 20\); got \(16, 25\)"):
        embedder.transform(make_clips(n_frames=25))
    assert output(make_embedder(window_frames=10, hop_frames=5).fit(make_clips()), make_clips(n_frames=25)).shape == (
        48,
        4,
        8,
    )


def test_what_was_not_fitted_on_is_refused():
    embedder = make_embedder().fit(make_clips())
    with pytest.raises(ValueError, match="fitted on spectrograms, and these clips have only paths"):
        embedder.transform(Clips(path=["a.wav"]))
    with pytest.raises(ValueError, match=r"fitted on clips of shape \(16, 20\); got \(16,\)"):
        embedder.transform(Clips(waveform=np.zeros((2, 16))))


def test_a_class_with_one_clip_trains_even_with_validation():
    clips = make_clips().with_fields(section=["00"] * 20 + ["01"] * 27 + ["02"])
    embedder = make_embedder(validation_fraction=0.25).fit(clips)
    assert embedder.classes_[0].tolist() == ["00", "01", "02"]


def test_arcface_is_the_default_loss():
    assert isinstance(make_embedder().fit(make_clips()).loss_, ArcFaceLoss)


@pytest.mark.parametrize(
    ("params", "n_columns"), [({}, 8), ({"output": "stages"}, 4 + 6 + 8), ({"output": "logits"}, 4)]
)
def test_columns_have_names_and_windows_have_none(params, n_columns):
    clips = make_clips()
    embedder = make_embedder(max_epochs=1, **params).fit(clips["log_mel"], clips["attribute"])
    assert len(embedder.get_feature_names_out()) == n_columns == embedder.transform(clips["log_mel"]).shape[1]
    assert not hasattr(embedder.set_params(window_frames=12), "get_feature_names_out")


def test_every_target_has_the_loss_that_was_asked_for():
    targets = {"targets": ("section", "attribute"), "loss": FocalLoss, "loss__gamma": 3.0}
    losses = make_embedder(max_epochs=1, **targets).fit(make_clips()).loss_.losses
    assert [(type(one), one.gamma) for one in losses] == [(FocalLoss, 3.0)] * 2


@pytest.mark.parametrize("window", [None, 16])
def test_a_network_that_standardises_its_input_learns_how_from_the_training_clips(window):
    rng = np.random.default_rng(0)
    band = rng.uniform(-80, -20, size=(1, 8, 1))
    clips = Clips(log_mel=band + 3 * rng.normal(size=(16, 8, 32)), section=["00", "01"] * 8, label=[1] * 14 + [-1] * 2)
    clips["log_mel"][14:] = 0.0  # anomalies, which never train
    embedder = ClassificationEmbedder(
        SpectrogramResNet, window_frames=window, max_epochs=1, batch_size=8, device="cpu", random_state=0
    ).fit(clips)
    layer = embedder.network_.standardizer
    np.testing.assert_allclose(layer.mean.ravel(), band.ravel(), atol=1.5)
    np.testing.assert_allclose(layer.std.ravel(), 3.0, atol=1.0)


def test_stages_of_a_network_that_has_none_are_refused():
    plain = partial(nn.Sequential, nn.Flatten(), nn.Linear(320, 4))
    with pytest.raises(ValueError, match=r"stages.*forward_stages.*Sequential"):
        make_embedder(network=plain, output="stages").fit(make_clips())


def test_a_training_without_one_batch_is_refused():
    with pytest.raises(ValueError, match=r"48 clips.*drop_last"):
        make_embedder(batch_size=64, iterator_train__drop_last=True).fit(make_clips())


def test_a_target_with_one_class_is_left_out_where_others_are_left():
    clips = make_clips().with_fields(attribute=[""] * 48)
    with pytest.warns(UserWarning, match="'attribute' has 1 class") as caught:
        both = make_embedder(targets=("attribute", "section"), output="logits").fit(clips)
    assert caught[0].filename == __file__
    alone = make_embedder(output="logits").fit(clips)
    assert both.targets_ == ["section"]
    np.testing.assert_array_equal(output(both, clips), output(alone, clips))
    with pytest.warns(UserWarning, match="'attribute'"):  # a field that is not there is not known
        make_embedder(targets=("section", "attribute")).fit(clips.without("attribute"))


def test_fields_can_be_one_target_together():
    clips = make_clips()
    embedder = make_embedder(targets=(("section", "attribute", "domain"),), output="logits").fit(clips)
    (classes,) = embedder.classes_
    pairs = {(s, a, d) for s, a, d in zip(clips["section"], clips["attribute"], clips["domain"], strict=True)}
    assert {tuple(one) for one in classes.tolist()} == pairs
    made = embedder.transform(clips)
    assert made["logits"].shape == (48, len(pairs))
    assert made.attrs["classes"] == tuple(sorted(pairs)) and made.attrs["target"] == ("section", "attribute", "domain")
    joined = clips.with_fields(both=np.char.add(clips["section"], clips["attribute"]))
    by_hand = output(make_embedder(targets=("both",)).fit(joined), clips)
    np.testing.assert_array_equal(output(make_embedder(targets=(("section", "attribute"),)).fit(clips), clips), by_hand)


def test_windows_of_fit_transform_can_be_farther_apart():
    clips = make_clips()
    embedder = make_embedder(window_frames=12, hop_frames=(4, 1))
    learned, scored = embedder.fit_transform(clips)["embedding"], embedder.transform(clips)["embedding"]
    assert learned.shape == (48, 3, 8) and scored.shape == (48, 9, 8)
    np.testing.assert_allclose(learned, scored[:, ::4], atol=1e-6)
    for wrong in ((4,), (0, 1), (1.5, 1), (True, 1)):
        with pytest.raises(ValueError, match="hop_frames"):
            make_embedder(window_frames=12, hop_frames=wrong).fit(clips)


@pytest.mark.parametrize("trained", [False, True])
def test_the_learned_spectrogram_is_heard(trained):
    clips = make_waveforms(16)
    embedder = make_embedder(
        network=DualFeatureNetwork,
        network__n_mels=32,
        network__n_fft=256,
        network__hop_length=128,
        max_epochs=3 * trained or 1,
        lr=1e-3 if trained else 1e-9,
    ).fit(clips)
    network, x = embedder.network_.eval(), torch.as_tensor(clips["waveform"]).float()
    x = x / 32768 if x.abs().max() > 1 else x
    with torch.no_grad():
        both = network.spectrograms(x)
        levels = network.backbone.standardizer(both).std(dim=(0, 2, 3))
        deaf = both.clone()
        deaf[:, 1] = both[:, 1].mean()
        cosine = torch.cosine_similarity(network.backbone(both), network.backbone(deaf))
    assert 0.5 < levels[0] / levels[1] < 2  # both enter at one scale
    assert cosine.mean() < 0.95


def test_a_missing_attribute_is_a_class_of_its_own_machine_and_section():
    clips = make_clips()
    machine = np.where(np.arange(48) < 24, "fan", "pump")
    some = clips.with_fields(machine=machine, attribute=np.where(clips["attribute"] == "a", "a", ""))
    owners = {("missing " + repr(one)) for one in zip(machine.tolist(), clips["section"].tolist(), strict=True)}
    alone = make_embedder(targets=("attribute",)).fit(some)
    assert set(alone.classes_[0].tolist()) == {"a", *owners}
    joined = make_embedder(targets=(("machine", "section", "attribute"),)).fit(some)
    known = set(zip(machine, some["section"], some["attribute"], strict=True))
    assert len(joined.classes_[0]) == len(known)


def test_sections_of_different_machines_are_not_one_class():
    clips = make_clips().with_fields(machine=np.where(np.arange(48) < 24, "fan", "pump"))
    for target in ("section", ("section", "attribute")):
        with pytest.raises(ValueError, match="sections of different machines for one"):
            make_embedder(targets=(target,)).fit(clips)
    assert len(make_embedder(targets=(("machine", "section"),)).fit(clips).classes_[0]) == 4
    alone = clips.without("machine")  # of one machine, whose name does not matter
    assert len(make_embedder(targets=(("machine", "section"),)).fit(alone).classes_[0]) == 2
