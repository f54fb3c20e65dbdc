"""One module per schema version; `schema.VERSIONS` lists them."""
