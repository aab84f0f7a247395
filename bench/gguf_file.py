"""GGUF files, written and read with the standard library: headers, and tensors as raw bytes.

Layout (version 3, little endian): "GGUF", u32 version, u64 tensors, u64 pairs; pairs of string key, u32 type, value;
per tensor string name, u32 dimensions, u64 sizes (fastest first), u32 type, u64 offset; then data, aligned to 32 bytes.
Source: ggml/docs/gguf.md.
"""
import struct

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", 11: "<q", 12: "<d"}
TENSOR_F32, TENSOR_F16, TENSOR_BF16 = 0, 1, 30
BYTES = {TENSOR_F32: 4, TENSOR_F16: 2, TENSOR_BF16: 2}


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    if kind == ARRAY:
        element, items = value
        return struct.pack("<IQ", element, len(items)) + b"".join(_value(element, item) for item in items)
    return struct.pack(SCALARS[kind], value)


def padded(size):
    return -(-size // ALIGNMENT) * ALIGNMENT


def write(path, pairs, tensors):
    """pairs: [(key, type, value)], an ARRAY's value is (type, items); or the `raw_pairs` of another file.
    tensors: [(name, sizes fastest first, type, bytes, chunks)]; chunks is a function that yields the tensor's bytes."""
    count, raw = pairs if isinstance(pairs, tuple) else (len(pairs), b"".join(
        _string(key) + struct.pack("<I", kind) + _value(kind, value) for key, kind, value in pairs))
    with open(path, "wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), count) + raw)
        offset = 0
        for name, sizes, kind, size, _ in tensors:
            out.write(_string(name) + struct.pack("<I", len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes))
            out.write(struct.pack("<IQ", kind, offset))
            offset += padded(size)
        out.write(bytes(padded(out.tell()) - out.tell()))
        for name, sizes, kind, size, chunks in tensors:
            written = sum(out.write(chunk) for chunk in chunks())
            if written != size:
                raise ValueError(f"tensor {name}: {written} bytes given, {size} expected")
            out.write(bytes(padded(written) - written))


def bytes_of(sizes, kind):
    count = BYTES[kind]
    for size in sizes:
        count *= size
    return count


class Header:
    """What a GGUF file says about itself. `tensors`: name -> (sizes fastest first, type, absolute offset, bytes with
    padding), so sizes are known for types that this file has never heard of. `raw_pairs`: for write()."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self._file = file
            magic, version, count, pairs = struct.unpack("<4sIQQ", file.read(24))
            if magic != b"GGUF" or version not in (2, 3):
                raise ValueError(f"{path} is no GGUF file of version 2 or 3")
            self.pairs, begin = {}, file.tell()
            for _ in range(pairs):
                key = self._string()
                self.pairs[key] = self._value(self._scalar(U32))
            size = file.tell() - begin
            file.seek(begin)
            self.raw_pairs = pairs, file.read(size)
            entries = []
            for _ in range(count):
                name = self._string()
                sizes = [self._scalar(U64) for _ in range(self._scalar(U32))]
                entries.append((name, sizes, self._scalar(U32), self._scalar(U64)))
            alignment = self.pairs.get("general.alignment", ALIGNMENT)
            start = -(-file.tell() // alignment) * alignment
            end = file.seek(0, 2)
        del self._file
        starts = sorted(start + entry[3] for entry in entries) + [end]
        after = dict(zip(starts, starts[1:]))
        self.tensors = {name: (sizes, kind, start + offset, after[start + offset] - start - offset)
                        for name, sizes, kind, offset in entries}

    def _scalar(self, kind):
        form = SCALARS[kind]
        return struct.unpack(form, self._file.read(struct.calcsize(form)))[0]

    def _string(self):
        return self._file.read(self._scalar(U64)).decode(errors="replace")

    def _value(self, kind):
        if kind == STRING:
            return self._string()
        if kind == ARRAY:
            element = self._scalar(U32)
            return [self._value(element) for _ in range(self._scalar(U64))]
        return self._scalar(kind)

    def weight_bytes(self):
        """Bytes of all tensors; embeddings that are not the output head, too."""
        return sum(entry[3] for entry in self.tensors.values())

    def step_read_bytes(self):
        """What one decode step must read: every weight once; of an embedding that is not also the head, almost nothing."""
        untied = "output.weight" in self.tensors
        return sum(entry[3] for name, entry in self.tensors.items() if not (untied and name == "token_embd.weight"))
