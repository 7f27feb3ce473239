"""Download of the DCASE Challenge's Task 2 data sets from Zenodo."""

import errno
import os
import re
import stat
import sys
import time
import zipfile
import zlib
from contextlib import ExitStack, contextmanager, suppress
from numbers import Integral
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import pooch
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from skasd._drafts import draft_folder, locked, move_new, remove_abandoned
from skasd._progress import progress_bar

_PARTS = ("development", "additional", "evaluation")
_RECORDS = {
    2020: (3678171, 3727685, 3841772),
    2021: (4562016, 4660992, 4884786),
    2022: (6355122, 6462969, 6586456),
    2023: (7882613, 7830345, 7860847),
    2024: (10902294, 11259435, 11363076),
    2025: (15097779, 15392814, 15519362),
    2026: (19336329, 20151556, 20437238),
}
# dev_fan, dev_data_fan, eval_data_train_fan, eval_data_fan_test, eval_data_3DPrinter_train_r2
_ARCHIVE = re.compile(
    r"(?:dev|dev_data|eval_data)_(?:(?:train|test)_)?(?P<machine>[A-Za-z0-9]+)(?:_(?:train|test))?(?:_r(?P<revision>\d+))?\.zip"
)
_TIMEOUT = (10, 60)  # seconds to connect, and between two packets
_CHUNK = 1 << 16  # bytes; a cut connection loses at most one chunk
_ATTEMPTS = 5
_PAUSE = 1.0  # seconds before the second attempt, doubled for each further one
_BAD_MEMBERS = (errno.EEXIST, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR)
_CUT = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)


def fetch_dcase(
    year, machine=None, *, part="development", data_home=None, progress=True, api_url="https://zenodo.org/api/records"
):
    """Download one machine's folder of DCASE Task 2 from Zenodo, unless it is already there.

    An interrupted download resumes where it stopped, at the next attempt or the next call. The zip is checked against
    the MD5 sum that Zenodo lists, unpacked next to its destination and moved there in one step, so that an existing
    folder is always complete; the zip is then removed. An existing folder is used without a request. If several
    processes want the same machine, one downloads it and the others wait. The licence of each data set is named on its
    Zenodo page, ``https://zenodo.org/records/<number>``.

    Parameters
    ----------
    year : {2020, 2021, 2022, 2023, 2024, 2025, 2026}
        Year of the challenge.

    machine : str, default=None
        Machine, such as ``"fan"`` or ``"ToyCar"``. Default: all machines of that part, one after the other.

    part : {"development", "additional", "evaluation"}, default="development"
        ``development`` has normal training clips and labelled test clips, ``additional`` the training clips that belong
        to ``evaluation``, which has test clips without labels. From 2023 on, the machines of the last two differ from
        those of the first.

    data_home : path-like, default=None
        Folder for all data sets. Default: the user's cache folder, ``pooch.os_cache("skasd")``.

    progress : bool, default=True
        Whether to show progress on the error stream: a bar on a terminal or in a notebook, else a line for each tenth
        of a file, at least 30 seconds apart, and one at its end.

    api_url : str, default="https://zenodo.org/api/records"
        Zenodo's record API, or a mirror of it.

    Returns
    -------
    folder : pathlib.Path
        The machine's folder, for `load_dcase`; without ``machine``, the folder that contains those of all machines.

    Raises
    ------
    ValueError
        If the year, part or machine does not exist (the message lists those that do), if the download does not have
        the MD5 sum that Zenodo lists, or if the zip is corrupt or has members that lead out of its folder.

    OSError
        If Zenodo cannot be reached (`ConnectionError`), if the disk is full, or if a file has the name of the machine's
        folder (`FileExistsError`).

    See Also
    --------
    load_dcase : Makes `skasd.clips.Clips` from a machine's folder.

    References
    ----------
    .. [1] DCASE Challenge, Task 2, https://dcase.community/challenge2025/

    Examples
    --------
    >>> from skasd.datasets import fetch_dcase, load_dcase
    >>> clips = load_dcase(fetch_dcase(2022, "fan"))  # doctest: +SKIP
    >>> fetch_dcase(2019, "fan")
    Traceback (most recent call last):
        ...
    ValueError: year must be one of 2020, 2021, 2022, 2023, 2024, 2025, 2026; got 2019.
    """
    record = _find_record(year, part)
    if machine is not None and not (isinstance(machine, str) and re.fullmatch(r"[A-Za-z0-9]+", machine)):
        raise ValueError(f"machine must be a name such as 'fan' or 'ToyCar'; got {machine!r}.")
    home = Path(pooch.os_cache("skasd") if data_home is None else data_home) / f"dcase{year}" / part
    if machine is not None and _is_there(home / machine):
        return home / machine
    with _open_session() as session:
        archives = _list_archives(session, f"{api_url}/{record}")
        if machine is not None and machine not in archives:
            raise ValueError(f"DCASE {year} has no machine {machine!r} in its {part} set; it has "
                             f"{', '.join(sorted(archives))}.")  # fmt: skip
        for name in archives if machine is None else [machine]:
            if not _is_there(home / name):
                _fetch_machine(session, archives[name], home / name, progress)
    return home if machine is None else home / machine


def _find_record(year, part):
    if not isinstance(year, Integral) or year not in _RECORDS:
        raise ValueError(f"year must be one of {', '.join(map(str, _RECORDS))}; got {year!r}.")
    if part not in _PARTS:
        raise ValueError(f"part must be one of {', '.join(map(repr, _PARTS))}; got {part!r}.")
    return dict(zip(_PARTS, _RECORDS[year], strict=True))[part]


class _Archive(NamedTuple):
    name: str
    url: str
    size: int
    md5: str
    revision: int


def _open_session():
    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"  # byte ranges count bytes of the file
    busy = Retry(total=3, connect=0, read=0, other=0, status=3, status_forcelist=(429, 500, 502, 503, 504),
                 backoff_factor=_PAUSE, raise_on_status=False)  # fmt: skip
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=busy))
    return session


def _list_archives(session, url):
    """{machine: _Archive} of a record, the latest revision of each."""
    try:
        response = session.get(url, timeout=_TIMEOUT)
        response.raise_for_status()
    except requests.RequestException as error:
        raise ConnectionError(f"Could not read the list of files at {url}: {error}. Try again later, or download the "
                              "zip yourself and give its unpacked folder to load_dcase.") from error  # fmt: skip
    try:
        files = response.json()["files"]
        archives = [_read_archive(match, file) for file in files if (match := _ARCHIVE.fullmatch(file["key"]))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{url} did not answer with a Zenodo record and its files: {error!r}.") from error
    return {machine: archive for machine, archive in sorted(archives, key=lambda pair: pair[1].revision)}


def _read_archive(match, file):
    md5, revision = file["checksum"].removeprefix("md5:"), int(match["revision"] or 1)
    return match["machine"], _Archive(file["key"], file["links"]["self"], int(file["size"]), md5, revision)


def _is_there(folder):
    """Whether the machine has been fetched; what a kill has left beside it is removed."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise FileExistsError(f"{str(folder)!r} is no folder, and is not overwritten. Move it away, or give another "
                              "data_home.")  # fmt: skip
    if not folder.is_dir():
        return False
    with suppress(OSError):  # another process is cleaning up, or the folder is read-only
        remove_abandoned(folder.parent, f".{folder.name}-")
        if _parts(folder) or Path(f"{_lock_of(folder)}.lock").exists():
            with locked(_lock_of(folder), timeout=0) as has_lock:
                for part in _parts(folder) if has_lock else ():
                    part.unlink()
    return True


def _lock_of(folder):
    return folder.parent / f".{folder.name}"


def _parts(folder):
    """Unfinished downloads of the machine, of whatever revision."""
    parts = [(path, _ARCHIVE.fullmatch(path.stem)) for path in folder.parent.glob("*.zip.part")]
    return [path for path, match in parts if match and match["machine"] == folder.name]


def _fetch_machine(session, archive, folder, progress):
    folder.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(_lock_of(folder), timeout=0))
        except TimeoutError:
            if progress:
                print(f"Waiting for another process that fetches {folder.name}.", file=sys.stderr, flush=True)
            stack.enter_context(locked(_lock_of(folder)))
        stack.enter_context(_explain_full_disk(folder.parent, archive))
        if folder.is_dir():  # another process has fetched it meanwhile
            return
        path = folder.parent / f"{archive.name}.part"
        _download(session, archive, path, progress)
        try:
            _check_md5(archive, path)
            _unpack(path, archive, folder)
        except ValueError:
            path.unlink()
            raise
        for part in _parts(folder):
            part.unlink()


@contextmanager
def _explain_full_disk(folder, archive):
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = (f"The disk is full: {archive.name} needs about {2 * archive.size / 1e6:.0f} MB in {str(folder)!r} "
                   "while it is unpacked. Free some space or give another data_home, then call again: what has been "
                   "downloaded is kept")  # fmt: skip
        raise OSError(error.errno, message) from error


def _download(session, archive, path, progress):
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        try:
            _continue_download(session, archive, path, progress)
            return
        except _CUT as error:
            cause = error
        except requests.RequestException as error:
            raise ConnectionError(f"Could not download {archive.url}: {error}.") from error
    raise ConnectionError(f"The download of {archive.url} was cut {_ATTEMPTS} times, at last by: {cause}. "
                          f"{_size(path)} of {archive.size} bytes are there; call again to continue.") \
        from cause  # fmt: skip


def _continue_download(session, archive, path, progress):
    path.touch()
    done = _size(path)
    if done == archive.size:
        return
    headers = {"Range": f"bytes={done}-"} if 0 < done < archive.size else {}
    with session.get(archive.url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:  # all of it, from its beginning
            done = 0
        shown = {"desc": archive.name, "unit": "B", "unit_scale": True, "verbose": progress}
        with open(path, "ab" if done else "wb") as file, progress_bar(archive.size, initial=done, **shown) as bar:
            for chunk in response.iter_content(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > archive.size:  # it is another file, and may have no end
                    break
    if _size(path) < archive.size:
        raise requests.ConnectionError("the answer ended early")


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _check_md5(archive, path):
    found = pooch.file_hash(path, alg="md5")
    if found != archive.md5:
        raise ValueError(f"{archive.name} arrived with the MD5 sum {found}, Zenodo lists {archive.md5}. "
                         "The download has been removed: call again.")  # fmt: skip


def _unpack(path, archive, folder):
    """Unpack the machine's folder from the zip to its destination, in one step."""
    with draft_folder(folder.parent, f".{folder.name}-") as scratch:
        try:
            with zipfile.ZipFile(path) as file:
                _refuse_escapes(file, archive)
                file.extractall(scratch)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in _BAD_MEMBERS:
                raise
            raise ValueError(f"{archive.name} from {archive.url} is not a zip file that can be unpacked: {error}. "
                             "Nothing has been kept of it.") from error  # fmt: skip
        made = scratch / folder.name
        if not made.is_dir():
            raise ValueError(f"{archive.name} from {archive.url} has no folder {folder.name!r}; it holds "
                             f"{', '.join(sorted(os.listdir(scratch))[:10]) or 'nothing'}.")  # fmt: skip
        try:
            move_new(made, folder)
        except FileExistsError:
            if not folder.is_dir():  # else another process has been faster
                raise


def _refuse_escapes(file, archive):
    bad = [info.filename for info in file.infolist() if _leads_out(info)]
    if bad:
        raise ValueError(f"{archive.name} from {archive.url} has {len(bad)} members that lead out of its folder or are "
                         f"no plain files: {', '.join(map(repr, bad[:10]))}. It has not been unpacked.")  # fmt: skip


def _leads_out(info):
    path = PureWindowsPath(info.filename)  # knows both slashes, and drives
    kind = stat.S_IFMT(info.external_attr >> 16)
    return bool(path.anchor) or not path.parts or ".." in path.parts or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
