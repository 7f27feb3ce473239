"""What can be wrong with a text file of rows, as bytes."""

import numpy as np

DAMAGES = {
    "none": lambda data: data,
    "empty": lambda data: b"",
    "bom": lambda data: b"\xef\xbb\xbf" + data,
    "windows": lambda data: data.replace(b"\n", b"\r\n"),
    "old mac": lambda data: data.replace(b"\n", b"\r"),
    "blank lines": lambda data: data.replace(b"\n", b"\n\n  \n"),
    "spaces": lambda data: data.replace(b",", b" , "),
    "utf-16": lambda data: data.decode().encode("utf-16"),
    "latin-1": lambda data: data.replace(b".wav", b"_\xe9.wav"),
    "nul": lambda data: data.replace(b".wav", b"\0.wav"),
    "quote": lambda data: b'"' + data,
    "quoted": lambda data: b"".join(b'"%b"\n' % line.replace(b",", b'","') for line in data.splitlines()),
    "long cell": lambda data: data + b"x" * 200_000 + b",1\n",
    "semicolons": lambda data: data.replace(b",", b";"),
    "cut": lambda data: data[: len(data) // 2 + 3],
    "twice": lambda data: data + data,
    "header": lambda data: b"file_name,value\n" + data,
    "third cell": lambda data: data.replace(b"\n", b",1\n"),
    "one cell": lambda data: data + b"section_00_source_test_normal_0000.wav\n",
    "shuffled": lambda data: b"".join(sorted(data.splitlines(keepends=True), reverse=True)),
    "binary": lambda data: np.random.default_rng(0).bytes(500),
    "first row away": lambda data: data.partition(b"\n")[2],
    "other section": lambda data: data.replace(b"section_00", b"section_07"),
    "no name": lambda data: data.replace(b"section_00_", b"anything_"),
    "folders": lambda data: data.replace(b"section_00", b"../section_00"),
}
KEEPS = ("none", "bom", "windows", "old mac", "blank lines", "spaces", "quoted", "shuffled")
VALUES = (
    "nan",
    "inf",
    "-inf",
    "1e999",
    "",
    "one",
    "0x10",
    "1_000",
    "1,5",
    "None",
    "5e-324",
    "\u0661",
    "1e308",
    "-1e308",
)
