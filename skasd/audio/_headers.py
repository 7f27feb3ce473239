"""How much audio a file says that it holds, format by format.

libsndfile reads a file that was cut off as a shorter one, takes what follows the audio of some formats for audio, and
finds no length in files that were written into a pipe. So the headers are read here once more. Where they say something
else than what is there, it is an error; where they say nothing, libsndfile gets to see a header that does.
"""

import io
import os
import re
import struct
from functools import partial
from itertools import islice
from typing import NamedTuple

_MOST_CHUNKS = 10000
_TAGS = (b"TAG", b"ID3", b"APETAGEX", b"LYRICS")  # what other programs write behind the audio
_PADDING = 2**16
_MP3_HEAD = 4096
_MAT4_BYTES = {0: 8, 1: 4, 2: 4, 3: 2, 4: 2}  # of a sample, by the type


class Extent(NamedTuple):
    """Where audio begins in a file, and how many bytes of it the header declares.

    ``field`` has the position and the format of the size where programs that write into a pipe leave it unknown;
    ``reads_on`` says that libsndfile takes whatever follows for audio.
    """

    start: int
    size: int
    field: tuple = ()
    reads_on: bool = False


def sound_view(file):
    """The bytes that libsndfile should see in place of the file, or None where it may see the file itself.

    They are those of the file, which is open for reading bytes, without what follows the audio, or with a length where
    the header has none. A header that promises more audio than there is, or less, is a ValueError.
    """
    origin = _end_of_tag(file)
    magic = _read(file, origin, 16)
    parse = next((parse for prefix, parse in _PARSERS.items() if magic.startswith(prefix)), None)
    extent = parse(file, origin) if parse else None
    if extent is None:
        return None
    start, size, field, reads_on = extent
    there = max(0, _n_bytes(file) - start)
    rest = _read(file, start + size, _PADDING) if 0 <= size < there else b""
    if field and there and _is_unknown(size, rest, there):
        return _with_size(file, field, there)
    if size > there:
        raise ValueError(f"is cut off, its header promises {size} bytes of audio and there are {there}")
    if not _is_no_audio(rest, there - size):
        raise ValueError(f"its header promises {size} bytes of audio, and {there - size} bytes follow that are none of "
                         "its parts: one of the two is wrong")  # fmt: skip
    return io.BytesIO(_read(file, 0, start + size)) if rest and reads_on else None


def _is_unknown(size, rest, there):
    """Whether a size is what programs write that cannot go back to the header: none, or about all that fits."""
    is_unlikely = size <= 0 or size >= 2**62 or min(abs(size - 2**31), abs(size - 2**32)) <= 2**16
    return is_unlikely and (not 0 <= size <= there or not _is_no_audio(rest, there - size))


def _is_no_audio(rest, n_bytes):
    """Whether the bytes that follow the audio are padding, a tag, or a chunk: four letters, and a size that fits."""
    return not rest.strip(b"\0") or rest.startswith(_TAGS) or any(map(_is_chunk, (rest, rest[1:]), [n_bytes] * 2))


def _is_chunk(rest, n_bytes):
    name, head = rest[:4], rest[4:8]
    if len(head) < 4 or not name.isascii() or not name.decode().isprintable():
        return n_bytes < 8
    sizes = [int.from_bytes(head, "little"), int.from_bytes(head, "big"), int.from_bytes(rest[16:24], "little")]
    return min(sizes) <= n_bytes


def _with_size(file, field, size):
    position, layout = field
    if size >= 2 ** (8 * struct.calcsize(layout)):
        raise ValueError(f"holds {size} bytes of audio, more than its header can tell; write it as W64 or FLAC")
    content = bytearray(_read(file, 0, -1))
    struct.pack_into(layout, content, position, size)
    return io.BytesIO(content)


def _n_bytes(file):
    return os.fstat(file.fileno()).st_size


def _read(file, at, size):
    """Bytes at a position, none where it is outside the file."""
    if not 0 <= at < _n_bytes(file):
        return b""
    file.seek(at)
    return file.read(size)


def _unpack(file, at, layout):
    """Numbers at a position, zeros where the file is over."""
    return struct.unpack(layout, _read(file, at, struct.calcsize(layout)).ljust(struct.calcsize(layout), b"\0"))


def _end_of_tag(file):
    """Position behind the ID3 tag that some programs put before any format."""
    head = _read(file, 0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


# Formats of chunks, each with a name and a size


def _chunks(file, at, layout, *, align=1, with_head=False):
    """Name, position and size of the chunks that follow one another from a position on."""
    n_head, origin = struct.calcsize(layout), at
    for _ in range(_MOST_CHUNKS):
        head = _read(file, at, n_head)
        if len(head) < n_head:
            return
        name, size = struct.unpack(layout, head)
        size -= n_head if with_head else 0
        yield name, at + n_head, size
        if size < 0:
            return
        at += n_head + size
        at += (origin - at) % align


def _riff(file, origin, order="<"):
    in_ds64 = None
    for name, start, size in _chunks(file, origin + 12, f"{order}4sI", align=2):
        if name == b"ds64":
            in_ds64 = (start + 8, f"{order}Q")
        if name == b"data" and in_ds64 and size == 2**32 - 1:
            return Extent(start, *_unpack(file, *in_ds64), in_ds64)
        if name == b"data":
            return Extent(start, size, (start - 4, f"{order}I"))
    return None


def _in_chunk(file, origin, skip, head, names, **options):
    """The first chunk of one of these names, each with whether libsndfile reads on behind it."""
    for name, start, size in _chunks(file, origin + skip, head, **options):
        if name[:4] in names:
            field = (start - struct.calcsize(head[-1]), head[0] + head[-1])
            return Extent(start, size, field, reads_on=names[name[:4]])
    return None


def _voc(file, origin):
    at = origin + _unpack(file, origin + 20, "<H")[0]
    for _ in range(_MOST_CHUNKS):
        (head,) = _unpack(file, at, "<I")
        kind, size = head & 0xFF, head >> 8
        if kind in (0, 1, 9):  # the end, or sound
            size += _read(file, at + 4 + size, 1) == b"\0"  # the end, which libsndfile wants to see
            return Extent(at + 4, size, reads_on=True) if kind else None
        at += 4 + size
    return None


def _mat5(file, origin):
    order = "<" if _read(file, origin + 126, 2) == b"IM" else ">"
    head = f"{order}4sI"
    for _, start, _ in islice(_chunks(file, origin + 128, head), 1, 2):  # the second matrix: the audio
        for _, place, size in islice(_chunks(file, start, head, align=8), 3, 4):  # its fourth part: the numbers
            return Extent(place, size, reads_on=True)
    return None


# Formats with a header of one size, which tells the number of bytes or of frames


def _au(file, origin, order=">"):
    start, size = _unpack(file, origin + 4, f"{order}2I")
    return Extent(origin + start, size, (origin + 8, f"{order}I"), reads_on=True)


def _avr(file, origin):
    stereo, n_bits = _unpack(file, origin + 12, ">2H")
    (n_frames,) = _unpack(file, origin + 26, ">I")
    return Extent(origin + 128, n_frames * (2 if stereo else 1) * n_bits // 8, reads_on=True)


def _mpc2k(file, origin):
    (stereo,) = _unpack(file, origin + 21, "<B")
    (n_frames,) = _unpack(file, origin + 30, "<I")
    return Extent(origin + 42, n_frames * (4 if stereo else 2), reads_on=True)


def _wve(file, origin):
    return Extent(origin + 32, *_unpack(file, origin + 18, ">I"), reads_on=True)


def _nist(file, origin):
    head = _read(file, origin, 1024)
    numbers = {name: int(value) for name, value in re.findall(rb"^(\w+) -i (\d{1,18})$", head, re.MULTILINE)}
    n_head = re.match(rb"NIST_1A\n *(\d{1,18})\n", head)
    if b"sample_count" not in numbers or not n_head:
        return None
    width = numbers.get(b"channel_count", 1) * numbers.get(b"sample_n_bytes", 1)
    return Extent(origin + int(n_head[1]), numbers[b"sample_count"] * width, reads_on=True)


def _sds(file, origin):
    n_bits, *_, low, middle, high = _unpack(file, origin + 6, "<7B")
    n_in_block = 120 // max(1, -(-n_bits // 7))
    n_frames = low | middle << 7 | high << 14
    return Extent(origin + 21, -(-n_frames // n_in_block) * 127, reads_on=True)


def _mat4(file, origin):
    order = "<" if _read(file, origin, 1) == b"\0" and _unpack(file, origin, "<I")[0] < 1000 else ">"
    at = origin
    for _ in range(2):  # the sample rate, then the audio
        marker, n_rows, n_columns, _, n_name = _unpack(file, at, f"{order}5I")
        start, size = at + 20 + n_name, n_rows * n_columns * _MAT4_BYTES.get(marker % 100 // 10, 1)
        at = start + size
    return Extent(start, size)


# Formats of small parts, which have no length for the whole


def _ogg(file, origin):
    """No extent, but an error where the stream does not end, or another one follows it."""
    at, is_last, n_bytes = origin, False, _n_bytes(file)
    while at < n_bytes and not is_last:
        head = _read(file, at, 27 + 255)
        if len(head) < 27 or not head.startswith(b"OggS"):
            raise ValueError(f"is cut off or broken, there is no Ogg page at byte {at}")
        is_last, n_segments = head[5] & 4, head[26]
        at += 27 + n_segments + sum(head[27 : 27 + n_segments])
    if at > n_bytes or not is_last:
        raise ValueError("is cut off, its last Ogg page does not end the stream")
    if _read(file, at, 4) == b"OggS":
        raise ValueError("holds several Ogg streams one after the other, of which libsndfile reads the first; split it")


def _flac(file, origin):
    """No extent, but an error where the last frame ends at another sample than the header says."""
    info = _read(file, origin + 8, 18).ljust(18, b"\0")
    block_size, n_samples = int.from_bytes(info[2:4]), int.from_bytes(info[10:18]) & 2**36 - 1
    n_tail = int.from_bytes(info[7:10]) or 2**16  # the largest frame
    tail = _read(file, max(0, _n_bytes(file) - n_tail - 2**10), -1)
    heads = (tail[found.start() : found.start() + 16] for found in re.finditer(rb"\xff[\xf8\xf9]", tail))
    ends = {end for head in heads if (end := _flac_frame_end(head, block_size))}
    if n_samples and ends and n_samples not in ends:
        raise ValueError(f"is cut off or has a wrong header, which promises {n_samples} samples; the last one found is "
                         f"{max(ends)}")  # fmt: skip


def _flac_frame_end(head, block_size):
    """Number of the sample behind a frame, or None where the bytes are not the head of one."""
    head = head.ljust(16, b"\0")  # a frame of silence is shorter
    n_number = max(1, 8 - (~head[4] & 0xFF).bit_length())
    number = head[4] & (0x7F >> (n_number if n_number > 1 else 0))
    for byte in head[5 : 4 + n_number]:
        number = number << 6 | byte & 0x3F
    size_code, rate_code = head[2] >> 4, head[2] & 0x0F
    n_size = {6: 1, 7: 2}.get(size_code, 0)
    n_head = 4 + n_number + n_size + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if not size_code or _crc8(head[: n_head + 1]):
        return None
    stored = int.from_bytes(head[4 + n_number : 4 + n_number + n_size]) + 1
    size = stored if n_size else 192 if size_code == 1 else 144 << size_code if size_code < 6 else 1 << size_code
    return (number if head[1] & 1 else number * block_size) + size


def _crc8(data):
    remainder = 0
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = remainder << 1 ^ (0x107 if remainder & 0x80 else 0)
    return remainder


def mp3_of_any_length(file, sample_rate, n_channels):
    """The bytes of an MP3 file that does not tell its length, behind a silent frame; and the samples in that frame.

    Without a length libsndfile takes all frames to be as large as the first one, and reads no further. The silent frame
    has the least size, so that it reads to the end. Where the file tells its length, there are none: None and 0.
    """
    origin = _end_of_tag(file)
    if _tells_its_length(file, origin):
        return None, 0
    frame, n_silent = _silent_frame(sample_rate, n_channels)
    return io.BytesIO(frame + _read(file, origin, -1).lstrip(b"\0")), n_silent


def _tells_its_length(file, origin):
    """Whether there is a Xing header with the number of frames, and no other file has been joined to this one."""
    found = re.search(rb"(?:Xing|Info)(.{12})", _read(file, origin, _MP3_HEAD), re.DOTALL)
    flags, n_frames, size = struct.unpack(">3I", found[1]) if found else (0, 0, 0)
    if not flags & 2:  # no size
        return bool(flags & 1 and n_frames)
    n_more = _n_bytes(file) - origin - size
    joined = n_more > size // 50 + _MP3_HEAD and not _is_no_audio(_read(file, origin + size, _PADDING), n_more)
    return bool(flags & 1 and n_frames and not joined)


def _silent_frame(sample_rate, n_channels):
    """The least frame of MPEG layer 3, and the number of its samples."""
    version = (sample_rate < 32000) + (sample_rate < 16000)  # MPEG 1, 2 and 2.5, each with half the rates
    rate_code = {44100: 0, 48000: 1, 32000: 2}[sample_rate << version]
    n_bytes = (72 * 8000 if version else 144 * 32000) // sample_rate
    head = [0xFF, (0xFB, 0xF3, 0xE3)[version], 0x10 | rate_code << 2, 0xC0 if n_channels == 1 else 0x00]
    return bytes(head).ljust(n_bytes, b"\0"), 576 if version else 1152


_PARSERS = {
    b"RIFF": _riff,
    b"RIFX": partial(_riff, order=">"),
    b"RF64": _riff,
    b"FORM": partial(_in_chunk, skip=12, head=">4sI", names={b"SSND": False, b"BODY": True}, align=2),
    b"caff": partial(_in_chunk, skip=8, head=">4sq", names={b"data": False}),
    b"riff": partial(_in_chunk, skip=40, head="<16sq", names={b"data": True}, align=8, with_head=True),
    b".snd": _au,
    b"dns.": partial(_au, order="<"),
    b"2BIT": _avr,
    b"\1\4": _mpc2k,
    b"\xf0\x7e": _sds,
    b"NIST_1A\n": _nist,
    b"ALawSoundFile**": _wve,
    b"Creative Voice": _voc,
    b"\0\0\0\0\1\0\0\0\1\0\0\0": _mat4,
    b"\0\0\x03\xe8\0\0\0\1\0\0\0\1": _mat4,
    b"MATLAB 5.0": _mat5,
    b"OggS": _ogg,
    b"fLaC": _flac,
}
