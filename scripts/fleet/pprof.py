"""This reads what the checks of fleets need of a profile: its time, its duration, and the total of each sample type."""

import gzip


def varint(data, place):
    value, shift = 0, 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7


def encoded(value):
    """Returns `value` as a varint."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def fields(data):
    """Gives each field of a message: its number, its value, and the bytes from its key to its end."""
    place = 0
    while place < len(data):
        start = place
        key, place = varint(data, place)
        if key & 7 == 0:
            value, place = varint(data, place)
        elif key & 7 == 1:
            value, place = int.from_bytes(data[place : place + 8], "little"), place + 8
        else:
            assert key & 7 == 2, f"a wire type that profiles do not have: {key & 7}"
            length, place = varint(data, place)
            value, place = data[place : place + length], place + length
        yield key >> 3, value, data[start:place]


def signed(value):
    return value - (1 << 64) if value >> 63 else value


def values(sample, field=2):
    """Returns the values of a sample, which are packed or not."""
    found = []
    for number, value, _ in fields(sample):
        if number == field and isinstance(value, int):
            found.append(signed(value))
        elif number == field:
            place = 0
            while place < len(value):
                one, place = varint(value, place)
                found.append(signed(one))
    return found


class Profile:
    """A profile's figures, from the body of an answer."""

    def __init__(self, body):
        self.bytes = len(body)
        data = gzip.decompress(body)
        self.uncompressed = len(data)
        strings, types, totals, self.samples = [], [], None, 0
        functions, self.comments = [], 0
        self.time_nanos = self.duration_nanos = self.period = 0
        for number, value, _ in fields(data):
            if number == 1:
                types.append(dict((n, v) for n, v, _ in fields(value)))
            elif number == 2:
                self.samples += 1
                row = values(value)
                totals = [a + b for a, b in zip(totals, row)] if totals else row
            elif number == 5:
                functions.append(dict((n, v) for n, v, _ in fields(value)))
            elif number == 6:
                strings.append(value.decode())
            elif number == 9:
                self.time_nanos = value
            elif number == 10:
                self.duration_nanos = value
            elif number == 12:
                self.period = value
            elif number == 13:
                self.comments += 1
        names = [strings[kind.get(1, 0)] for kind in types]
        self.totals = dict(zip(names, totals or [0] * len(names)))
        self.functions = {(strings[one.get(2, 0)], strings[one.get(4, 0)]) for one in functions}


def dated(body, time_nanos):
    """Returns this profile as one of another moment."""
    kept = [whole for number, _, whole in fields(gzip.decompress(body)) if number != 9]
    kept.append(encoded(9 << 3) + encoded(time_nanos))
    return gzip.compress(b"".join(kept), 1)
