"""The writing stages, put together: lessons, then rewards, each judged by drafts of the choice split.

A draft is made from the maps that are there already, so that judging costs only the decoder. Both CIDEr and macro
F1 choose the epoch: either can be had without the other. Knows no files.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from pipeline import text
from pipeline.checkpoint import special_tokens
from pipeline.decoding import Decoded
from pipeline.guidance import Basis, Drafter
from pipeline.manifest import DecodingSettings
from pipeline.models.encoder import scatter_views
from pipeline.models.report_model import ReportModel
from pipeline.study import Background
from training.believing import BeliefTask
from training.captions import CaptionTask, Lessons, Written, WrittenLessons, pad_tokens
from training.clinical import clinical_scores, named_labels, scored_labels
from training.config import Config
from training.datasets import NORMAL
from training.distilled import DistilledCaptionTask, DraftedLessons, teacher_key
from training.looking import Seen
from training.loop import run
from training.material import Material, background_of
from training.mentor import Mentor
from training.planning import Planner, PlanTask
from training.reward import Likeness, Truthfulness, plain_words
from training.scores import corpus_scores
from training.seeing import views_of
from training.self_critical import Score, SelfCriticalTask
from training.task import LoopSettings, Task
from training.teacher import Teacher, prepare_teacher, sentences_text

log = logging.getLogger(__name__)
BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Scores drafts of the choice split."""

    model: ReportModel
    material: Material
    seen: Seen
    decoding: DecodingSettings

    def __call__(self) -> Mapping[str, float]:
        """The figures of what the model writes."""
        return self.score(self.drafts())

    def score(self, drafts: Sequence[tuple[str, str]]) -> Mapping[str, float]:
        """CIDEr, BLEU-4, ROUGE-L and macro F1, and their sum as the score."""
        examples, protocol = self.material.choice, self.material.protocol
        references = [protocol.reference(example.findings) for example in examples]
        scores = corpus_scores([text.clean_r2gen(findings) for findings, _ in drafts], references, meteor=False)
        truth = [example.problems for example in examples]
        named = [named_labels(*draft) for draft in drafts]
        figures = {name: scores[name] for name in ("CIDEr", "BLEU-4", "ROUGE-L")}
        figures["macro F1"] = clinical_scores(named, truth, scored_labels(truth, {NORMAL})).macro_f1
        return {**figures, "distinct": float(len(set(drafts))), "score": sum(figures.values())}

    def chosen(self, teacher: Teacher) -> list[tuple[str, str]]:
        """What a teacher would write of each study: the most that its pupil can reach."""
        told = [text.background_tokens(background_of(example)) for example in self.material.choice]
        evidence = self.model.weigh(self.seen.logits.to(self.model.device)).cpu()
        reports = zip(*teacher.choose(evidence, told), strict=True)
        return [(sentences_text(findings), sentences_text(impression)) for findings, impression in reports]

    def drafts(self) -> list[tuple[str, str]]:
        """Findings and impression of each study."""
        model, tokenizer = self.model.eval(), self.material.tokenizer
        device = next(model.parameters()).device
        evidence = model.weigh(self.seen.logits.to(device))
        told = [_told(self.material, background_of(example)) for example in self.material.choice]
        drafter = Drafter(
            model=model,
            tokenizer=tokenizer,
            ids=special_tokens(tokenizer),
            concepts=self.material.names,
            how=self.decoding,
        )
        drafts: list[Decoded] = []
        for start in range(0, len(told), BATCH):
            part = slice(start, min(start + BATCH, len(told)))
            present, mask = self.seen.choice.batch(range(part.start, part.stop), generator=None)
            maps = scatter_views(present.to(device), mask.to(device))
            with torch.inference_mode():
                indication = pad_tokens(told[part], device)
                basis = Basis(maps=maps, mask=mask.to(device), evidence=evidence[part], indication=indication)
                drafts += drafter.draft(basis)
        sections = [text.split_sections(text.decode(tokenizer, draft.tokens)) for draft in drafts]
        return [(text.detokenize(findings), text.detokenize(impression)) for findings, impression in sections]


def _told(material: Material, background: Background) -> list[int]:
    return text.encode(material.tokenizer, text.background_tokens(background))


def learn_to_write(
    config: Config,
    material: Material,
    seen: Seen,
    model: ReportModel,
    judge: Judge,
    *,
    mentor: Mentor | None = None,
) -> None:
    """Lessons, then rewards where there are any."""
    data = _written(config, material, seen, model.device)
    folder, name = config.run.work, _name(config)
    settings = (config.reports, config.findings, config.impressions, config.data)
    facts = {"settings": repr(settings), "data": material.sha256}
    teacher = data.lessons
    if isinstance(teacher, Teacher):
        log.info("consensus on the choice split: %s", judge.score(judge.chosen(teacher)))
        _plan(config, material, data, model, [len(section.candidates.texts) for section in teacher.sections])
    data = _with_drafts(config, material, data, mentor)
    task = CaptionTask(model=model, data=data, config=config.reports, judged=judge)
    if mentor:
        facts["teacher"] = repr(teacher_key(mentor, config.distillation))
    taught = _taught(config, material, task, mentor)
    run(
        taught, _lesson_settings(config), seed=config.run.seed, folder=folder, name=f"{name}-captions", facts=facts
    )
    if config.rewards.epochs:
        critical = SelfCriticalTask(
            captions=task,
            config=config.rewards,
            tokens=special_tokens(material.tokenizer),
            decoding=judge.decoding,
            scores=_scores(config, material),
        )
        loop = LoopSettings(epochs=config.rewards.epochs, mixed_precision=config.run.mixed_precision)
        facts = {"settings": repr((config.rewards, facts))}
        run(critical, loop, seed=config.run.seed, folder=folder, name=f"{name}-rewards", facts=facts)
    if config.model.use_beliefs and isinstance(teacher, Teacher):
        beliefs = BeliefTask(model=model, data=data, places=teacher.archive.places, config=config.reports)
        loop = LoopSettings(epochs=config.reports.belief_epochs, judge_every=10)
        facts = {"settings": repr((config.model, facts))}
        run(beliefs, loop, seed=config.run.seed, folder=folder, name=f"{name}-beliefs", facts=facts)


def _name(config: Config) -> str:
    return f"{config.run.name}-{config.run.version}"


def _plan(
    config: Config, material: Material, data: Written, model: ReportModel, candidates: Sequence[int]
) -> None:
    """Learn what to write before how, where that is wanted: once for all decoders with the same memory."""
    epochs = config.reports.plan_epochs
    if epochs:
        planner = Planner(model, candidates).to(model.device)
        facts = {"settings": repr(_plan_settings(config)), "data": material.sha256}
        digest = hashlib.sha256(repr((facts, config.run.seed)).encode())
        for value in planner.state_dict().values():
            digest.update(value.cpu().numpy().tobytes())
        plan = PlanTask(planner=planner, data=data, config=config.reports)
        loop = LoopSettings(epochs=epochs, judge_every=10, mixed_precision=config.run.mixed_precision)
        name = f"plan-{digest.hexdigest()[:12]}"
        run(plan, loop, seed=config.run.seed, folder=config.run.work, name=name, facts=facts)


def _plan_settings(config: Config) -> tuple[object, ...]:
    reports = config.reports
    drawn = (reports.copies, reports.view_dropout, reports.image_dropout, reports.indication_dropout)
    learnt = (reports.sure, reports.plan_epochs, reports.plan_batch, reports.plan_rate, config.model.dropout)
    return (*drawn, *learnt, config.findings, config.impressions, config.data)


def _lesson_settings(config: Config) -> LoopSettings:
    reports = config.reports
    return LoopSettings(
        epochs=reports.epochs,
        weight_decay=reports.weight_decay,
        average_decay=reports.average_decay or None,
        judge_every=reports.judge_every,
        patience=reports.patience,
        mixed_precision=config.run.mixed_precision,
    )


def _with_drafts(config: Config, material: Material, data: Written, mentor: Mentor | None) -> Written:
    """Some of the reports to write replaced by the teacher's drafts, where that is wanted."""
    if mentor is None or not config.distillation.drafts:
        return data
    studies = (material.archive.study(example, number) for number, example in enumerate(material.written))
    drafts = [text.encode(material.tokenizer, words) for words in mentor.write(studies)]
    return replace(
        data, lessons=DraftedLessons(plain=data.lessons, drafts=drafts, share=config.distillation.drafts)
    )


def _taught(config: Config, material: Material, task: CaptionTask, mentor: Mentor | None) -> Task:
    """The task with a teacher beside it, where that is wanted."""
    if mentor is None or not config.distillation.words:
        return task
    seen = mentor.look([views_of(example, material) for example in material.written])
    return DistilledCaptionTask(plain=task, mentor=mentor, seen=seen, config=config.distillation)


def _written(config: Config, material: Material, seen: Seen, device: torch.device) -> Written:
    reports = zip(material.findings, material.impressions, strict=True)
    tokens = [text.encode(material.tokenizer, text.report_tokens(*report)) for report in reports]
    return Written(
        ids=[example.study for example in material.written],
        maps=seen.written,
        device=device,
        lessons=_lessons(config, material, seen, tokens),
        lengths=[len(row) for row in tokens],
        normal=torch.tensor([not example.abnormal for example in material.written]),
    )


def _lessons(config: Config, material: Material, seen: Seen, tokens: Sequence[Sequence[int]]) -> Lessons:
    concepts = material.targets(material.written)
    indications = [text.background_tokens(background_of(example)) for example in material.written]
    if config.reports.targets == "written":
        ids = [text.encode(material.tokenizer, words) for words in indications]
        return WrittenLessons(
            concepts=concepts.bool(), apart=seen.apart, tokens=tokens, indications=ids, kin=seen.kin
        )
    return prepare_teacher(
        concepts=concepts,
        names=material.names,
        apart=seen.apart,
        kin=seen.kin,
        truth=_truth(config, material),
        indications=indications,
        written=(material.findings, material.impressions),
        references=_references(material),
        how=(config.findings, config.impressions),
        tokenizer=material.tokenizer,
        seed=config.run.seed,
        sure=config.reports.sure,
    )


def _truth(config: Config, material: Material) -> Truthfulness:
    coded = [example.problems & set(material.names) for example in material.written]
    return Truthfulness.of(coded, at_least=config.rewards.least_cases, even=config.rewards.even)


def _references(material: Material) -> tuple[list[str], list[str]]:
    findings = [material.protocol.reference(example.findings) for example in material.written]
    return findings, [text.clean_r2gen(example.impression) for example in material.written]


def _scores(config: Config, material: Material) -> tuple[Score, Score]:
    words = text.decode(material.tokenizer, range(material.tokenizer.get_vocab_size()))
    plain, truth = plain_words(words), _truth(config, material)
    weight = config.rewards.truthfulness

    def score(references: Sequence[str]) -> Callable[[Sequence[int], int], float]:
        likeness = Likeness(references=references)

        def of(ids: Sequence[int], number: int) -> float:
            likely = likeness.score([word for token in ids for word in plain[token].split()], number)
            return likely + weight * truth.score([words[token] for token in ids], number)

        return of

    findings, impressions = map(score, _references(material))
    return findings, impressions
