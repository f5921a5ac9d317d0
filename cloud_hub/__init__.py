"""The hub: a web process and a bridge process over one database."""
