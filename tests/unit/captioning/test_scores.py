import shutil

import pytest

from training.clinical import auroc, clinical_scores, scored_labels
from training.scores import R2GenProtocol, corpus_scores, r2gen_overlap, seed_overlap, sentence_bleu

TEXTS = ["Heart size is normal. Lungs are clear.", "Mild cardiomegaly. No effusion is seen."]


def test_a_perfect_text_has_perfect_overlap() -> None:
    scores = corpus_scores(["a b c d e .", "f g h i j ."], ["a b c d e .", "f g h i j ."], meteor=False)
    assert scores["BLEU-4"] == pytest.approx(1.0, abs=1e-3)
    assert scores["ROUGE-L"] == pytest.approx(1.0)
    assert scores["CIDEr"] == pytest.approx(10.0)


def test_references_are_cut_and_their_rare_words_unknown() -> None:
    protocol = R2GenProtocol.from_train(["Heart normal."] * 3 + ["Heart rare."])
    assert protocol.reference("Heart is rare. " + "Normal. " * 60).split()[:3] == ["heart", "<unk>", "<unk>"]
    assert len(protocol.reference("normal " * 100).split()) == 59
    overlaps = r2gen_overlap(TEXTS, TEXTS, protocol, meteor=False)
    assert overlaps["untouched"].scores["BLEU-1"] > overlaps["r2gen"].scores["BLEU-1"]


def test_meteor_is_left_out_without_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "METEOR" not in corpus_scores(["a b"], ["a b"])


def test_the_seed_bleu_leaves_zero_precisions_out() -> None:
    candidate, reference = ["no", "acute", "disease"], ["no", "acute", "abnormality"]
    assert sentence_bleu(candidate, reference, 1, 1.0) == pytest.approx(2 / 3)
    assert sentence_bleu(candidate, reference, 2, 0.5) == pytest.approx((2 / 3 * 1 / 2) ** 0.5)
    assert sentence_bleu(candidate, reference, 4, 0.25) == pytest.approx((2 / 3 * 1 / 2) ** 0.25)
    assert sentence_bleu(["x"], reference, 4, 0.25) == 0.0
    assert sentence_bleu(["no"], reference, 1, 1.0) == pytest.approx(2.718281828**-2)
    assert seed_overlap(["No acute disease."], ["No acute disease."]).scores["seed BLEU-2"] == pytest.approx(1.0)


def test_clinical_scores_count_per_label_and_over_all() -> None:
    scores = clinical_scores([{"a"}, {"a", "b"}, set()], [{"a"}, {"b"}, {"a"}], ["a", "b"])
    assert (scores.labels["a"].precision, scores.labels["a"].recall, scores.labels["a"].f1) == (0.5, 0.5, 0.5)
    assert scores.labels["b"].f1 == 1.0
    assert scores.macro_f1 == 0.75
    assert scores.micro_f1 == pytest.approx(2 / 3)


def test_only_labels_with_enough_cases_are_scored() -> None:
    truth = [{"a", "normal"}, {"a", "normal"}, {"b"}]
    assert scored_labels(truth, {"normal"}, at_least=2) == ["a"]
    assert auroc([0.1, 0.2, 0.9], [False, False, True]) == 1.0
    assert auroc([0.1], [True]) == 0.5
