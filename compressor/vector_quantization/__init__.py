"""Product and residual quantization: vectors of weights share the codewords of trained codebooks."""

from compressor.vector_quantization.codewords import TrainedCodewords
from compressor.vector_quantization.groups import VectorAssignment
from compressor.vector_quantization.importance import input_moments
from compressor.vector_quantization.network import check_vectors, quantize_vectors
from compressor.vector_quantization.recipe import VectorRecipe

__all__ = [
    "TrainedCodewords",
    "VectorAssignment",
    "VectorRecipe",
    "check_vectors",
    "input_moments",
    "quantize_vectors",
]
