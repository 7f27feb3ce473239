"""Files that may be anything: only regular ones are opened, since others may never begin, or never end."""

import codecs
import csv
import io
import os
import stat

from skasd._problems import printable

__all__ = ["open_regular", "read_csv"]

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def open_regular(path):
    """Open a regular file, or a link to one, for reading bytes.

    No such file, something else, or what must not be read is a ValueError that begins with the path.
    """
    try:
        _check_regular(path, _status(path))
        file = open(path, "rb", opener=_open_at_once)
    except FileNotFoundError as error:
        raise ValueError(f"{printable(path)}: no such file") from error
    except OSError as error:
        raise ValueError(f"{printable(path)}: cannot be opened ({error.strerror})") from error
    try:
        _check_regular(path, os.fstat(file.fileno()))  # of what was opened: another may have taken its place
    except ValueError:
        file.close()
        raise
    return file


def _status(path):
    try:
        return os.stat(path)
    except ValueError as error:  # a NUL, or half of a surrogate pair
        raise ValueError(f"{printable(path)}: no file can have this name") from error


def _open_at_once(path, flags):
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_regular(path, status):
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"{printable(path)}: is {_KINDS.get(kind, 'something else')}, not a file")


def read_csv(path):
    """Rows of a CSV file, as lists of cells without the spaces around them; empty rows are left out.

    It is in UTF-8, or in UTF-16 where it begins with a byte order mark. A file that cannot be opened, is in another
    encoding, or is no CSV, is a ValueError that begins with the path.
    """
    with open_regular(path) as file:
        content = file.read()
    encoding = "utf-16" if content.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
        if "\0" in text:
            raise ValueError(f"{printable(path)}: holds NUL characters, as UTF-16 without a byte order mark does. Save "
                             "it as UTF-8.")  # fmt: skip
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text, newline="")) if row]
    except UnicodeDecodeError as error:
        raise ValueError(f"{printable(path)}: is not {encoding.removesuffix('-sig').upper()}: byte {error.start} is "
                         f"{content[error.start]:#04x}. Save it as UTF-8.") from error  # fmt: skip
    except csv.Error as error:
        raise ValueError(f"{printable(path)}: is no CSV file ({error})") from error
