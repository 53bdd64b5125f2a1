# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-sentiment"]
#
# [tool.uv.sources]
# hf-sentiment = { path = ".." }
# ///
"""Use a trained model the way any model of the Hub is used.

python recipes/predict.py runs/demo
"""

import sys

from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline
from transformers.utils import logging

from hf_sentiment import one_line_errors  # this import makes the Auto classes know the model
from hf_sentiment.inference.locating import find_checkpoint

SENTENCES = (
    "An absolute delight from start to finish.",
    "Two hours of my life that I will never get back.",
    "The plot is thin, but the cast makes it worth your evening.",
)


@one_line_errors()
def main() -> None:
    # 1. Load it by the Auto classes
    logging.disable_progress_bar()
    folder = find_checkpoint(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)

    # 2. Predict
    classifier = pipeline("text-classification", model=model, tokenizer=tokenizer)
    for sentence, prediction in zip(SENTENCES, classifier(list(SENTENCES)), strict=True):
        print(f"{prediction['label']:>10}  {prediction['score']:.3f}  {sentence}")


if __name__ == "__main__":
    main()
