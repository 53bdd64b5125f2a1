"""The embedded defaults: small sentence encoders and corpora of reviews, fetched once from the package index."""
