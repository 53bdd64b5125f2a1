"""`python -m hf_sentiment`: the same as `hf-sentiment`."""

from hf_sentiment.cli import main

if __name__ == "__main__":
    main()
