import errno
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import soundfile

from skasd.datasets import _fetch, fetch_dcase, load_dcase

RECORD = "6355122"


class Zenodo(ThreadingHTTPServer):
    """A record with its files, on localhost, that can be made to misbehave."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {}  # name -> bytes
        self.checksums = {}  # name -> MD5, where it is not that of the bytes
        self.cuts = []  # for each answer to come, the bytes of its body after which the connection is cut
        self.statuses = []  # for each answer to come, its status
        self.ranges = True  # whether byte ranges are known
        self.chunked = False  # whether bodies come without their length
        self.requests = []  # (path, range) of each request

    @property
    def api_url(self):
        return f"http://127.0.0.1:{self.server_port}/api/records"

    def record(self):
        return [
            {
                "key": name,
                "size": len(body),
                "checksum": "md5:" + self.checksums.get(name, hashlib.md5(body).hexdigest()),
                "links": {"self": f"{self.api_url}/{RECORD}/files/{name}/content"},
            }
            for name, body in self.files.items()
        ]

    def downloads(self):
        return [asked for path, asked in self.requests if path.endswith("/content")]

    def handle_error(self, request, client_address):
        pass  # a client that gives up is no news


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append((self.path, self.headers["Range"]))
        if self.server.statuses:
            return self.answer(self.server.statuses.pop(0), b"busy")
        if self.path == f"/api/records/{RECORD}":
            return self.answer(200, json.dumps({"files": self.server.record()}).encode())
        body = self.server.files.get(self.path.split("/")[-2])
        if body is None:
            return self.answer(404, b"{}")
        cut = self.server.cuts.pop(0) if self.server.cuts else None
        if self.headers["Range"] and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", self.headers["Range"])[1])
            return self.answer(206, body[start:], cut)
        return self.answer(200, body, cut)

    def answer(self, status, body, cut=None):
        self.send_response(status)
        if not self.server.chunked:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:cut])

    def log_message(self, *args):
        pass


@pytest.fixture
def zenodo(monkeypatch):
    monkeypatch.setattr(_fetch, "_PAUSE", 0.0)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with Zenodo() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def make_zip(machine, split="train", extra=()):
    """A zip as the challenge packs it; noise does not compress, so there is something to cut."""
    buffer = io.BytesIO()
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for i in range(3):
            sound = io.BytesIO()
            soundfile.write(sound, rng.uniform(-1, 1, 50_000), 16_000, format="WAV")
            file.writestr(f"{machine}/{split}/section_00_source_{split}_normal_{i:04}_vel_{i}.wav", sound.getvalue())
        for member, content in extra:
            file.writestr(member, content)
    return buffer.getvalue()


FAN = make_zip("fan")


@pytest.fixture
def fetch(zenodo, tmp_path):
    """fetch_dcase from the server on localhost, which has a fan."""
    zenodo.files["dev_fan.zip"] = FAN

    def call(machine="fan", year=2022, **options):
        return fetch_dcase(year, machine, data_home=tmp_path, api_url=zenodo.api_url, **options)

    return call


def left_behind(tmp_path):
    return sorted(path.name for path in (tmp_path / "dcase2022" / "development").iterdir())


def assert_whole(folder):
    with zipfile.ZipFile(io.BytesIO(FAN)) as file:
        contents = {name: file.read(name) for name in file.namelist()}
    made = {f"fan/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*.wav")}
    assert made == contents


def test_whole_download(fetch, tmp_path):
    folder = fetch()
    assert folder == tmp_path / "dcase2022" / "development" / "fan"
    assert_whole(folder)
    assert left_behind(tmp_path) == ["fan"]
    clips = load_dcase(folder)
    assert clips["attribute"].tolist() == ["vel_0", "vel_1", "vel_2"]
    assert soundfile.info(clips["path"][0]).frames == 50_000


def test_second_call_asks_nothing(fetch, zenodo):
    folder = fetch()
    zenodo.requests.clear()
    assert fetch() == folder
    assert zenodo.requests == []


def test_cut_connection_is_continued_by_the_next_attempt(fetch, zenodo):
    zenodo.cuts = [150_000, 100_000]
    assert_whole(fetch())
    first, second, third = zenodo.downloads()
    assert first is None
    assert 0 < int(second[6:-1]) <= 150_000  # all but the chunk under way
    assert int(second[6:-1]) < int(third[6:-1]) <= int(second[6:-1]) + 100_000


def test_cut_connection_is_continued_by_the_next_call(fetch, zenodo, tmp_path):
    zenodo.cuts = [150_000] + [0] * 4
    with pytest.raises(ConnectionError, match=rf"cut 5 times.* of {len(FAN)} bytes are there; call again to continue"):
        fetch()
    assert left_behind(tmp_path) == ["dev_fan.zip.part"]
    kept = (tmp_path / "dcase2022" / "development" / "dev_fan.zip.part").stat().st_size
    zenodo.requests.clear()
    assert_whole(fetch())
    assert zenodo.downloads() == [f"bytes={kept}-"]


def test_cut_connection_without_a_length_is_noticed(fetch, zenodo):
    zenodo.chunked = True
    zenodo.cuts = [150_000]
    assert_whole(fetch())
    assert zenodo.downloads() == [None, "bytes=150000-"]


def test_server_without_ranges_begins_again(fetch, zenodo):
    zenodo.ranges = False
    zenodo.cuts = [150_000]
    assert_whole(fetch())
    assert len(zenodo.downloads()) == 2


def test_busy_server_is_asked_again(fetch, zenodo):
    zenodo.statuses = [503, 429]
    assert_whole(fetch())
    assert len(zenodo.requests) == 4


def test_server_that_stays_broken(fetch, zenodo):
    zenodo.statuses = [500] * 4
    with pytest.raises(ConnectionError, match=r"Could not read the list of files at .*6355122: 500 Server Error"):
        fetch()
    assert zenodo.statuses == []


def test_nobody_answers(zenodo, tmp_path):
    zenodo.server_close()
    with pytest.raises(ConnectionError, match=r"Could not read the list of files at .* give its unpacked folder"):
        fetch_dcase(2022, "fan", data_home=tmp_path, api_url=zenodo.api_url)


def test_file_that_is_gone(fetch, zenodo, monkeypatch):
    listed = zenodo.record()
    monkeypatch.setattr(zenodo, "record", lambda: listed)
    zenodo.files.clear()
    with pytest.raises(ConnectionError, match=r"Could not download .*dev_fan.zip/content: 404"):
        fetch()
    assert len(zenodo.downloads()) == 1  # no second attempt


def test_answer_that_is_no_record(fetch, zenodo, monkeypatch):
    monkeypatch.setattr(zenodo, "record", lambda: [{"name": "dev_fan.zip"}])
    with pytest.raises(ValueError, match=r"did not answer with a Zenodo record and its files: KeyError\('key'\)"):
        fetch()


def test_wrong_checksum_keeps_nothing(fetch, zenodo, tmp_path):
    zenodo.checksums["dev_fan.zip"] = "0" * 32
    with pytest.raises(
        ValueError, match=rf"arrived with the MD5 sum {hashlib.md5(FAN).hexdigest()}, Zenodo lists 0{{32}}"
    ):
        fetch()
    assert left_behind(tmp_path) == []
    zenodo.checksums.clear()
    assert_whole(fetch())


def test_damaged_beginning_is_found_out(fetch, tmp_path):
    part = tmp_path / "dcase2022" / "development" / "dev_fan.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\0" * 1000)
    with pytest.raises(ValueError, match=r"MD5 .* The download has been removed: call again"):
        fetch()
    assert_whole(fetch())


@pytest.mark.parametrize("excess", [0, 7])
def test_part_that_is_as_long_or_longer(fetch, zenodo, tmp_path, excess):
    part = tmp_path / "dcase2022" / "development" / "dev_fan.zip.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(FAN + b"\0" * excess)
    assert_whole(fetch())
    assert len(zenodo.downloads()) == (excess > 0)


class FullDisk(io.FileIO):
    """A file on a disk that has room for 100 kB."""

    def write(self, data):
        if self.tell() + len(data) > 100_000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_full_disk_while_downloading(fetch, zenodo, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(_fetch, "open", FullDisk, raising=False)
        with pytest.raises(
            OSError, match=r"The disk is full: dev_fan.zip needs about .* MB in .*another data_home"
        ) as caught:
            fetch()
    assert caught.value.errno == errno.ENOSPC
    assert left_behind(tmp_path) == ["dev_fan.zip.part"]
    assert_whole(fetch())
    assert zenodo.downloads() == [None, "bytes=65536-"]


def full_disk(source, target, length=0):
    target.write(source.read(1000))
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(source, target, length=0):
    if "0001" in target.name:
        raise KeyboardInterrupt
    target.write(source.read())


@pytest.mark.parametrize(("copy", "error", "message"), [
    (full_disk, OSError, "The disk is full: dev_fan.zip"), (interrupt, KeyboardInterrupt, None),
])  # fmt: skip
def test_unpacking_that_ends_early(fetch, zenodo, tmp_path, monkeypatch, copy, error, message):
    with monkeypatch.context() as patch:
        patch.setattr(zipfile.shutil, "copyfileobj", copy)
        with pytest.raises(error, match=message):
            fetch()
    assert left_behind(tmp_path) == ["dev_fan.zip.part"]
    assert_whole(fetch())
    assert len(zenodo.downloads()) == 1


def test_other_errors_of_the_disk_are_not_called_full(fetch, monkeypatch):
    def deny(*args):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(zipfile.shutil, "copyfileobj", deny)
    with pytest.raises(PermissionError, match="Permission denied"):
        fetch()


def run_python(code, *arguments):
    """Run code in another process, in which the pauses between attempts are none."""
    head = "import os, signal, sys\nfrom skasd.datasets import _fetch, fetch_dcase\n_fetch._PAUSE = 0.0\n"
    command = [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are made by fork")
def test_many_processes_fetch_one_machine(fetch, zenodo, tmp_path):
    zenodo.cuts = [150_000]
    code = """
        def attempt():
            try:
                fetch_dcase(2022, "fan", data_home=sys.argv[1], api_url=sys.argv[2])
                return 0
            except BaseException as error:
                print(repr(error), file=sys.stderr)
                return 1

        start, begin = os.pipe()
        children = []
        for _ in range(8):
            children.append(os.fork())
            if not children[-1]:
                os.close(begin)
                os.read(start, 1)  # all at once, when the parent has closed the other end
                os._exit(attempt())
        os.close(begin)
        sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
    """
    done = run_python(code, tmp_path, zenodo.api_url)
    assert done.returncode == 0, done.stderr
    assert_whole(tmp_path / "dcase2022" / "development" / "fan")
    assert left_behind(tmp_path) == ["fan"]
    assert len(zenodo.downloads()) == 2  # that which was cut, and its rest
    assert "Waiting for another process that fetches fan" in done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills otherwise")
@pytest.mark.parametrize("moment", ["before", "after"])
def test_what_a_kill_leaves_behind_is_removed_by_the_next_call(fetch, zenodo, tmp_path, moment):
    """Killed just before or just after the machine's folder has come to its place."""
    code = """
        move = _fetch.move_new

        def die(draft, target):
            if sys.argv[3] == "after":
                move(draft, target)
            os.kill(os.getpid(), signal.SIGKILL)

        _fetch.move_new = die
        fetch_dcase(2022, "fan", data_home=sys.argv[1], api_url=sys.argv[2])
    """
    assert run_python(code, tmp_path, zenodo.api_url, moment).returncode == -signal.SIGKILL
    assert len(left_behind(tmp_path)) == 4 + (moment == "after")  # the download, a draft, a lock of each, the folder
    assert_whole(fetch())
    assert left_behind(tmp_path) == ["fan"]
    assert len(zenodo.downloads()) == 1


def test_files_of_others_stay(fetch, tmp_path):
    home = tmp_path / "dcase2022" / "development"
    home.mkdir(parents=True)
    for name in ("dev_valve.zip.part", ".fan-notes.txt", "fan.zip", "mine.zip.part"):
        (home / name).write_text("mine")
    fetch()
    fetch()
    assert left_behind(tmp_path) == sorted(["dev_valve.zip.part", ".fan-notes.txt", "fan.zip", "mine.zip.part", "fan"])


def test_a_file_in_the_place_of_the_folder(fetch, zenodo, tmp_path):
    home = tmp_path / "dcase2022" / "development"
    home.mkdir(parents=True)
    (home / "fan").write_text("mine")
    with pytest.raises(FileExistsError, match="fan' is no folder"):
        fetch()
    assert (home / "fan").read_text() == "mine"
    assert zenodo.requests == []


def test_answer_that_does_not_end(fetch, zenodo, tmp_path):
    listed = zenodo.record()
    listed[0]["size"] = 1000
    zenodo.record = lambda: listed
    with pytest.raises(ValueError, match=r"dev_fan.zip arrived with the MD5 sum"):
        fetch()
    assert left_behind(tmp_path) == []


def test_another_process_is_faster(fetch, tmp_path, monkeypatch):
    unpack = _fetch._unpack

    def late(path, archive, folder):
        unpack(path, archive, folder)
        unpack(path, archive, folder)

    monkeypatch.setattr(_fetch, "_unpack", late)
    assert_whole(fetch())
    assert left_behind(tmp_path) == ["fan"]


def symlink(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    "member",
    [
        "../evil.wav",
        "fan/../../evil.wav",
        "fan\\..\\..\\evil.wav",
        "/evil.wav",
        "\\evil.wav",
        "C:\\evil.wav",
        "C:evil.wav",
        "//host/share/evil.wav",
        symlink("fan/evil.wav"),
    ],
    ids=lambda member: getattr(member, "filename", member),
)
def test_malicious_zip_is_not_unpacked(fetch, zenodo, tmp_path, member):
    zenodo.files["dev_fan.zip"] = make_zip("fan", extra=[(member, b"/etc")])
    with pytest.raises(
        ValueError, match=r"has 1 members that lead out of its folder .*evil.wav'. It has not been unpacked"
    ):
        fetch()
    assert left_behind(tmp_path) == []
    assert not list(Path(tmp_path).rglob("*evil*"))


def test_harmless_members_are_unpacked(fetch, zenodo):
    zenodo.files["dev_fan.zip"] = make_zip("fan", extra=[("fan/a..b/c.txt", b"1"), ("fan/attributes_00.csv", b"2")])
    folder = fetch()
    assert (folder / "a..b" / "c.txt").read_bytes() == b"1"
    assert (folder / "attributes_00.csv").read_bytes() == b"2"


@pytest.mark.parametrize("damage", ["cut", "text", "member"])
def test_corrupt_zip(fetch, zenodo, tmp_path, damage):
    swapped = FAN[:2000] + bytes(byte ^ 255 for byte in FAN[2000:3000]) + FAN[3000:]
    zenodo.files["dev_fan.zip"] = {"cut": FAN[:-100], "text": b"<html>no</html>", "member": swapped}[damage]
    with pytest.raises(ValueError, match=r"dev_fan.zip from http.* is not a zip file that can be unpacked"):
        fetch()
    assert left_behind(tmp_path) == []


def test_zip_of_another_machine(fetch, zenodo, tmp_path):
    zenodo.files["dev_fan.zip"] = make_zip("valve")
    with pytest.raises(ValueError, match=r"has no folder 'fan'; it holds valve"):
        fetch()
    assert left_behind(tmp_path) == []


def test_all_machines(fetch, zenodo, tmp_path):
    zenodo.files["dev_valve.zip"] = make_zip("valve")
    fetch("valve")
    zenodo.requests.clear()
    home = fetch(None)
    assert home == tmp_path / "dcase2022" / "development"
    assert left_behind(tmp_path) == ["fan", "valve"]
    assert len(zenodo.downloads()) == 1


@pytest.mark.parametrize(
    ("name", "machine"),
    [
        ("dev_data_ToyConveyor.zip", "ToyConveyor"),  # 2020, 2021
        ("eval_data_train_pump.zip", "pump"),  # 2020
        ("eval_data_test_pump.zip", "pump"),
        ("dev_fan.zip", "fan"),  # 2022 to 2025
        ("eval_data_3DPrinter_train.zip", "3DPrinter"),
        ("eval_data_3DPrinter_train_r2.zip", "3DPrinter"),  # 2024
        ("eval_data_Vacuum_test.zip", "Vacuum"),
    ],
)
def test_archives_of_every_year(name, machine):
    assert _fetch._ARCHIVE.fullmatch(name)["machine"] == machine


def test_latest_revision_is_taken(fetch, zenodo):
    zenodo.files = {"eval_data_fan_train_r2.zip": FAN, "eval_data_fan_train.zip": b"old", "readme.txt": b"no zip"}
    assert_whole(fetch())
    assert all("train.zip" not in path for path, _ in zenodo.requests)


def test_unknown_machine_lists_those_that_there_are(fetch, zenodo):
    zenodo.files["dev_ToyCar.zip"] = b""
    with pytest.raises(ValueError, match=r"DCASE 2022 has no machine 'van' in its development set; it has ToyCar, fan"):
        fetch("van")


@pytest.mark.parametrize("machine", ["../fan", "", "fan/train", "/fan", 5])
def test_machine_that_is_a_path(fetch, zenodo, machine):
    with pytest.raises(ValueError, match=r"machine must be a name such as 'fan'"):
        fetch(machine)
    assert zenodo.requests == []


def test_unknown_year_and_part(fetch, zenodo):
    with pytest.raises(ValueError, match=r"year must be one of 2020, 2021, 2022, 2023, 2024, 2025, 2026; got 2019"):
        fetch(year=2019)
    with pytest.raises(ValueError, match=r"part must be one of 'development', 'additional', 'evaluation'; got 'dev'"):
        fetch(part="dev")
    assert zenodo.requests == []


def test_every_part_has_its_own_record():
    records = [_fetch._find_record(year, part) for year in range(2020, 2026) for part in _fetch._PARTS]
    assert len(set(records)) == 18


def test_default_home_is_the_users_cache(zenodo, tmp_path, monkeypatch):
    monkeypatch.setattr(_fetch.pooch, "os_cache", lambda project: tmp_path / project)
    zenodo.files["dev_fan.zip"] = FAN
    folder = fetch_dcase(2022, "fan", api_url=zenodo.api_url)
    assert folder == tmp_path / "skasd" / "dcase2022" / "development" / "fan"


@pytest.mark.parametrize(
    ("progress", "shown"), [(True, r"dev_fan.zip: (\d+k)/\1B, 00:0\d gone, 00:00 left\n"), (False, "")]
)
def test_progress(fetch, capsys, progress, shown):
    fetch(progress=progress)
    assert re.fullmatch(shown, capsys.readouterr().err)
