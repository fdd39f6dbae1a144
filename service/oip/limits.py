"""Every limit of the protocol besides the settings' (body, pixels, batch), in one place."""

MAX_HEADER_BYTES = 1 << 20  # JSON in front of binary tensors
MAX_CONTROL_BYTES = 1 << 16  # bodies of the repository's calls
MAX_TENSORS = 16  # inputs, or outputs, of one request
MAX_RANK = 8
MAX_DIMENSION = (1 << 31) - 1
MAX_ELEMENTS = 1 << 28  # of one tensor
MAX_NAME_CHARACTERS = 128
MAX_ID_CHARACTERS = 256
MAX_CLASSIFICATION = (1 << 31) - 1
MAX_TIMEOUT_US = 3_600_000_000
