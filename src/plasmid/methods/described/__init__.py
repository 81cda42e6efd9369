"""What each method takes and gives, written down for readers: the source of the API's document."""
