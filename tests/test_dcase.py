import csv
import os
import re
from pathlib import Path

import numpy as np
import pytest

from skasd.datasets import DcaseFilename, load_dcase, parse_dcase_filename

NAMES = {
    # 2020
    "normal_id_00_00000000.wav": ("00", "", "", 1, "00000000", ""),
    "anomaly_id_06_00000123.wav": ("06", "", "", -1, "00000123", ""),
    "id_01_00000000.wav": ("01", "", "", 0, "00000000", ""),
    # 2021
    "section_00_source_train_normal_0000_strength_1_ambient.wav": (
        "00", "source", "train", 1, "0000", "strength_1_ambient"
    ),
    "section_02_target_test_anomaly_0099.wav": ("02", "target", "test", -1, "0099", ""),
    "section_03_source_test_0199.wav": ("03", "source", "test", 0, "0199", ""),
    # 2022
    "section_00_source_train_normal_0025_vel_20.wav": ("00", "source", "train", 1, "0025", "vel_20"),
    "section_00_source_test_normal_0000_car_A2_spd_28V_mic_1_noise_1.wav": (
        "00", "source", "test", 1, "0000", "car_A2_spd_28V_mic_1_noise_1"
    ),
    "section_02_target_test_normal_0040_v1pat_04_v2pat_05.wav": (
        "02", "target", "test", 1, "0040", "v1pat_04_v2pat_05"
    ),
    "section_01_source_test_normal_0000_pat_04_panel_bs-c.wav": (
        "01", "source", "test", 1, "0000", "pat_04_panel_bs-c"
    ),
    "section_03_0000.wav": ("03", "", "", 0, "0000", ""),
    "section_03_test_0000.wav": ("03", "", "test", 0, "0000", ""),
    # 2023
    "section_00_target_test_anomaly_0044_pat_03.wav": ("00", "target", "test", -1, "0044", "pat_03"),
    "section_00_source_train_normal_0959_vel_490_ac_0.05.wav": ("00", "source", "train", 1, "0959", "vel_490_ac_0.05"),
    # 2024
    "section_00_source_train_normal_0000_noAttribute.wav": ("00", "source", "train", 1, "0000", ""),
    "section_00_0200.wav": ("00", "", "", 0, "0200", ""),
    # 2026
    "section_00_source_train_normal_0000_.wav": ("00", "source", "train", 1, "0000", ""),
    "section_00_target_test_anomaly_0012_.flac": ("00", "target", "test", -1, "0012", ""),
    # 2025
    "section_00_source_test_anomaly_0002_pow_1_n_B.wav": ("00", "source", "test", -1, "0002", "pow_1_n_B"),
    "section_00_machine_0001.wav": ("00", "", "supplemental", 1, "0001", ""),
    "section_00_machine_source_0000_noAttribute.wav": ("00", "source", "supplemental", 1, "0000", ""),
    "section_00_noise_0100.wav": ("00", "", "supplemental", 0, "0100", ""),
    "section_00_noise_supplemental_normal_0000.wav": ("00", "", "supplemental", 0, "0000", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_year(name):
    record = parse_dcase_filename(name)
    assert record == DcaseFilename(*NAMES[name])
    assert parse_dcase_filename(Path("/home/me/resources/target/anomaly") / name) == record


@pytest.mark.parametrize(
    "name",
    [
        "",
        "section_00_source_train_normal_0000",
        "section_00_source_train_normal_0000.mp3",
        "section_0_source_train_normal_0000.wav",
        "section_00_source_train_normal.wav",
        "section_00_source_train_broken_0000.wav",
        "section_00_normal_source_0000.wav",
        "section_00_source_train_normal_000.wav",
        "section_00_source_train_normal_0000__.mp3",
        "xsection_00_0000.wav",
        "section_00_0000.wav.wav.bak",
        "normal_id_00_0000.wav",
        "id_00_00000000_vel_1.wav",
        "section_\u0660\u0660_source_train_normal_0000_a.wav",  # digits, but not ours
    ],
)
def test_a_name_that_does_not_fit_is_shown_with_the_grammar(name):
    with pytest.raises(ValueError, match=re.escape(repr(name)) + r"(.|\n)*section_NN\[_source\|_target\]"):
        parse_dcase_filename(name)


def test_names_of_real_clips(shared):
    clips = sorted((shared / "dcase2023_samples").rglob("*.wav"))
    assert len(clips) == 28
    for path in clips:
        record = parse_dcase_filename(path)
        assert record.section == "00" and record.split == path.parent.name and record.attribute
        assert path.name == _compose(record)


def test_names_of_real_score_files(shared):
    tables = sorted((shared / "dcase2022_dev_scores" / "run_a").glob("anomaly_score_*.csv"))
    assert len(tables) == 21
    for table in tables:
        with table.open(newline="") as file:
            names = [row[0] for row in csv.reader(file)]
        records = [parse_dcase_filename(name) for name in names]
        assert {record.section for record in records} == {table.stem[-2:]}
        counts = np.unique([(r.domain, r.label) for r in records], axis=0, return_counts=True)[1]
        assert counts.tolist() == [50] * 4
        assert [_compose(record) for record in records] == names


def _compose(record):
    label = {1: "normal", -1: "anomaly"}[record.label]
    parts = ["section", record.section, record.domain, record.split, label, record.number, record.attribute]
    return "_".join(parts) + ".wav"


def test_real_samples_load(shared):
    clips = load_dcase(shared / "dcase2023_samples" / "fan")
    assert clips["split"].tolist() == ["train", "train", "test", "test"]
    assert clips["label"].tolist() == [1, 1, -1, 1]
    assert clips["domain"].tolist() == ["source", "source", "source", "target"]
    assert clips["attribute"].tolist() == ["m-n_X", "m-n_X", "m-n_W", "m-n_Y"]


def make(folder, *names):
    """Empty files; load_dcase opens no audio."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.fixture
def fan(tmp_path):
    return make(
        tmp_path / "dev_data" / "fan",
        "test/section_01_target_test_normal_0000_n_B.wav",
        "test/section_00_source_test_anomaly_0000_n_A.wav",
        "test/section_00_source_test_normal_0001_n_A.wav",
        "train/section_00_source_train_normal_0001_n_A.wav",
        "train/section_00_source_train_normal_0000_n_A.wav",
        "train/section_01_target_train_normal_0000_n_B.wav",
        "train/.DS_Store",
        "train/._section_00_source_train_normal_0000_n_A.wav",
        "train/notes.txt",
        "supplemental/section_00_machine_0001.wav",
        "supplemental/section_00_noise_0001.wav",
    )


def test_clips_are_ordered_by_split_and_name(fan):
    clips = load_dcase(fan)
    assert list(clips) == ["path", "machine", "section", "domain", "split", "label", "attribute"]
    assert clips["path"].tolist() == [
        str(fan / name)
        for name in [
            "train/section_00_source_train_normal_0000_n_A.wav",
            "train/section_00_source_train_normal_0001_n_A.wav",
            "train/section_01_target_train_normal_0000_n_B.wav",
            "test/section_00_source_test_anomaly_0000_n_A.wav",
            "test/section_00_source_test_normal_0001_n_A.wav",
            "test/section_01_target_test_normal_0000_n_B.wav",
        ]
    ]
    assert clips["machine"].tolist() == ["fan"] * 6
    assert clips["section"].tolist() == ["00", "00", "01"] * 2
    assert clips["domain"].tolist() == ["source", "source", "target"] * 2
    assert clips["attribute"].tolist() == ["n_A", "n_A", "n_B"] * 2
    assert clips["split"].tolist() == ["train"] * 3 + ["test"] * 3
    assert clips["label"].tolist() == [1, 1, 1, -1, 1, 1]


@pytest.mark.parametrize(
    ("wanted", "n_clips"),
    [
        ({"split": "train"}, 3),
        ({"split": ["test", "train"]}, 6),
        ({"section": "01"}, 2),
        ({"section": ("00", "01"), "domain": "source"}, 4),
        ({"domain": ["source", "target"]}, 6),
        ({"split": "test", "section": "00", "domain": ["source"]}, 2),
    ],
)
def test_clips_are_selected(fan, wanted, n_clips):
    clips = load_dcase(fan, **wanted)
    assert len(clips) == n_clips
    for field, values in wanted.items():
        assert set(clips[field]) <= set([values] if isinstance(values, str) else values)


def test_supplemental_clips_come_when_asked_for(fan):
    clips = load_dcase(fan, split="supplemental")
    assert [Path(path).name for path in clips["path"]] == ["section_00_machine_0001.wav", "section_00_noise_0001.wav"]
    assert clips["label"].tolist() == [1, 0]
    assert "supplemental" not in load_dcase(fan)["split"]


def test_folders_of_2021(tmp_path):
    pump = make(
        tmp_path / "pump",
        "target_test/section_00_target_test_anomaly_0000.wav",
        "source_test/section_00_source_test_normal_0000.wav",
        "train/section_00_source_train_normal_0000_strength_1_ambient.wav",
    )
    clips = load_dcase(pump)
    assert clips["split"].tolist() == ["train", "test", "test"]
    assert clips["domain"].tolist() == ["source", "source", "target"]


def test_folders_of_2020_have_no_domain(tmp_path):
    clips = load_dcase(make(tmp_path / "ToyConveyor", "train/normal_id_01_00000000.wav", "test/id_02_00000000.wav"))
    assert clips["split"].tolist() == ["train", "test"]
    assert clips["section"].tolist() == ["01", "02"]
    assert clips["label"].tolist() == [1, 0]
    assert clips["domain"].tolist() == ["", ""]


def test_folders_above_tell_nothing(tmp_path):
    folder = make(
        tmp_path / "resources" / "target" / "anomaly_section_07_train" / "fan",
        "test/section_00_source_test_normal_0000.wav",
        "test/section_00_0001.wav",
    )
    clips = load_dcase(folder)
    assert clips["domain"].tolist() == ["", "source"]
    assert clips["label"].tolist() == [0, 1]
    assert clips["section"].tolist() == ["00", "00"]
    assert clips["split"].tolist() == ["test", "test"]


def test_machine_named_test(tmp_path):
    make(tmp_path / "test", "train/section_00_source_train_normal_0000.wav", "test/section_00_0000.wav")
    clips = load_dcase(tmp_path / "test")
    assert clips["machine"].tolist() == ["test", "test"]
    with pytest.raises(
        ValueError, match=r"not the folder of one machine(.|\n)*Machines' folders are inside: .*test'?\."
    ):
        load_dcase(tmp_path)


def test_machine_is_the_name_of_the_folder_however_it_is_written(fan, monkeypatch):
    monkeypatch.chdir(fan)
    assert set(load_dcase(".")["machine"]) == {"fan"}
    assert set(load_dcase("../fan/")["machine"]) == {"fan"}
    assert load_dcase("../fan", split="train")["path"][0].startswith("../fan/train/")


ATTRIBUTES = """\
file_name,d1p,d1v,d2p,d2v
{prefix}section_00_source_train_normal_0000{suffix},vel,20,loc,A
{prefix}section_00_source_train_normal_0001{suffix},vel,8,,
{prefix}section_00_source_train_normal_0002_m-n_X{suffix},m-n,Y,,
{prefix}section_00_source_test_normal_0000{suffix},vel,6,,
"""


@pytest.mark.parametrize(("prefix", "suffix"), [("fan/train/", ".wav"), ("", "")])
def test_attribute_table_fills_what_the_name_does_not_tell(tmp_path, prefix, suffix):
    numbers = ["0000", "0001", "0002_m-n_X", "0003_noAttribute"]
    folder = make(tmp_path / "fan", *(f"train/section_00_source_train_normal_{number}.wav" for number in numbers))
    (folder / "attributes_00.csv").write_text(ATTRIBUTES.format(prefix=prefix, suffix=suffix))
    assert load_dcase(folder)["attribute"].tolist() == ["vel_20_loc_A", "vel_8", "m-n_X", ""]


@pytest.mark.parametrize("content", ["", "name,d1p\nx,y\n"])
def test_attribute_table_with_another_header(tmp_path, content):
    folder = make(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav")
    (folder / "attributes_00.csv").write_text(content)
    with pytest.raises(ValueError, match=r"attributes_00.csv' must begin with the header 'file_name,d1p"):
        load_dcase(folder)


@pytest.fixture
def evaluation(tmp_path):
    """A machine's evaluation clips, and the evaluator of the organisers."""
    bearing = make(
        tmp_path / "bearing",
        "train/section_03_source_train_normal_0000_vel_1.wav",
        *(f"test/section_0{section}_000{i}.wav" for section in (3, 4) for i in range(3)),
    )
    evaluator = tmp_path / "evaluator"
    for folder in ("ground_truth_data", "ground_truth_domain"):
        (evaluator / folder).mkdir(parents=True)
    write_flags(evaluator, "data", "03", "010")
    write_flags(evaluator, "data", "04", "101")
    write_flags(evaluator, "domain", "03", "001")
    write_flags(evaluator, "domain", "04", "110")
    return bearing, evaluator


def write_flags(evaluator, kind, section, flags):
    rows = [f"section_{section}_{i:04}.wav,{flag}\n" for i, flag in enumerate(flags)]
    path = evaluator / f"ground_truth_{kind}" / f"ground_truth_bearing_section_{section}_test.csv"
    path.write_text("".join(rows))


def test_evaluation_without_ground_truth(evaluation):
    clips = load_dcase(evaluation[0])
    assert clips["label"].tolist() == [1] + [0] * 6
    assert clips["domain"].tolist() == ["source"] + [""] * 6
    assert clips["split"].tolist() == ["train"] + ["test"] * 6


def test_evaluation_with_ground_truth(evaluation):
    bearing, evaluator = evaluation
    clips = load_dcase(bearing, ground_truth=evaluator)
    assert clips["label"].tolist() == [1, 1, -1, 1, -1, 1, -1]
    assert clips["domain"].tolist() == ["source", "source", "source", "target", "target", "target", "source"]
    assert load_dcase(bearing, ground_truth=evaluator, domain="target")["section"].tolist() == ["03", "04", "04"]
    assert load_dcase(bearing, split="train", ground_truth=evaluator)["label"].tolist() == [1]


def test_labels_in_the_folder_itself_without_domains(evaluation):
    bearing, evaluator = evaluation
    clips = load_dcase(bearing, split="test", ground_truth=evaluator / "ground_truth_data")
    assert clips["label"].tolist() == [1, -1, 1, -1, 1, -1]
    assert set(clips["domain"]) == {""}


def test_ground_truth_of_2021_is_per_domain(tmp_path):
    folder = make(
        tmp_path / "bearing",
        "source_test/section_03_source_test_0000.wav",
        "target_test/section_03_target_test_0000.wav",
    )
    for domain, flag in [("source", 1), ("target", 0)]:
        path = tmp_path / f"ground_truth_bearing_section_03_{domain}_test.csv"
        path.write_text(f"section_03_{domain}_test_0000.wav,{flag}\n")
    clips = load_dcase(folder, ground_truth=tmp_path)
    assert clips["label"].tolist() == [-1, 1]
    assert clips["domain"].tolist() == ["source", "target"]


def test_ground_truth_as_one_list(tmp_path):
    """The form of 2020, with a third column, and of 2025."""
    make(tmp_path / "pump", "test/id_01_00000000.wav", "test/id_01_00000001.wav")
    make(tmp_path / "Polisher", "test/section_00_0000.wav", "test/section_00_0001.wav")
    table = tmp_path / "eval_data_list.csv"
    table.write_text(
        "pump\n"
        "id_01_00000000.wav,anomaly_id_01_00000053.wav,1\n"
        "id_01_00000001.wav,normal_id_01_00000009.wav,0\n"
        "Polisher,,\n"
        "section_00_0000.wav,section_00_target_test_anomaly_0000_vol_12750.wav\n"
        "section_00_0001.wav,section_00_source_test_normal_0001_noAttribute.wav\n"
    )
    assert load_dcase(tmp_path / "pump", ground_truth=table)["label"].tolist() == [-1, 1]
    clips = load_dcase(tmp_path / "Polisher", ground_truth=table)
    assert clips["label"].tolist() == [-1, 1]
    assert clips["domain"].tolist() == ["target", "source"]
    assert clips["attribute"].tolist() == ["vol_12750", ""]
    make(tmp_path / "fan", "test/section_00_0000.wav")
    with pytest.raises(ValueError, match=r"eval_data_list.csv' has no clips of fan; its machines are pump, Polisher"):
        load_dcase(tmp_path / "fan", ground_truth=table)


def test_ground_truth_and_clips_must_belong_together(evaluation):
    bearing, evaluator = evaluation
    (bearing / "test" / "section_04_0002.wav").unlink()
    with pytest.raises(
        ValueError, match=r"1 clips of bearing that the ground truth .* not in the folder: section_04_0002"
    ):
        load_dcase(bearing, ground_truth=evaluator)
    for number in range(2, 14):
        make(bearing, f"test/section_04_{number:04}.wav")
    with pytest.raises(ValueError, match=r"lacks 11 of 17 test clips of bearing: .*section_04_0012.wav, and 1 more"):
        load_dcase(bearing, ground_truth=evaluator)


def test_ground_truth_of_absent_sections_is_passed_over(evaluation):
    bearing, evaluator = evaluation
    for path in (bearing / "test").glob("section_03*"):
        path.unlink()
    assert load_dcase(bearing, split="test", ground_truth=evaluator)["label"].tolist() == [-1, 1, -1]


def test_labels_and_domains_of_different_clips(evaluation):
    bearing, evaluator = evaluation
    write_flags(evaluator, "domain", "04", "11")
    with pytest.raises(ValueError, match=r"not of the same clips: 1 are in one only: section_04_0002.wav"):
        load_dcase(bearing, ground_truth=evaluator)


def test_ground_truth_of_another_machine_or_form(evaluation, tmp_path):
    bearing, evaluator = evaluation
    make(tmp_path / "valve", "test/section_03_0000.wav")
    with pytest.raises(ValueError, match=r"no ground_truth_valve_section_NN_test.csv in"):
        load_dcase(tmp_path / "valve", ground_truth=evaluator)
    write_flags(evaluator, "data", "03", "012")
    with pytest.raises(ValueError, match=r"section_03_test.csv' must have rows .* got 'section_03_0002.wav,2'"):
        load_dcase(bearing, ground_truth=evaluator)


def test_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder '.*fan'.*fetch_dcase"):
        load_dcase(tmp_path / "fan")


def test_folder_of_something_else(tmp_path):
    make(tmp_path / "music", "song.wav", *(f"{i:02}.txt" for i in range(12)))
    with pytest.raises(
        ValueError, match=r"no .wav or .flac files in train/ or test/. It holds 00.txt, .*09.txt, and 3 more"
    ):
        load_dcase(tmp_path / "music")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"It holds nothing"):
        load_dcase(tmp_path / "empty")


def test_folder_of_several_machines_names_them(fan):
    make(fan.parent, "valve/train/section_00_source_train_normal_0000.wav", "README.txt")
    with pytest.raises(ValueError, match=r"Machines' folders are inside: .*dev_data/fan, .*dev_data/valve. Give one"):
        load_dcase(fan.parent)


def test_split_that_is_not_there(tmp_path):
    folder = make(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav")
    assert len(load_dcase(folder)) == 1
    with pytest.raises(ValueError, match=r"no .wav or .flac files of test. There are train \(1 files\)"):
        load_dcase(folder, split="test")


@pytest.mark.parametrize("split", ["valid", ["train", "valid"], []])
def test_unknown_split(fan, split):
    with pytest.raises(ValueError, match=r"split must be one or several of 'train', 'test', 'supplemental'; got"):
        load_dcase(fan, split=split)


def test_no_clip_left(fan):
    with pytest.raises(ValueError, match=r"section in \['07'\].*section '00' \(4 clips\), '01' \(2 clips\)"):
        load_dcase(fan, section="07")
    with pytest.raises(
        ValueError, match=r"section in \['00'\] and domain in \['target'\].*domain 'source' \(4 clips\)"
    ):
        load_dcase(fan, section="00", domain="target")


def test_strays_are_all_told(fan):
    make(fan, *(f"train/take{i:02}.wav" for i in range(11)), "train/section_00_source_test_normal_0009.wav")
    with pytest.raises(ValueError, match=r"12 of 18 audio files(.|\n)*take08.wav, and 2 more(.|\n)*id_NN_NNNNNNNN"):
        load_dcase(fan)
    assert len(load_dcase(fan, split="test")) == 3


def test_what_the_name_tells_stands_above_the_ground_truth(evaluation):
    bearing, evaluator = evaluation
    name = "section_03_source_test_normal_0009_vel_3.wav"
    make(bearing, f"test/{name}")
    table = evaluator / "eval_data_list.csv"
    rows = [f"section_0{s}_000{i}.wav,section_0{s}_target_test_anomaly_000{i}.wav" for s in (3, 4) for i in range(3)]
    table.write_text("\n".join(["bearing", *rows, f"{name},section_03_target_test_anomaly_0009_vel_8.wav"]))
    clips = load_dcase(bearing, split="test", ground_truth=table)
    assert clips["label"].tolist() == [-1, -1, -1, 1, -1, -1, -1]
    assert clips["domain"].tolist().index("source") == 3
    assert clips["attribute"][3] == "vel_3"


# Compressed clips, what is no file, other encodings


def compressed(folder):
    for path in folder.rglob("*.wav"):
        path.rename(path.with_suffix(".flac"))
    return folder


def test_compressed_clips_are_as_others(fan):
    clips = load_dcase(fan)
    found = load_dcase(compressed(fan))
    assert [path.removesuffix(".flac") for path in found["path"]] == [
        path.removesuffix(".wav") for path in clips["path"]
    ]
    for name in ("machine", "section", "domain", "attribute", "split", "label"):
        assert found[name].tolist() == clips[name].tolist()


def test_tables_of_the_challenge_fit_compressed_clips(tmp_path, evaluation):
    bearing, evaluator = evaluation
    (bearing / "attributes_03.csv").write_text("file_name,d1p,d1v\nbearing/test/section_03_0000.wav,vel,7\n")
    clips = load_dcase(bearing, ground_truth=evaluator)
    found = load_dcase(compressed(bearing), ground_truth=evaluator)
    for name in ("label", "domain", "attribute"):
        assert found[name].tolist() == clips[name].tolist()
    table = tmp_path / "eval_data_list.csv"
    numbers = [f"section_0{section}_000{i}" for section in (3, 4) for i in range(3)]
    rows = [f"{name}.wav,{name[:10]}_target_test_anomaly_{name[11:]}_vel_9.wav" for name in numbers]
    table.write_text("\n".join(["bearing,", *rows]))
    assert load_dcase(bearing, split="test", ground_truth=table)["label"].tolist() == [-1] * 6


def test_names_of_2020_come_again_in_the_test(tmp_path):
    folder = make(tmp_path / "pump", "train/normal_id_00_00000000.wav", "test/normal_id_00_00000000.wav")
    assert len(load_dcase(folder)) == len(load_dcase(compressed(folder))) == 2


@pytest.mark.parametrize("parameters", [{"section": 0}, {"split": None}, {"domain": [1]}, {"section": [b"00"]}])
def test_what_is_no_text(fan, parameters):
    (name,) = parameters
    with pytest.raises(ValueError, match=f"{name} must be"):
        load_dcase(fan, **parameters)


@pytest.mark.filterwarnings("ignore:1 of 1 names")
def test_no_clip_is_a_file(tmp_path):
    (tmp_path / "fan" / "train" / "section_00_source_train_normal_0000.wav").mkdir(parents=True)
    with pytest.raises(ValueError, match="none of them is a file"):
        load_dcase(tmp_path / "fan")


def test_clip_that_is_there_twice(fan):
    make(fan, "train/section_00_source_train_normal_0000_n_A.flac")
    with pytest.raises(ValueError, match=r"1 clips .* twice.*section_00_source_train_normal_0000_n_A.wav"):
        load_dcase(fan)


@pytest.mark.skipif(os.name == "nt", reason="there are no such files")
def test_what_is_no_file_is_left_out_with_a_warning(fan):
    names = [f"section_00_source_train_normal_000{number}.wav" for number in range(5, 9)]
    paths = [fan / "train" / name for name in names]
    os.mkfifo(paths[0])
    paths[1].mkdir()
    paths[2].symlink_to(paths[2])
    paths[3].symlink_to(fan / "test" / "section_00_source_test_normal_0001_n_A.wav")
    with pytest.warns(UserWarning, match=r"3 of 10 names of clips are no files(.|\n)*_0005.wav(.|\n)*_0007.wav"):
        clips = load_dcase(fan)
    assert set(map(str, paths)) & set(clips["path"]) == {str(paths[3])}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_encodings_of_tables(tmp_path, encoding):
    folder = make(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav")
    path = folder / "attributes_00.csv"
    path.write_text("file_name,d1p,d1v\nsection_00_source_train_normal_0000,Öl,30°\n", encoding=encoding)
    if encoding.startswith("utf") and encoding != "utf-16-le":
        assert load_dcase(folder)["attribute"].tolist() == ["Öl_30°"]
    else:
        with pytest.raises(ValueError, match=r"^.*attributes_00.csv: is not UTF-8: byte \d+ is 0x..\. Save it"):
            load_dcase(folder)


@pytest.mark.parametrize("content", [b"file_name,d1p\0\nx,y\n", b'file_name,"' + b"x" * 200000])
def test_table_that_is_no_csv(tmp_path, content):
    folder = make(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav")
    (folder / "attributes_00.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"attributes_00.csv"):
        load_dcase(folder)


@pytest.mark.skipif(os.name == "nt", reason="there are no pipes")
def test_table_that_is_a_pipe(tmp_path):
    folder = make(tmp_path / "fan", "train/section_00_source_train_normal_0000.wav")
    os.mkfifo(folder / "attributes_00.csv")
    with pytest.raises(ValueError, match=r"attributes_00.csv: is a named pipe"):
        load_dcase(folder)


@pytest.mark.parametrize(
    "rows", ["section_03_0000.wav,0\nsection_03_0000.wav,1\n", "notes.txt,0\n", "section_03_0000.wav,2\n"]
)
def test_flags_that_contradict_or_fit_nothing(evaluation, rows):
    bearing, evaluator = evaluation
    path = evaluator / "ground_truth_data" / "ground_truth_bearing_section_03_test.csv"
    path.write_text(rows)
    with pytest.raises(ValueError, match=f"{re.escape(str(path))}.*{rows[:5]}"):
        load_dcase(bearing, ground_truth=evaluator)


def test_list_of_names_that_fit_nothing(evaluation, tmp_path):
    table = tmp_path / "eval_data_list.csv"
    table.write_text("bearing\nsection_03_0000.wav,something.wav\n")
    with pytest.raises(ValueError, match=r"eval_data_list.csv.*something.wav"):
        load_dcase(evaluation[0], ground_truth=table)


def test_machine_whose_name_is_a_pattern(tmp_path):
    make(tmp_path / "fan[1]", "test/section_00_0000.wav")
    for name in ("fan[1]", "fan1"):
        flag = int(name == "fan1")
        (tmp_path / f"ground_truth_{name}_section_00_test.csv").write_text(f"section_00_0000.wav,{flag}\n")
    assert load_dcase(tmp_path / "fan[1]", ground_truth=tmp_path)["label"].tolist() == [1]
