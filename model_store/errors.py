"""The errors of the model store.

StoreError
├── BundleError                a bundle that must not be used
│   ├── TruncatedBundle        it ends before its contents do
│   ├── MalformedBundle        a field breaks a rule of docs/bundle_format.md
│   ├── UnsupportedBundle      a version, flag or operator this reader does not know
│   ├── BundleTooLarge         a count or product passes a limit of model_store/limits.py
│   └── DigestMismatch         the bytes are not the ones that were written
├── InvalidName                a model or version name the store refuses
├── ModelNotFound              no such model or version
├── VersionExists              that version is published already, with other bytes
└── StoreUnavailable           the folder, or what is behind the URL, cannot be read or written
"""


class StoreError(Exception):
    """Anything that the model store refuses or cannot do."""


class BundleError(StoreError):
    """A bundle that must not be used. The message is place, rule, value."""


class TruncatedBundle(BundleError):
    """The bundle ends before its contents do."""


class MalformedBundle(BundleError):
    """A field breaks a rule of the format."""


class UnsupportedBundle(BundleError):
    """A version, flag or operator that this reader does not know."""


class BundleTooLarge(BundleError):
    """A count or product passes a limit."""


class DigestMismatch(BundleError):
    """The bytes are not the ones that were written."""


class InvalidName(StoreError):
    """A model or version name that the store refuses."""


class ModelNotFound(StoreError):
    """No such model or version."""


class VersionExists(StoreError):
    """That version is published already, with other bytes."""


class StoreUnavailable(StoreError):
    """The store's folder, or what is behind its URL, cannot be read or written."""
