"""Image data: decoded once into one uint8 tensor, augmented in batches on the device."""

from compressor.data.images import ImageSet, load_images, preprocessing_of, split_images

__all__ = ["ImageSet", "load_images", "preprocessing_of", "split_images"]
