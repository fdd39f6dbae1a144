"""The errors of the service.

    ServiceError
    ├── SettingsError              a flag, variable, store or port the service cannot start with
    ├── BenchError                 a measurement that cannot be made as asked
    │   └── WorkerFailed           an engine under measurement raised, or its process ended
    ├── NoRoom                     plans in use, and --max-resident-bytes, leave no room for another
    ├── EngineError
    │   ├── EngineUnavailable      the device asked for cannot be used here
    │   └── EngineFailure          a plan raised, or answered with numbers that are not finite
    └── RequestError               an answer that is not 200: status, code and detail go to the client
        ├── UndecodablePicture     400
        ├── InvalidUpload          400
        ├── InvalidInference       400
        ├── Forbidden              403
        ├── ModelNotServed         404
        ├── UploadTooSlow          408
        ├── BodyTooLarge           413
        ├── TooManyPixels          413
        ├── UnsupportedUpload      415
        ├── InvalidQuery           422
        ├── InferenceFailed        500
        ├── NotSupported           501
        ├── ModelUnavailable       503, with Retry-After
        ├── Overloaded             503, with Retry-After
        ├── Draining               503, with Retry-After
        └── DeadlinePassed         504

A RequestError's message is written for the client: never a path, a digest or the name of an exception.
"""

from typing import ClassVar


class ServiceError(Exception):
    """Anything that the service refuses or cannot do."""


class SettingsError(ServiceError):
    """The service cannot start with these settings."""


class BenchError(ServiceError):
    """A measurement that cannot be made as asked."""


class WorkerFailed(BenchError):
    """An engine under measurement raised, or its process ended."""


class NoRoom(ServiceError):
    """The plans in use, or the limit of bytes, leave no room for another."""


class EngineError(ServiceError):
    """An engine that cannot be had, or that failed."""


class EngineUnavailable(EngineError):
    """The device asked for cannot be used here."""


class EngineFailure(EngineError):
    """A plan raised, or answered with numbers that are not finite."""


class RequestError(ServiceError):
    """An answer other than 200. `code` is stable, for programs; the message is for people."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    retry_after_s: int | None = None

    def forget(self) -> None:
        """Let go of where this was raised: frames hold the request's body, as long as this is held."""
        self.__traceback__ = self.__context__ = self.__cause__ = None


class UndecodablePicture(RequestError):
    """The body says it is a picture, but it cannot be decoded."""

    status = 400
    code = "undecodable_picture"


class InvalidUpload(RequestError):
    """The request's body or framing is malformed or empty."""

    status = 400
    code = "invalid_upload"


class InvalidInference(RequestError):
    """A field or tensor of an inference request breaks its rule. The message is place, value, rule."""

    status = 400
    code = "invalid_inference"


class Forbidden(RequestError):
    """A call that needs the admin token."""

    status = 403
    code = "forbidden"


class ModelNotServed(RequestError):
    """No such model or version."""

    status = 404
    code = "model_not_found"


class UploadTooSlow(RequestError):
    """The body did not arrive in time."""

    status = 408
    code = "upload_too_slow"


class BodyTooLarge(RequestError):
    """More bytes than the limit, declared or counted."""

    status = 413
    code = "body_too_large"


class TooManyPixels(RequestError):
    """The picture's header promises more pixels than the limit."""

    status = 413
    code = "too_many_pixels"


class UnsupportedUpload(RequestError):
    """A media type, encoding or picture format that is not served."""

    status = 415
    code = "unsupported_media_type"


class InvalidQuery(RequestError):
    """A query parameter that breaks its rule."""

    status = 422
    code = "invalid_query"


class InferenceFailed(RequestError):
    """The engine failed on this picture."""

    status = 500
    code = "inference_failed"


class NotSupported(RequestError):
    """A part of the protocol that is not served here."""

    status = 501
    code = "not_supported"


class ModelUnavailable(RequestError):
    """The model is in the store, but its bundle cannot be used, or there is no room for it."""

    status = 503
    code = "model_unavailable"

    def __init__(self, message: str = "The model cannot be used at the moment.", retry_after_s: int = 30) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Overloaded(RequestError):
    """Too much is waiting already."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Draining(RequestError):
    """The service is stopping, and takes nothing new. Another replica, or this one's successor, will."""

    status = 503
    code = "draining"

    def __init__(self, message: str = "The service is stopping.", retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DeadlinePassed(RequestError):
    """The answer was not ready in time."""

    status = 504
    code = "deadline_passed"
