"""The command: from recordings in a folder to an exit status."""

import csv
import json
import os
import pickle
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from recordings import RATE, make_recording, write_recordings

from skasd.command import program
from skasd.monitoring import RecordingDetector

COMMAND = [sys.executable, "-m", "skasd"]
RATE_OF_ALARMS = ["--false-alarm-rate", "0.1"]  # which nine recordings are enough for


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Recordings of a pump: healthy ones, a leak, and useless ones."""
    home = write_recordings(
        tmp_path_factory.mktemp("my pumps"), "pump", 12, ("leak hiss",), 1, amounts=(4.0,), duration=2
    )
    (home / "useless").mkdir()
    soundfile.write(home / "useless" / "silent.wav", np.zeros((RATE, 2)), RATE)
    (home / "useless" / "notes.wav").write_text("no audio")
    return home


@pytest.fixture(scope="module")
def model(home):
    path = home / "pump.skasd"
    assert run("train", home / "healthy", "-o", path, *RATE_OF_ALARMS).exit_code == 0
    return path


@pytest.fixture
def healthy(home):
    """A new healthy recording, which the model has not heard."""
    path = home / "new day.wav"
    soundfile.write(path, make_recording("pump", seed=777, duration=2), RATE)
    return path


@pytest.fixture
def faulty(home):
    return home / "faulty" / "leak hiss" / "pump leak hiss 1.wav"


def run(*arguments, **options):
    return CliRunner().invoke(program, list(map(str, arguments)), **options)


def is_one_line(text):
    return text.startswith("skasd: ") and text.count("\n") == 1


def test_check_finds_the_useless_ones(home):
    assert run("check", home / "healthy").exit_code == 0
    done = run("check", home / "useless", home / "healthy", "--reference", home / "healthy")
    assert done.exit_code == 2
    assert "silent.wav: silent" in done.stdout
    assert "notes.wav: unreadable" in done.stdout


def test_train_leaves_useless_ones_out_and_says_what_was_learned(home, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(home / "healthy", both)
    shutil.copytree(home / "useless", both / "useless")
    done = run("train", both, "-o", tmp_path / "both.skasd", *RATE_OF_ALARMS, "--summary", "3")
    assert done.exit_code == 0
    assert "left out" in done.stderr
    assert "silent.wav" in done.stderr
    assert "12 healthy recordings" in run("info", tmp_path / "both.skasd").stdout
    assert {path.name for path in tmp_path.iterdir()} == {"both", "both.skasd"}


def test_the_exit_status_of_score_is_the_verdict(home, model, healthy, faulty):
    silent = home / "useless" / "silent.wav"
    assert run("score", model, healthy).exit_code == 0
    assert run("score", model, healthy, faulty).exit_code == 1
    assert run("score", model, healthy, silent).exit_code == 2
    assert run("score", model, silent, faulty).exit_code == 1
    assert run("score", model, home / "nowhere.wav").exit_code == 2
    done = run("score", model, home / "useless")
    assert done.stdout.splitlines()[0].startswith("not judged  ")
    assert len(done.stdout.splitlines()) == 2


def test_tables_of_score_hold_what_the_detector_says(home, model, healthy, faulty, tmp_path):
    files, table, objects = [healthy, faulty, home / "useless" / "silent.wav"], tmp_path / "a.csv", tmp_path / "a.json"
    assert run("score", model, *files, "--csv", table, "--json", objects).exit_code == 1
    records = json.loads(objects.read_text())
    assert [record["verdict"] for record in records] == ["normal", "alarm", "not judged"]
    detector = RecordingDetector(false_alarm_rate=0.1).fit(home / "healthy")
    span = detector.locate(faulty)[0]
    assert [record["score"] for record in records] == [*detector.score_samples(files[:2]), None]
    assert [record["p_value"] for record in records[:2]] == list(detector.p_values(files[:2]))
    assert (records[1]["start"], records[1]["end"], records[1]["threshold"]) == (
        span.start,
        span.end,
        detector.offsets_[""],
    )
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [str(path) for path in files]
    assert [row["score"] for row in rows] == [str(record["score"] or "") for record in records]


def test_sections_come_from_folders_and_from_names(home, tmp_path):
    machines = tmp_path / "machines"
    for number, path in enumerate(sorted((home / "healthy").iterdir())[:12]):
        (machines / f"pump {number % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(path, machines / f"pump {number % 2}")
    for rule in ("parent", "pump ([01])/"):
        model = tmp_path / "two.skasd"
        done = run("train", machines, "-o", model, "--section-from", rule, "--false-alarm-rate", ".2", "--force")
        assert done.exit_code == 0
        assert "section pump 0" in done.stdout or "section 0" in done.stdout
    copy = machines / "pump 0" / "new.wav"
    soundfile.write(copy, make_recording("pump", seed=778, duration=2), RATE)
    assert run("score", model, copy, "--section-from", "pump ([01])/").exit_code in (0, 1)
    assert "No model" in run("score", model, copy).stdout
    assert run("score", model, copy).exit_code == 2


REFUSED = {
    "an output that exists": ["train", "{home}/healthy", "-o", "{model}"],
    "an output in no folder": ["train", "{home}/healthy", "-o", "{home}/none/a.skasd"],
    "update in place": ["update", "{model}", "{home}/healthy"],
    "a table that exists": ["score", "{model}", "{home}/healthy", "--csv", "{model}"],
    "no such model": ["score", "{home}/none.skasd", "{home}/healthy"],
    "a model that is none": ["score", "{home}/useless/notes.wav", "{home}/healthy"],
    "no such folder": ["train", "{home}/none", "-o", "{home}/a.skasd"],
    "a folder without audio": ["train", "{home}/faulty/leak hiss/../../empty", "-o", "{home}/a.skasd"],
    "only useless ones": ["train", "{home}/useless", "-o", "{home}/a.skasd"],
    "an unknown command": ["frobnicate"],
    "an unknown option": ["train", "{home}/healthy", "--frobnicate"],
    "an unknown option of the program": ["--frobnicate"],
    "a missing argument": ["score"],
    "a rate that is none": ["train", "{home}/healthy", "-o", "{home}/a.skasd", "--false-alarm-rate", "2"],
    "a summary that is none": ["train", "{home}/healthy", "-o", "{home}/a.skasd", "--summary", "best"],
    "a section that no pattern finds": ["train", "{home}/healthy", "-o", "{home}/a.skasd", "--section-from", "(x)"],
    "two sources": ["listen", "{model}", "-", "--file", "{home}/useless/silent.wav"],
    "another source": ["listen", "{model}", "{home}/useless/silent.wav"],
    "no audio to listen to": ["listen", "{model}", "--file", "{home}/useless/notes.wav"],
    "an unknown section": ["listen", "{model}", "--file", "{home}/useless/silent.wav", "--section", "x"],
    "a log that is a folder": ["watch", "{model}", "{home}", "--log", "{home}", "--once"],
}


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_one_line_and_changes_nothing(home, model, arguments):
    (home / "empty").mkdir(exist_ok=True)
    before = model.read_bytes()
    done = run(*(text.format(home=home, model=model) for text in arguments))
    assert done.exit_code == 2
    assert is_one_line(done.stderr.splitlines(keepends=True)[-1])
    assert "Traceback" not in done.output
    assert model.read_bytes() == before
    assert not (home / "a.skasd").exists()


def test_a_missing_microphone_is_one_line(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = run("listen", model)
    assert done.exit_code == 2
    assert "skasd[live]" in done.stderr.splitlines()[-1]


def test_update_takes_new_recordings_in(home, model, tmp_path):
    autumn = tmp_path / "autumn"
    autumn.mkdir()
    for seed in range(3):
        soundfile.write(autumn / f"{seed}.wav", make_recording("pump", seed=900 + seed, duration=2), RATE)
    new = tmp_path / "new.skasd"
    assert run("update", model, autumn, "-o", new).exit_code == 0
    assert "15 healthy recordings" in run("info", new).stdout
    assert "12 healthy recordings" in run("info", model).stdout
    assert run("update", new, home / "healthy", "--force").exit_code == 0
    assert "update: 0 new" in run("info", new).stdout  # it knows them


def test_a_pickle_runs_nothing(home, tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "it ran"),)

    (tmp_path / "pump.skasd").write_bytes(pickle.dumps(Hostile()))
    done = run("score", tmp_path / "pump.skasd", home / "healthy")
    assert done.exit_code == 2
    assert is_one_line(done.stderr)
    assert not (tmp_path / "it ran").exists()


def test_watch_judges_once_what_is_complete(model, healthy, faulty, tmp_path):
    inbox, log = tmp_path / "inbox", tmp_path / "log.jsonl"
    inbox.mkdir()
    watch = ["watch", model, inbox, "--log", log, "--interval", "0.3", "--once"]
    assert run(*watch).exit_code == 0
    shutil.copy(healthy, inbox)
    assert run(*watch).exit_code == 0
    assert run(*watch).stdout == ""  # it is in the log
    shutil.copy(faulty, inbox)
    done = run(*watch)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 1
    with open(log, "a") as file:
        file.write('{"path": "half of a li')  # as a kill leaves it
    shutil.copy(healthy, inbox / "again.wav")
    done = run(*watch)
    assert "1 of 3 lines" in done.stderr
    assert "again.wav" in done.stdout
    lines = log.read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in lines[:2] + lines[3:]] == ["normal", "alarm", "normal"]


def test_files_that_grow_are_left_until_they_are_complete(model, healthy, tmp_path):
    content = healthy.read_bytes()
    growing = tmp_path / "growing.wav"
    growing.write_bytes(b"")

    def write():
        for part in range(10):
            with open(growing, "ab") as file:
                file.write(content[part * len(content) // 10 : (part + 1) * len(content) // 10])
            time.sleep(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    done = run("watch", model, tmp_path, "--interval", "0.4", "--once")
    assert done.stdout == ""
    writer.join()
    assert run("watch", model, tmp_path, "--interval", "0.1", "--once").stdout.startswith("normal")


def test_listen_to_a_file_says_events(model, healthy, faulty, tmp_path):
    assert run("listen", model, "--file", healthy, "-k", "4").exit_code == 0
    both = tmp_path / "both.wav"
    soundfile.write(both, np.concatenate([soundfile.read(path)[0] for path in (healthy, faulty, healthy)]), RATE)
    done = run("listen", model, "--file", both, "--json", "-k", "4")
    assert done.exit_code == 1
    alarm, *_ = map(json.loads, done.stdout.splitlines())
    assert alarm["kind"] == "alarm"
    assert 1.5 <= alarm["start"] <= 2.5


def test_from_recordings_to_an_alarm_in_the_shell(home, tmp_path):
    """As a user types it, in a process of its own each."""
    pytest.importorskip("onnxscript")
    script = """
        set -u
        skasd() { "$PYTHON" -m skasd "$@"; }
        skasd check healthy || exit 10
        skasd train healthy -o "$OUT/pump one.skasd" --false-alarm-rate 0.1 || exit 11
        skasd score "$OUT/pump one.skasd" faulty --csv "$OUT/a.csv"; [ $? = 1 ] || exit 12
        cat "faulty/leak hiss/pump leak hiss 1.wav" | skasd listen "$OUT/pump one.skasd" -; [ $? = 1 ] || exit 13
        skasd watch "$OUT/pump one.skasd" faulty --once --log "$OUT/log.jsonl"; [ $? = 1 ] || exit 14
        skasd report "$OUT/pump one.skasd" faulty -o "$OUT/report.html" || exit 15
        skasd update "$OUT/pump one.skasd" healthy -o "$OUT/later.skasd" || exit 16
        skasd export "$OUT/later.skasd" -o "$OUT/pump.onnx" || exit 17
        skasd info "$OUT/later.skasd" || exit 18
    """
    environment = {**os.environ, "PYTHON": sys.executable, "OUT": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(["sh", "-c", script], cwd=home, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alarm, " in done.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["listen", "--help"], ["train", "--help"]])
def test_help_is_light(arguments):
    heavy = "{'torch', 'matplotlib', 'librosa', 'pandas', 'sklearn', 'scipy', 'skorch', 'joblib', 'numpy'}"
    code = f"import sys; from skasd.command import program; sys.argv[1:] = {arguments}; "
    code += f"import atexit; atexit.register(lambda: print('loaded', {heavy} & set(sys.modules))); program()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "skasd" in done.stdout
    assert done.stdout.splitlines()[-1] == "loaded set()"


def test_every_command_shows_an_example():
    for name, command in program.commands.items():
        lines = run(name, "--help").stdout.splitlines()
        assert any(line.strip().startswith(f"skasd {name} ") for line in lines) or name == "listen", command
        assert "\\b" not in "".join(lines)


def test_commands_of_the_page(home, healthy, faulty, tmp_path, monkeypatch):
    """Those of its blocks that end by themselves, from top to bottom."""
    page = Path(__file__).parents[1] / "docs" / "howto" / "command.md"
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    commands = [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]
    assert len(commands) >= 10
    pytest.importorskip("onnxscript")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(home / "healthy", "healthy")
    for number, folder in enumerate(["machines/1", "machines/2", "machines/1", "machines/2"] * 3):
        os.makedirs(folder, exist_ok=True)
        shutil.copy(home / "healthy" / f"pump day {number + 1}.wav", folder)
    for number, folder in enumerate(["today", "inbox", "autumn"]):
        os.mkdir(folder)
        soundfile.write(f"{folder}/new.wav", make_recording("pump", seed=1700 + number, duration=2), RATE)
    shutil.copy(faulty, "today")
    for command in commands:
        if command[0] != "watch" or "--once" in command:
            done = run(*command)
            assert done.exit_code in ([1] if command[:3] == ["score", "pump.skasd", "today/"] else [0, 1]), done.output
    assert {"pump.onnx", "pump.skasd", "pump-autumn.skasd", "today.csv", "today.json", "verdicts.jsonl"} <= set(
        os.listdir()
    )


def test_report_is_written_where_nothing_is(home, model, tmp_path, monkeypatch):
    from skasd import monitoring

    def write_report(detector, recordings, path):
        path.write_text(f"{len(recordings)} recordings")

    monkeypatch.setattr(monitoring, "write_report", write_report, raising=False)
    report = ["report", model, home / "healthy", "-o", tmp_path / "report.html"]
    assert [run(*report).exit_code, run(*report).exit_code, run(*report, "--force").exit_code] == [0, 2, 0]
    assert (tmp_path / "report.html").read_text() == "12 recordings"


def test_what_is_read_is_never_written_to(home, model, healthy):
    before = [path.read_bytes() for path in (model, healthy)]
    for target in (model, healthy):
        for command in (
            ["score", model, healthy, "--csv", target],
            ["score", model, healthy, "--json", target],
            ["export", model, "-o", target],
            ["report", model, home / "healthy", "-o", target],
            ["watch", model, home / "healthy", "--once", "--log", target],
        ):
            found = run(*command, *["--force"][: command[0] != "watch"])
            assert (found.exit_code, is_one_line(found.stderr)) == (2, True)
    assert run("train", home / "healthy", "-o", healthy, "--force").exit_code == 2
    assert run("update", model, home / "healthy", "-o", healthy, "--force").exit_code == 2
    assert [path.read_bytes() for path in (model, healthy)] == before


def test_two_tables_are_not_one_file(model, healthy, tmp_path):
    found = run("score", model, healthy, "--csv", tmp_path / "one", "--json", tmp_path / "one", "--force")
    assert (found.exit_code, is_one_line(found.stderr)) == (2, True)
    assert not (tmp_path / "one").exists()
