"""A compressed classifier: the graph, its tensors, and all that is needed to serve and to cite it."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from model_store.coded import CodedBundle, Identity
from model_store.decoder import decode_tensors
from model_store.encoder import CodingChoice, encode_tensors
from model_store.errors import MalformedBundle
from model_store.graph import Graph
from model_store.preprocessing import Preprocessing
from model_store.provenance import Provenance, encode_provenance
from model_store.serialization import parse, serialize
from model_store.shapes import count_multiply_adds, infer_shapes
from model_store.tensors import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A network ready to run.

    Attributes:
        architecture: what the network is called, such as "resnet20".
        parameters: trainable parameters of the dense network it came from.
        dense_bytes: bytes of the dense network's state_dict in fp32.
        tensors: what `Node.tensors` index, in the order of first use.
        provenance: where it comes from: accuracy, recipe, seed, data.

    Raises:
        BundleError: the graph does not fit its tensors, or its logits are not one a class.
    """

    architecture: str
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    parameters: int
    dense_bytes: int
    graph: Graph
    tensors: tuple[Tensor, ...]
    provenance: Provenance = field(default_factory=dict)
    _shapes: tuple[tuple[int, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.identity()
        encode_provenance(self.provenance)
        sides = [tensor.shape for tensor in self.tensors]
        shapes = infer_shapes(self.graph, sides, self.preprocessing.input_shape)
        object.__setattr__(self, "_shapes", shapes)
        logits = shapes[-1]
        if logits != (len(self.class_names),):
            raise MalformedBundle(f"graph: logits of shape {logits}, must be ({len(self.class_names)},), one a class")

    def identity(self) -> Identity:
        """What the bundle says of itself, validated."""
        return Identity(self.architecture, self.preprocessing, self.class_names, self.parameters, self.dense_bytes)

    def shapes(self) -> list[tuple[int, ...]]:
        """The shape of every value, without the batch dimension; [0] is the input's."""
        return list(self._shapes)

    def weights(self) -> dict[int, str]:
        """tensor index -> "<layer>.weight" for what convolutions and linear layers multiply with."""
        return {t: name for t, name in self.graph.tensor_names().items() if name.endswith(".weight")}

    @property
    def nonzeros(self) -> int:
        """Non-zero values of all tensors."""
        return sum(tensor.nonzeros for tensor in self.tensors)

    @property
    def weight_elements(self) -> int:
        return sum(math.prod(self.tensors[index].shape) for index in self.weights())

    @property
    def weight_nonzeros(self) -> int:
        return sum(self.tensors[index].nonzeros for index in self.weights())

    @property
    def sparsity(self) -> float:
        """Share of the weights that is zero."""
        return 1 - self.weight_nonzeros / self.weight_elements if self.weight_elements else 0.0

    def multiply_adds(self, *, dense: bool = False) -> int:
        """Multiply-adds for one picture: of the non-zero weights, or of all."""
        counts = [math.prod(tensor.shape) if dense else tensor.nonzeros for tensor in self.tensors]
        return count_multiply_adds(self.graph, self.shapes(), counts)


def encode_bundle(bundle: Bundle, coder: CodingChoice = "huffman") -> bytes:
    """The bundle as a file's bytes, every choice made by size. The same bundle always gives the same bytes.

    `coder` says how shared weights are coded: "huffman" (gaps and codes, which many lanes decode at once), "arithmetic"
    (layout CONTEXTS, smaller where weights have structure, decoded bit by bit), or "smallest", whichever of the two
    files is smaller.
    """
    if coder == "smallest":
        return min((encode_bundle(bundle, choice) for choice in ("huffman", "arithmetic")), key=len)
    encoded = encode_tensors(bundle.tensors, coder)
    coded = CodedBundle(
        bundle.identity(),
        bundle.graph,
        encoded.tables,
        encoded.codebooks,
        encoded.lane_log2,
        encoded.tensors,
        bundle.provenance,
    )
    return serialize(coded)


def decode_bundle(data: bytes, threads: int = 1) -> Bundle:
    """Read a bundle, its streams with so many threads at most.

    Raises:
        BundleError: one of its kinds, in bounded time and memory, whatever the bytes are.
    """
    return decode_coded(check_bundle(data), threads)


def check_bundle(data: bytes) -> CodedBundle:
    """The first part of `decode_bundle`: digest, fields, limits and shapes are checked, no stream is decoded.

    Raises:
        BundleError: one of its kinds.
    """
    coded = parse(data)
    shapes = [tensor.shape for tensor in coded.tensors]
    infer_shapes(coded.graph, shapes, coded.identity.preprocessing.input_shape)
    return coded


def decode_coded(
    coded: CodedBundle, threads: int = 1, decode: Callable[[CodedBundle], tuple[Tensor, ...]] | None = None
) -> Bundle:
    """The second part of `decode_bundle`: the tensors out of their streams.

    `decode` makes them in place of `decode_tensors`; it refuses what that refuses.

    Raises:
        MalformedBundle: a stream does not decode to what its tensor says.
    """
    identity = coded.identity
    return Bundle(
        identity.architecture,
        identity.preprocessing,
        identity.class_names,
        identity.parameters,
        identity.dense_bytes,
        coded.graph,
        decode_tensors(coded, threads) if decode is None else decode(coded),
        coded.provenance,
    )


def recode(data: bytes, coder: CodingChoice = "huffman") -> bytes:
    """The same bundle, its coding chosen anew: equal in every tensor, its graph and its provenance.

    Raises:
        BundleError: the bytes are no bundle, or (a fault of the encoder) what was written decodes to another.
    """
    before = decode_bundle(data)
    recoded = encode_bundle(before, coder)
    after = decode_bundle(recoded)
    pairs = zip(before.tensors, after.tensors, strict=True)
    same = all(a.to_dense().tobytes() == b.to_dense().tobytes() for a, b in pairs)
    if not same or (before.graph, before.provenance) != (after.graph, after.provenance):
        raise MalformedBundle("bundle: what was recoded decodes to another network, must be the same")
    return recoded


def digest_of(data: bytes) -> str:
    """SHA-256 of a whole file, in hex: how records and stores name it."""
    return hashlib.sha256(data).hexdigest()
