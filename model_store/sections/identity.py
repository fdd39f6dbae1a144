"""Section 1: architecture, input, classes, the dense network's size."""

from model_store.coded import Identity
from model_store.limits import MAX_CLASSES, MAX_INPUT_CHANNELS, MAX_INPUT_SIDE
from model_store.preprocessing import Preprocessing
from model_store.wire import Reader, Writer


def write_identity(identity: Identity) -> bytes:
    preprocessing = identity.preprocessing
    writer = Writer().text(identity.architecture).varint(identity.parameters).varint(identity.dense_bytes)
    writer.varint(preprocessing.channels).varint(preprocessing.height).varint(preprocessing.width)
    for statistic in (*preprocessing.mean, *preprocessing.std):
        writer.float32(statistic)
    writer.varint(len(identity.class_names))
    for name in identity.class_names:
        writer.text(name)
    return writer.done()


def read_identity(reader: Reader) -> Identity:
    architecture = reader.text("architecture")
    parameters = reader.varint("parameters", 1, (1 << 48) - 1)
    dense_bytes = reader.varint("dense_bytes", 1, (1 << 48) - 1)
    channels = reader.varint("channels", 1, MAX_INPUT_CHANNELS)
    height = reader.varint("height", 1, MAX_INPUT_SIDE)
    width = reader.varint("width", 1, MAX_INPUT_SIDE)
    mean = tuple(reader.float32(f"mean[{channel}]") for channel in range(channels))
    std = tuple(reader.float32(f"std[{channel}]") for channel in range(channels))
    classes = reader.varint("classes", 1, MAX_CLASSES)
    names = tuple(reader.text(f"class name {label}") for label in range(classes))
    reader.finish()
    return Identity(architecture, Preprocessing(height, width, mean, std), names, parameters, dense_bytes)
