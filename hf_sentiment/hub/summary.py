"""What will be sent, as lines for a person."""

from __future__ import annotations

from collections.abc import Iterator

from hf_sentiment.hub.bundle import Bundle


def describe(bundle: Bundle, repo_id: str, public: bool | None, create_pr: bool) -> Iterator[str]:
    """Files, sizes, where, for whom to see, who can load it, and whether texts are quoted.

    Args:
        bundle: What will be sent.
        repo_id: Where.
        public: Whether everybody will see it; `None` leaves it as it is, and a new repository private.
        create_pr: Whether it will be a pull request.
    """
    sizes = bundle.sizes()
    what = "An adapter" if bundle.adapter else "A model"
    how = ", as a pull request" if create_pr else ""
    seen = {True: "public", False: "private", None: "as visible as it is; private if it is new"}[public]
    yield f"{what} for {repo_id} ({seen}){how}:"
    width = max(len(name) for name in sizes)
    for name, size in sizes.items():
        yield f"  {name:<{width}}  {_size(size):>9}"
    named = {"licence": "license", "language": "language", "base model": "base_model"}
    facts = "; ".join(f"{name}: {bundle.metadata.get(field, 'not named')}" for name, field in named.items())
    yield f"  {len(sizes)} files, {_size(sum(sizes.values()))}; {facts}"
    yield from (f"  {line}" for line in bundle.can_load)
    if bundle.quoted:
        texts = "1 text" if bundle.quoted == 1 else f"{bundle.quoted} texts"
        yield f"  The card, README.md, quotes {texts} of your data; --no_quotes leaves them out."


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
