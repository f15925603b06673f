"""From a configuration to a checkpoint: concepts first, then captions, then thresholds, judgement and files.

The stages are in `concepts` and `captions`; here they are put in order. What stage 1 learnt is kept in the work
folder under a key of its settings, so that trying another decoder does not repeat it. The choice split only
chooses (epochs) and calibrates (thresholds, without its labels); nothing is learnt from it.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

from pipeline import text
from pipeline.checkpoint import special_tokens
from pipeline.decoding import decode
from pipeline.findings import NO_FINDING
from pipeline.manifest import DecodingSettings
from pipeline.models.attention import AttentionConfig, AttentionModel
from pipeline.models.encoder import ViewEncoder, scatter_views
from pipeline.study import Preprocessing
from training.captions import Written, fit_captions
from training.clinical import clinical_scores, scored_labels
from training.concepts import Labelled, Seer, fit_concepts, predict
from training.config import Config
from training.datasets import NORMAL, Example, ImageArchive, concept_names, concept_targets, read_examples
from training.evaluate import named_labels
from training.features import Activations, compute_activations
from training.scores import R2GenProtocol, corpus_scores

log = logging.getLogger(__name__)
PREPROCESSING = Preprocessing(height=256, width=256, fit="squash", resampling="box")


@dataclass(frozen=True, kw_only=True)
class Data:
    """Everything that is read before training."""

    archive: ImageArchive
    seen: list[Example]  # stage 1 learns from these
    written: list[Example]  # stage 2 learns from these
    tokens: list[list[str]]  # what is written about them
    choice: list[Example]
    names: tuple[str, ...]  # of the concepts
    prevalence: Tensor  # [K] in the train split
    protocol: R2GenProtocol


@dataclass(frozen=True, kw_only=True)
class Trained:
    """The result, before it becomes files."""

    model: AttentionModel
    tokenizer: Tokenizer
    names: tuple[str, ...]
    decoding: DecodingSettings


def read_data(config: Config) -> Data:
    """Read and clean the studies that the configuration names."""
    folder = config.data.folder
    seen = read_examples(folder, *config.data.concept_splits)
    pairs = [
        (example, report_target(example, config.reports.min_normal_words))
        for example in read_examples(folder, *config.data.report_splits)
    ]
    kept = [(example, tokens) for example, tokens in pairs if tokens]
    names = concept_names(seen, config.data.min_concept_count)
    train = read_examples(folder, "train")
    return Data(
        archive=ImageArchive(folder, PREPROCESSING),
        seen=seen,
        written=[example for example, _ in kept],
        tokens=[tokens for _, tokens in kept],
        choice=read_examples(folder, config.data.choice_split),
        names=names,
        prevalence=torch.from_numpy(concept_targets(train, names)).mean(0),
        protocol=R2GenProtocol.from_train([example.findings for example in train]),
    )


def report_target(example: Example, min_normal_words: int) -> list[str]:
    """What the decoder learns to write about a study: what is there first; nothing if too little is left."""
    findings = positives_first(text.clean_target(example.findings))
    impression = positives_first(text.clean_target(example.impression))
    words = sum(len(sentence.split()) for sentence in findings)
    if not findings or not impression or (not example.abnormal and words < min_normal_words):
        return []
    return text.report_tokens(findings, impression)


def positives_first(sentences: list[str]) -> list[str]:
    """The same sentences, those that name a finding before those that rule one out or describe the normal.

    The concepts then decide the first words, before the habit of a normal report has set in.
    """
    return sorted(sentences, key=lambda sentence: not named_labels(f"{sentence}.", "") - {NO_FINDING})


def fit(config: Config) -> Trained:
    """Run both stages."""
    torch.set_num_threads(config.run.threads)
    torch.manual_seed(config.run.seed)
    data = read_data(config)
    tokenizer = text.build_tokenizer(data.tokens, config.data.min_word_count)
    model = _new_model(config, tokenizer.get_vocab_size(), len(data.names))
    _concept_stage(config, data, model)
    probabilities, maps = _look_at_choice(model, data)
    thresholds = fit_thresholds(probabilities, data.prevalence, config.reports.threshold_factor)
    model.thresholds.copy_(thresholds)
    decoding = DecodingSettings(
        beams=config.reports.beams,
        max_findings=config.reports.max_findings,
        max_impression=config.reports.max_impression,
        length_penalty=config.reports.length_penalty,
        block_trigrams=config.reports.block_trigrams,
        thresholds=dict(zip(data.names, thresholds.tolist(), strict=True)),
    )
    trained = Trained(model=model, tokenizer=tokenizer, names=data.names, decoding=decoding)
    _caption_stage(config, data, trained, probabilities >= thresholds, maps)
    return trained


def _new_model(config: Config, vocabulary: int, concepts: int) -> AttentionModel:
    shape = AttentionConfig(
        vocabulary=vocabulary,
        concepts=concepts,
        encoder=config.encoder,
        width=config.model.width,
        attention=config.model.attention,
        hidden=config.model.hidden,
        dropout=config.model.dropout,
        head_dropout=config.model.head_dropout,
    )
    model = AttentionModel(shape)
    model.encoder = ViewEncoder(config.encoder, config.concepts.weights)
    return model


def _targets(examples: list[Example], names: tuple[str, ...]) -> Tensor:
    return torch.from_numpy(concept_targets(examples, names))


def _kept_state(config: Config, names: tuple[str, ...]) -> Path:
    key = repr((config.run.seed, config.data, config.encoder, config.concepts, config.model.head_dropout, names))
    return config.run.work / f"concepts-{hashlib.sha256(key.encode()).hexdigest()[:12]}.pt"


def _concept_stage(config: Config, data: Data, model: AttentionModel) -> None:
    kept = _kept_state(config, data.names)
    seer = Seer(model.encoder, model.head, config.concepts.frozen_blocks)
    if kept.exists():
        log.info("concepts: taken from %s", kept)
        seer.load_state_dict(torch.load(kept, weights_only=True))
        return

    def stem(views: Tensor) -> Tensor:
        return model.encoder.stem(views, config.concepts.frozen_blocks)

    model.eval()
    copies, seed = config.concepts.copies, config.run.seed
    train = compute_activations(data.seen, data.archive, stem, copies=copies, seed=seed)
    choice = compute_activations(data.choice, data.archive, stem, copies=1, seed=seed)
    torch.manual_seed(config.run.seed)
    found = fit_concepts(
        seer,
        Labelled(activations=train, targets=_targets(data.seen, data.names)),
        Labelled(activations=choice, targets=_targets(data.choice, data.names)),
        data.names,
        config=config.concepts,
        seed=config.run.seed,
    )
    log.info("concepts: AUROC %s", {name: round(value, 3) for name, value in found.items()})
    kept.parent.mkdir(parents=True, exist_ok=True)
    torch.save(seer.state_dict(), kept)


def _look_at_choice(model: AttentionModel, data: Data) -> tuple[Tensor, Activations]:
    """Concept probabilities [M, K] and pooled maps of the choice split."""
    model.eval()

    def whole(views: Tensor) -> Tensor:
        maps: Tensor = model.encoder.layers(model.encoder.normalise(views))
        return maps

    raw = compute_activations(data.choice, data.archive, whole, copies=1, seed=0, precise=True)
    probabilities = predict(Seer(model.encoder, model.head, len(model.encoder.layers)), raw, precise=True)
    return probabilities, Activations(values=model.pool(raw.values.float()).half(), rows=raw.rows, copies=1)


def fit_thresholds(probabilities: Tensor, prevalence: Tensor, factor: float) -> Tensor:
    """[K] such that each concept is told `factor` times as often as it occurs in train; needs no labels."""
    wanted = (prevalence * factor).clamp(max=0.95)
    columns = [torch.quantile(probabilities[:, k], 1 - share.item()) for k, share in enumerate(wanted)]
    return torch.stack(columns).clamp(1e-4, 1.0)


def _caption_stage(config: Config, data: Data, trained: Trained, told: Tensor, choice: Activations) -> None:
    model, settings = trained.model, config.reports

    def pooled(views: Tensor) -> Tensor:
        return model.pool(model.encoder.layers(model.encoder.normalise(views)))

    model.eval()
    maps = compute_activations(
        data.written, data.archive, pooled, copies=settings.copies, seed=config.run.seed + 1
    )
    written = Written(
        maps=maps,
        concepts=_targets(data.written, data.names).bool(),
        tokens=[text.encode(trained.tokenizer, tokens) for tokens in data.tokens],
        normal=torch.tensor([not example.abnormal for example in data.written]),
    )

    def judge(epoch: int, loss: float) -> float:
        return _judge(trained, data, told, choice, f"captions epoch {epoch} loss {loss:.4f}")

    torch.manual_seed(config.run.seed)
    fit_captions(model, written, config=settings, seed=config.run.seed, judge=judge, every=settings.judge_every)


def _judge(trained: Trained, data: Data, told: Tensor, maps: Activations, title: str) -> float:
    """CIDEr plus macro F1 on the choice split: neither alone, since either can be had without the other."""
    drafts = draft_from_maps(trained, told, maps)
    references = [data.protocol.reference(example.findings) for example in data.choice]
    scores = corpus_scores([text.clean_r2gen(findings) for findings, _ in drafts], references, meteor=False)
    truth = [example.problems for example in data.choice]
    named = [named_labels(*draft) for draft in drafts]
    macro = clinical_scores(named, truth, scored_labels(truth, {NORMAL})).macro_f1
    log.info(
        "%s CIDEr %.4f BLEU-4 %.4f macro F1 %.4f distinct %d",
        title,
        scores["CIDEr"],
        scores["BLEU-4"],
        macro,
        len(set(drafts)),
    )
    return scores["CIDEr"] + macro


def draft_from_maps(trained: Trained, told: Tensor, maps: Activations, size: int = 64) -> list[tuple[str, str]]:
    """Findings and impressions from pooled maps that are already there."""
    model, drafts = trained.model.eval(), []
    for start in range(0, len(told), size):
        present, mask = maps.batch(range(start, min(start + size, len(told))), generator=None)
        with torch.inference_mode():
            memory = model.remember(scatter_views(present, mask), mask, told[start : start + size])
            state = model.decoder.begin(memory)
            drafts += decode(model, memory, state, special_tokens(trained.tokenizer), trained.decoding)
    sections = [text.split_sections(text.decode(trained.tokenizer, draft.tokens)) for draft in drafts]
    return [(text.detokenize(findings), text.detokenize(impression)) for findings, impression in sections]
