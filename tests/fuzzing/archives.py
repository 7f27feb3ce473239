"""Zips of a machine as a server sends them: whole, damaged, and made to write where they must not."""

import hashlib
import io
import json
import struct
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import numpy as np
from hypothesis import strategies as st

from fuzzing.drawing import mostly
from fuzzing.judging import Sparing, check
from skasd.datasets import _fetch, fetch_dcase

RECORD = 6355122
FILES = {"fan/train/a.wav": b"RIFF" * 9, "fan/test/b.wav": bytes(99), "fan/attributes_00.csv": b"file_name\n"}
MEMBERS = ("../outside.wav", "/outside.wav", "fan/../../outside.wav", "..\\outside.wav", "C:\\outside.wav",
           "fan/./c.wav", "fan//d.wav", "fan", "fan/train", "fan/train/a.wav", "fan/a\0b.wav", "fan/é.wav",
           "fan/" + "x" * 300, "fan/" + "d/" * 300 + "e.wav", "pump/train/a.wav", "__MACOSX/fan/._a.wav", "fan/CON",
           "fan/train/", " fan/x.wav", "fan /x.wav", "")  # fmt: skip
MODES = (0o100644, 0o120777, 0o010644, 0o020644, 0o060644, 0o140644, 0o104777, 0, 0o040755)
DAMAGES = ("none", "cut", "flip", "empty", "no zip", "encrypted", "method", "crc", "size", "junk before", "comment")
RECORDS = ("none", "other md5", "no md5", "no files", "list", "html", "size 0", "size huge", "size text", "no link",
           "bad name", "status 500", "status 404", "null")  # fmt: skip


@dataclass(frozen=True, repr=False)
class Case(Sparing):
    """An archive with more members than it should have, and how it and its record are damaged."""

    members: tuple = ()
    damage: str = "none"
    seed: int = 0
    record: str = "none"
    there: str = ""

    @property
    def names(self):
        """What a message must name."""
        return ("dev_fan.zip", "127.0.0.1", "fan")


def cases():
    """Archives that are damaged in one or two ways."""
    member = st.tuples(st.sampled_from(MEMBERS), mostly([0o100644], MODES))
    return st.builds(
        Case,
        st.lists(member, max_size=2).map(tuple),
        mostly(["none"], DAMAGES),
        st.integers(0, 99),
        mostly(["none"], RECORDS),
        mostly([""], ["file", "part", "whole part", "long part", "link"]),
    )


def law(case):
    """The machine's folder is whole or not there; nothing is ever written outside, and nothing is left behind."""
    with tempfile.TemporaryDirectory() as parent:
        home = Path(parent, "home")
        folder = home / "dcase2022" / "development" / "fan"
        data = _archive(case)
        _put(case, folder, data)
        server = _server()
        server.record, server.data = _record(case, data, server), data
        server.status = int(case.record.removeprefix("status ")) if case.record.startswith("status") else 200
        try:
            with patch.object(_fetch, "_PAUSE", 0):
                fetch_dcase(2022, "fan", data_home=home, progress=False, api_url=server.url)
        except Exception:
            check(not folder.is_dir() or case.there == "link", "a folder is left by what failed")
            raise
        finally:
            outside = {path.name for path in Path(parent).iterdir()} - {"home"}
            check(not outside and not Path("/outside.wav").exists(), f"written outside: {outside}")
            left = [path.name for path in folder.parent.glob(".*") if path.is_dir()]
            check(not left, f"left behind: {left}")
        for name, content in FILES.items():
            found = (folder.parent / name).read_bytes() if (folder.parent / name).is_file() else None
            replaced = any(member == name for member, _ in case.members)
            check(found == content or replaced, f"{name} holds {found!r:.40}")


def _archive(case):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
        for name, mode in case.members:
            info = zipfile.ZipInfo("x")
            info.filename, info.external_attr = name, mode << 16
            file.writestr(info, b"../../outside.wav" if mode == 0o120777 else b"more")
    return bytes(_damage(bytearray(buffer.getvalue()), case.damage, case.seed))


def _damage(data, name, seed):
    rng = np.random.default_rng(seed)
    central = data.find(b"PK\x01\x02")
    if name == "cut":
        return data[: rng.integers(len(data))]
    if name == "flip":
        for at in rng.integers(0, len(data), 3):
            data[at] = rng.integers(256)
    if name in ("empty", "no zip"):
        return {"empty": bytearray(), "no zip": bytearray(b"<html>busy</html>")}[name]
    if name == "junk before":
        return rng.bytes(30) + data
    if name == "comment":
        return data + rng.bytes(30)
    at, packed = {"encrypted": (8, struct.pack("<H", 1)), "method": (10, struct.pack("<H", 97)),
                  "crc": (16, bytes(4)), "size": (24, struct.pack("<I", 2**31)), }.get(name, (0, b""))  # fmt: skip
    data[central + at : central + at + len(packed)] = packed
    return data


def _record(case, data, server):
    link = f"{server.url}/content"
    md5 = "0" * 32 if case.record == "other md5" else hashlib.md5(data).hexdigest()
    size = {"size 0": 0, "size huge": 10**18, "size text": "many"}.get(case.record, len(data))
    name = "anything.zip" if case.record == "bad name" else "dev_fan.zip"
    file = {"key": name, "size": size, "checksum": f"md5:{md5}", "links": {"self": link}}
    if case.record in ("no md5", "no link"):
        del file[{"no md5": "checksum", "no link": "links"}[case.record]]
    whole = {"no files": {}, "list": [], "null": None}.get(case.record, {"files": [file]})
    return b"<html>" if case.record == "html" else json.dumps(whole).encode()


def _put(case, folder, data):
    """What an earlier call, or somebody else, has left there."""
    if not case.there:
        return
    folder.parent.mkdir(parents=True)
    if case.there == "file":
        folder.write_bytes(b"no folder")
    elif case.there == "link":
        folder.symlink_to("nothing")
    else:
        part = {"part": data[: len(data) // 2], "whole part": data, "long part": data + b"more"}[case.there]
        (folder.parent / "dev_fan.zip.part").write_bytes(part)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        is_record = self.path == f"/{RECORD}"
        body = self.server.record if is_record else self.server.data
        self.send_response(self.server.status if is_record else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@cache
def _server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads, server.url = True, f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
