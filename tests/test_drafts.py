"""Drafts and locks: whole or not at all, nothing overwritten, nothing left of what has been killed."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from skasd._drafts import check_file_name, draft_folder, locked, move_new, remove_abandoned


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def writer(tmp_path):
    """Another process that holds a draft."""
    code = (
        "import sys, time; from pathlib import Path; from skasd._drafts import draft_folder\n"
        "with draft_folder(Path(sys.argv[1])) as draft:\n"
        "    (draft / 'content').write_text('theirs')\n"
        "    print('ready', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"ready"
    yield process
    process.kill()
    process.communicate()


def test_a_draft_goes_when_it_is_done_and_when_it_fails(tmp_path):
    with draft_folder(tmp_path / "new" / "folder") as draft:
        (draft / "content").write_text("mine")
        assert draft.parent == tmp_path / "new" / "folder"
    with pytest.raises(KeyboardInterrupt), draft_folder(tmp_path) as draft:
        (draft / "content").write_text("mine")
        raise KeyboardInterrupt
    assert names_in(tmp_path) == ["new"] and names_in(tmp_path / "new" / "folder") == []


def test_drafts_of_the_living_stay_and_those_of_the_killed_go(tmp_path, writer):
    for name in (".writing-notes", ".writing-more than that", "writing-abcdefgh"):
        (tmp_path / name).mkdir()
    with draft_folder(tmp_path):
        (theirs,) = tmp_path.glob(".writing-*/content")
    assert theirs.read_text() == "theirs"
    writer.kill()
    writer.wait()
    assert theirs.exists()
    with draft_folder(tmp_path):
        assert not theirs.exists()
    assert names_in(tmp_path) == [".writing-more than that", ".writing-notes", "writing-abcdefgh"]


def test_a_lock_is_held_by_one(tmp_path, writer):
    (theirs,) = tmp_path.glob(".writing-*/")
    with pytest.raises(TimeoutError), locked(theirs, timeout=0):
        pass
    writer.send_signal(signal.SIGTERM)
    with locked(theirs, timeout=60) as has_lock:
        assert has_lock
    assert not os.path.exists(f"{theirs}.lock")


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), NotImplementedError()], ids=repr)
def test_file_systems_without_locks(tmp_path, monkeypatch, error):
    """One can write, and nobody's drafts are removed, for they may be alive."""

    def acquire(*_):
        raise error

    monkeypatch.setattr(filelock.FileLock, "acquire", acquire)
    (tmp_path / ".writing-abcdefgh").mkdir()
    remove_abandoned(tmp_path)
    with draft_folder(tmp_path) as draft:
        (draft / "a").write_text("mine")
        move_new(draft / "a", tmp_path / "a")
    assert names_in(tmp_path) == [".writing-abcdefgh", "a"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="of Linux")
def test_a_file_system_that_takes_no_files_is_no_wait_for_ever(monkeypatch):
    monkeypatch.setattr("skasd._drafts._PATIENCE", 0.2)
    with pytest.raises(OSError), draft_folder(Path("/proc")):
        pass


def test_a_full_disk_says_where(tmp_path):
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}'"), draft_folder(tmp_path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestMove:
    @pytest.fixture(params=["file", "folder"])
    def draft(self, tmp_path, request):
        draft = tmp_path / "draft"
        if request.param == "folder":
            draft.mkdir()
            (draft / "content").write_text("new")
        else:
            draft.write_text("new")
        return draft

    def test_to_a_free_place(self, draft, tmp_path):
        was_folder = draft.is_dir()
        move_new(draft, tmp_path / "target")
        assert (tmp_path / "target").is_dir() == was_folder
        assert (tmp_path / "target" / "content" if was_folder else tmp_path / "target").read_text() == "new"

    @pytest.mark.parametrize("there", ["file", "empty folder", "folder", "broken link"])
    def test_nothing_is_overwritten(self, draft, tmp_path, there):
        target = tmp_path / "target"
        if there == "file":
            target.write_text("mine")
        elif there == "broken link":
            target.symlink_to(tmp_path / "nowhere")
        else:
            target.mkdir()
        if there == "folder":
            (target / "content").write_text("mine")
        with pytest.raises(FileExistsError, match="target' exists, and is not overwritten"):
            move_new(draft, target)
        assert draft.exists() and os.path.lexists(target)
        content = {"file": target, "folder": target / "content"}.get(there)
        assert content is None or content.read_text() == "mine"

    def test_what_appears_in_the_last_moment_is_not_overwritten(self, tmp_path, monkeypatch):
        (tmp_path / "draft").write_text("new")
        (tmp_path / "target").write_text("mine")
        exists = iter([False, True])
        monkeypatch.setattr(os.path, "lexists", lambda path: next(exists))
        with pytest.raises(FileExistsError, match="target' exists"):
            move_new(tmp_path / "draft", tmp_path / "target")
        assert (tmp_path / "target").read_text() == "mine"

    def test_without_hard_links(self, tmp_path, monkeypatch):
        def deny(*_):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", deny)
        (tmp_path / "draft").write_text("new")
        move_new(tmp_path / "draft", tmp_path / "target")
        assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("name", ["fan", "ToyCar", "..fan", "fan é", "console", "a b", "x" * 255, "fan+"])
def test_names_that_every_system_can_have(name):
    check_file_name(name, "The machine")


@pytest.mark.parametrize("name", [
    "", " ", ".", "..", "a/b", "a\\b", "a:b", "a*", "a\0b", "a\nb", "con", "NUL.txt", "fan.", "fan ", "x" * 256,
    "é" * 128, "\udcff",
])  # fmt: skip
def test_names_that_some_system_cannot_have(name):
    with pytest.raises(ValueError, match="The machine cannot name a file"):
        check_file_name(name, "The machine")
