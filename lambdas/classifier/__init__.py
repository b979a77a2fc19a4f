"""The API in front of the candidates: decide, ask, record."""
