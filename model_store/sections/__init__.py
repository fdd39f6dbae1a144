"""The sections of a bundle: each module writes one and reads it back."""
