"""Files that come into a folder, each once, when nobody writes them any more."""

import json
import os
import time
import warnings

from skasd._folders import possible_recordings
from skasd.command._models import as_json


class Watcher:
    """Looks into a folder every few seconds; `seen` holds the files that are known, with their states."""

    def __init__(self, folder, interval, seen):
        self.folder, self.interval, self.seen = folder, interval, set(seen)
        self._before = {}

    def skip_existing(self):
        """Leave out what is there now and is complete; what is still written is a new file."""
        self._look()
        time.sleep(self.interval)
        self.seen.update(self._look())

    def complete_files(self, once):
        """Pairs of a path and its state, of files that did not change between two looks; without an end unless `once`.

        A file that changes later is new again.
        """
        self._look()
        while True:
            time.sleep(self.interval)
            for path, state in self._look():
                if (path, state) not in self.seen:
                    self.seen.add((path, state))
                    yield path, state
            if once:
                return

    def _look(self):
        """The files whose states are those of the last look."""
        now = {path: state for path in possible_recordings(self.folder) if (state := _state(path))}
        complete = [(path, state) for path, state in now.items() if self._before.get(path) == state]
        self.seen &= set(now.items()) | {(path, state) for path, state in self.seen if path not in now}
        self._before = now
        return complete


def _state(path):
    """Size and time of the last change; None where a file has gone meanwhile."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


class Log:
    """Lines of JSON in a file, to which is appended; without a path nothing is kept."""

    def __init__(self, path):
        self.path, self.seen = path, set()
        if path is not None:
            open(path, "ab").close()  # that it cannot be written is told now
            self._read()

    def _read(self):
        lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        broken = 0
        for line in filter(str.strip, lines):
            try:
                record = json.loads(line)
                self.seen.add((record["path"], (record["bytes"], record["modified_ns"])))
            except (ValueError, KeyError, TypeError):
                broken += 1
        if broken:
            warnings.warn(f"{self.path}: {broken} of {len(lines)} lines are no verdicts, such as a kill leaves; what "
                          "they were of is judged again.", stacklevel=2)  # fmt: skip

    def add(self, record, state):
        """Append what was said of a file in this state."""
        if self.path is None:
            return
        line = as_json({**record, "bytes": state[0], "modified_ns": state[1]})
        with open(self.path, "a+b") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # a kill has left a part of a line
                    line = "\n" + line
            file.write(f"{line}\n".encode())
