REASON_MISSING = "swift is not installed"


def swift_server(path):
    raise NotImplementedError
