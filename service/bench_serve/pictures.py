"""Pictures to post: drawn by code, of the network's own size, PNG."""

import io

import numpy as np
from PIL import Image

from model_store.preprocessing import Preprocessing
from service.errors import BenchError

_MODES = {1: "L", 3: "RGB"}


def draw_pictures(count: int, preprocessing: Preprocessing, seed: int) -> list[bytes]:
    """Gradients with a disc and a little noise, so that they compress as photographs do, neither more nor less.

    Raises:
        BenchError: the network is neither for grey nor for RGB pictures.
    """
    channels = preprocessing.channels
    if channels not in _MODES:
        raise BenchError(f"a network of {channels} channels, must be of 1 or 3")
    random = np.random.default_rng(seed)
    height, width = preprocessing.height, preprocessing.width
    rows, columns = np.mgrid[0:height, 0:width]
    pictures = []
    for _ in range(count):
        slopes, colours = random.uniform(-3, 3, (2, channels)), random.uniform(60, 200, (2, channels))
        pixels = colours[0] + rows[..., None] * slopes[0] + columns[..., None] * slopes[1]
        centre, radius = random.uniform(0.2, 0.8, 2) * (height, width), random.uniform(0.1, 0.4) * min(height, width)
        pixels[(rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2] = colours[1]
        pixels += random.normal(0, 4, pixels.shape)
        array = pixels.clip(0, 255).astype(np.uint8)
        file = io.BytesIO()
        Image.fromarray(array if channels == 3 else array[..., 0], _MODES[channels]).save(file, "PNG")
        pictures.append(file.getvalue())
    return pictures
