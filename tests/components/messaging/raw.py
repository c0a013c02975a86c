"""
A producer of records that confluent-kafka would not send: any bytes as header names, any time, any partition.

It calls the librdkafka of confluent-kafka, so nothing more is installed.
"""

import ctypes
from pathlib import Path

import confluent_kafka

# rd_kafka_vtype_t and RD_KAFKA_MSG_F_COPY of librdkafka's rdkafka.h.
TOPIC, PARTITION, VALUE, KEY, FLAGS, TIMESTAMP, HEADERS = 1, 3, 4, 5, 7, 8, 10
COPY = 2
PRODUCER = 0


class Bytes(ctypes.Structure):
    _fields_ = (("at", ctypes.c_char_p), ("size", ctypes.c_size_t))


class Anything(ctypes.Union):
    _fields_ = (
        ("text", ctypes.c_char_p),
        ("number", ctypes.c_int32),
        ("long", ctypes.c_int64),
        ("bytes", Bytes),
        ("pointer", ctypes.c_void_p),
        ("padding", ctypes.c_char * 64),
    )


class Argument(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("value", Anything))


def library():
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = ctypes.CDLL(str(next(folder.glob("librdkafka-*.so*"))))
    pointer, text, size = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    for name, result, arguments in [
        ("rd_kafka_conf_new", pointer, []),
        ("rd_kafka_conf_set", ctypes.c_int, [pointer, text, text, text, size]),
        ("rd_kafka_new", pointer, [ctypes.c_int, pointer, text, size]),
        ("rd_kafka_headers_new", pointer, [size]),
        ("rd_kafka_header_add", ctypes.c_int, [pointer, text, ctypes.c_ssize_t, text, ctypes.c_ssize_t]),
        ("rd_kafka_produceva", pointer, [pointer, ctypes.POINTER(Argument), size]),
        ("rd_kafka_error_string", text, [pointer]),
        ("rd_kafka_flush", ctypes.c_int, [pointer, ctypes.c_int]),
        ("rd_kafka_destroy", None, [pointer]),
    ]:
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


class RawProducer:
    """Sends arbitrary records; `flush` returns once the broker has accepted or rejected them."""

    def __init__(self, brokers, **settings):
        self._library = library()
        configuration = self._library.rd_kafka_conf_new()
        problem = ctypes.create_string_buffer(512)
        wanted = {"bootstrap.servers": brokers, "message.max.bytes": "10000000", "log_level": "0", **settings}
        for name, value in wanted.items():
            done = self._library.rd_kafka_conf_set(configuration, name.encode(), value.encode(), problem, 512)
            assert done == 0, problem.value
        self._handle = self._library.rd_kafka_new(PRODUCER, configuration, problem, 512)
        assert self._handle, problem.value

    def send(self, topic, *, key=b"k", value=b"v", headers=(), timestamp_ms=0, partition=-1):
        """Queue a record; *headers* are pairs of bytes, a value may be None."""
        made = self._library.rd_kafka_headers_new(len(headers))
        for name, content in headers:
            size = -1 if content is None else len(content)
            self._library.rd_kafka_header_add(made, name, len(name), content, size)
        arguments = (Argument * 7)()
        for argument, kind in zip(arguments, (TOPIC, PARTITION, VALUE, KEY, FLAGS, TIMESTAMP, HEADERS), strict=True):
            argument.kind = kind
        arguments[0].value.text = topic.encode()
        arguments[1].value.number = partition
        arguments[2].value.bytes = Bytes(value, len(value or b""))
        arguments[3].value.bytes = Bytes(key, len(key or b""))
        arguments[4].value.number = COPY
        arguments[5].value.long = timestamp_ms
        arguments[6].value.pointer = made
        refused = self._library.rd_kafka_produceva(self._handle, arguments, len(arguments))
        assert not refused, self._library.rd_kafka_error_string(refused)

    def flush(self):
        assert self._library.rd_kafka_flush(self._handle, 20_000) == 0

    def close(self):
        self._library.rd_kafka_destroy(self._handle)
