# /// script
# requires-python = ">=3.11"
# dependencies = ["hf-sentiment"]
#
# [tool.uv.sources]
# hf-sentiment = { path = ".." }
# ///
"""Fine-tune a text encoder for sentiment with the plain `transformers.Trainer`.

    python recipes/finetune.py recipes/imdb.yaml --output_dir runs/imdb
    accelerate launch recipes/finetune.py recipes/imdb.yaml --output_dir runs/imdb

Takes a YAML recipe and flags of `SentimentArguments` and `TrainingArguments`; flags override the recipe.
`hf-sentiment train` takes the same recipes, and adds a plan, a calibrated head, baselines and a model card.
"""

import logging

from transformers import DataCollatorWithPadding, Trainer, set_seed

import hf_sentiment
from hf_sentiment import head, training


@hf_sentiment.one_line_errors()
def main() -> None:
    # 1. Arguments: a recipe, then flags
    arguments, training_arguments = training.parse_arguments(
        refused=("imbalance", "fine_tuned_share", "folds", "seeds")
    )
    logging.basicConfig(level=logging.INFO if training_arguments.should_log else logging.ERROR, format="%(message)s")
    set_seed(training_arguments.seed)

    # 2. Data: labelled, checked, split; a near-duplicate never straddles two splits
    seed, data_seed = training_arguments.seed, training_arguments.data_seed
    data = training.load_splits(arguments, seed if data_seed is None else data_seed)

    # 3. Model: a pre-trained encoder, dropout, and a new linear head with the data's label names; this is
    #    EncoderForSentimentAnalysis.from_pretrained(checkpoint, labels=[...]), of a BERT BertForSentimentAnalysis,
    #    and AutoTokenizer with the prefix that the encoder wants before every text
    model, tokenizer = training.load_model(arguments, data)
    training.smooth_in_the_model(model, training_arguments)

    # 4. Tokens: truncated, not padded; the collator pads to the longest text of a batch
    max_length = min(arguments.max_length or 256, tokenizer.model_max_length)
    splits = {name: hf_sentiment.tokenize(split, tokenizer, max_length) for name, split in data.splits.items()}
    if arguments.head_first:
        prior = head.prepare_encoder(model, tokenizer, bfloat16=training_arguments.bf16) if arguments.lexicon else None
        head.fit_head_first(model, tokenizer, splits["train"], training_arguments.seed, prior)
    optimizer = training.layerwise_optimizer(
        model, training_arguments, arguments.layerwise_lr_decay or 1, bool(arguments.lora)
    )
    augmented = training.augmentation(
        arguments.augment or "none", data, model, tokenizer, max_length, training_arguments.seed
    )

    # 5. Callbacks: curves, early stopping that keeps the best, the alarm, LoRA; Ctrl-C saves and raises Interrupted
    watched = "validation" in splits and training_arguments.eval_strategy != "no"
    alarm = [hf_sentiment.OverfittingGapCallback(arguments.alarm)] if watched and arguments.alarm != "off" else []
    lora = [hf_sentiment.LoraCallback(r=arguments.lora_rank, alpha=2 * arguments.lora_rank)] if arguments.lora else []
    others = [*([augmented.callback] if augmented else []), training.CheckpointOnInterrupt(), training.SeedEveryEpoch()]
    stopping = [hf_sentiment.EarlyStoppingCallback(arguments.early_stopping_patience or None)] if watched else []

    # 6. Train; what goes to the Hub, if --push_to_hub asks for it, is what `hf-sentiment publish` sends
    trainer = Trainer(
        model=model,
        args=training_arguments,
        train_dataset=augmented or splits["train"],
        eval_dataset=splits.get("validation"),
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer),
        compute_metrics=hf_sentiment.compute_metrics,
        callbacks=[*stopping, *alarm, hf_sentiment.LearningCurveCallback(), *lora, *others],
        optimizers=(optimizer, None),
    )
    hf_sentiment.use_our_publishing(trainer, arguments)
    trainer.train(resume_from_checkpoint=training_arguments.resume_from_checkpoint)

    # 7. Test once, on texts that nothing was chosen on; what it gives is on the model card
    if "test" in splits:
        metrics = hf_sentiment.record_test(trainer, data, splits["test"])
        trainer.log_metrics("test", metrics)
        trainer.save_metrics("test", metrics)

    # 8. Save a folder that AutoModelForSequenceClassification and pipeline load, and push it
    trainer.save_model()


if __name__ == "__main__":
    main()
