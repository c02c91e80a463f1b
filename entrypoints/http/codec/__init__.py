"""Bodies and parameters to attrs values, values to JSON, both to OpenAPI schemas (http.md 2, 6)."""

from entrypoints.http.codec.decoding import decode, shape
from entrypoints.http.codec.encoding import encode, plain
from entrypoints.http.codec.parsing import parse
from entrypoints.http.codec.queries import decode_query, split_query
from entrypoints.http.codec.schemas import Schemas, schema

__all__ = ["Schemas", "decode", "decode_query", "encode", "parse", "plain", "schema", "shape", "split_query"]
