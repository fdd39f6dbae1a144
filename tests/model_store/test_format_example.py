from tests.model_store.format_listing import DOCUMENT, document_with_listings, example_listing


def test_document_shows_the_bytes_and_limits_that_the_code_writes() -> None:
    text = DOCUMENT.read_text()

    assert document_with_listings(text) == text


def test_listing_covers_every_byte_of_the_example() -> None:
    assert example_listing().endswith("bytes in all.")
