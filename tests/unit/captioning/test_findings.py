import pytest

from pipeline.findings import CHEXPERT, LABELS, extract, present_labels, said
from pipeline.study import Polarity

PRESENT, ABSENT, UNCERTAIN = Polarity.PRESENT, Polarity.ABSENT, Polarity.UNCERTAIN

SENTENCES = [
    ("Mild cardiomegaly.", "Cardiomegaly", PRESENT),
    ("The cardiac silhouette is mildly enlarged.", "Cardiomegaly", PRESENT),
    ("The heart is enlarged.", "Cardiomegaly", PRESENT),
    ("Heart size is normal.", "Cardiomegaly", ABSENT),
    ("The heart is not enlarged.", "Cardiomegaly", ABSENT),
    ("The cardiomediastinal silhouette is within normal limits.", "Cardiomegaly", ABSENT),
    ("Heart and mediastinum are normal, lungs are clear, no effusion.", "Pleural Effusion", ABSENT),
    ("Borderline cardiomegaly.", "Cardiomegaly", UNCERTAIN),
    ("No fracture, and there is mild cardiomegaly.", "Cardiomegaly", PRESENT),
    ("No pleural effusion or pneumothorax.", "Pneumothorax", ABSENT),
    ("There is no focal consolidation, pleural effusion, or pneumothorax.", "Pneumothorax", ABSENT),
    ("Lungs are clear of focal airspace disease, pneumothorax, or pleural effusion.", "Pleural Effusion", ABSENT),
    ("No pneumothorax, but small left effusion.", "Pleural Effusion", PRESENT),
    ("No pneumothorax, but small left effusion.", "Pneumothorax", ABSENT),
    ("No pneumothorax, small left effusion.", "Pleural Effusion", PRESENT),
    ("Cardiomegaly without edema.", "Pulmonary Edema", ABSENT),
    ("Cardiomegaly without edema.", "Cardiomegaly", PRESENT),
    ("No change in the left effusion.", "Pleural Effusion", PRESENT),
    ("The effusion has resolved.", "Pleural Effusion", ABSENT),
    ("Effusions are not seen.", "Pleural Effusion", ABSENT),
    ("Small effusion is no longer seen.", "Pleural Effusion", ABSENT),
    ("Pleural effusion cannot be excluded.", "Pleural Effusion", UNCERTAIN),
    ("Pneumonia is not excluded.", "Pneumonia", UNCERTAIN),
    ("Pneumonia has been ruled out.", "Pneumonia", ABSENT),
    ("Possible right lower lobe pneumonia.", "Pneumonia", UNCERTAIN),
    ("Streaky opacities may represent atelectasis.", "Pulmonary Atelectasis", UNCERTAIN),
    ("Streaky opacities may represent atelectasis.", "Opacity", PRESENT),
    ("No opacity to suggest pneumonia.", "Pneumonia", ABSENT),
    ("Negative for pneumothorax.", "Pneumothorax", ABSENT),
    ("The lungs are clear.", "Consolidation", ABSENT),
    ("Low lung volumes, the lungs are otherwise clear.", "Lung/hypoinflation", PRESENT),
    ("The lungs are hyperexpanded.", "Lung/hyperdistention", PRESENT),
    ("Flattened diaphragms.", "Diaphragm/flattened", PRESENT),
    ("Elevation of the right hemidiaphragm.", "Diaphragm/elevated", PRESENT),
    ("Calcified granuloma in the right lung.", "Calcified Granuloma", PRESENT),
    ("Degenerative changes of the thoracic spine.", "Thoracic Vertebrae", PRESENT),
    ("Degenerative changes of the spine.", "Spine", PRESENT),
    ("Tortuous thoracic aorta.", "Aorta, Thoracic", PRESENT),
    ("The aorta is tortuous.", "Aorta", PRESENT),
    ("Atherosclerotic calcification of the aortic arch.", "Atherosclerosis", PRESENT),
    ("Bronchovascular crowding.", "Markings", PRESENT),
    ("Vascular markings are symmetric and within normal limits.", "Markings", ABSENT),
    ("Normal hilar vascular markings.", "Markings", ABSENT),
    ("Prominent interstitial markings with normal heart size.", "Markings", PRESENT),
    ("Blunting of the left costophrenic angle.", "Costophrenic Angle", PRESENT),
    ("Right IJ central line tip in the SVC.", "Catheters, Indwelling", PRESENT),
    ("Right IJ central line tip in the SVC.", "Support Devices", PRESENT),
    ("No displaced rib fracture.", "Fracture", ABSENT),
    ("Left-sided scoliosis.", "Scoliosis", PRESENT),
    ("No acute cardiopulmonary abnormality.", "No Finding", PRESENT),
]


@pytest.mark.parametrize(("sentence", "label", "polarity"), SENTENCES)
def test_a_sentence_states_a_finding(sentence: str, label: str, polarity: Polarity) -> None:
    assert {item.label: item.polarity for item in extract(sentence)}[label] is polarity


@pytest.mark.parametrize(
    ("sentence", "label"),
    [
        ("Tortuous thoracic aorta.", "Aorta"),
        ("Soft tissue edema of the arm.", "Pulmonary Edema"),
        ("Subcutaneous emphysema.", "Emphysema"),
        ("Calcified granuloma.", "Granuloma"),
        ("Degenerative changes of the thoracic spine.", "Spine"),
        ("Pericardial effusion.", "Pleural Effusion"),
    ],
)
def test_a_sentence_does_not_speak_of_something_else(sentence: str, label: str) -> None:
    assert label not in {item.label for item in extract(sentence)}


def test_a_statement_keeps_its_sentence_and_order() -> None:
    statements = extract("Mild cardiomegaly. No effusion.\nNo acute disease.")
    assert [(item.label, item.sentence) for item in statements] == [
        ("Cardiomegaly", "Mild cardiomegaly."),
        ("Pleural Effusion", "No effusion."),
    ]


def test_no_finding_is_stated_only_where_nothing_is() -> None:
    assert "No Finding" in present_labels(extract("The lungs are clear. No acute cardiopulmonary disease."))
    assert "No Finding" not in present_labels(extract("Small effusion. No acute cardiopulmonary disease."))


def test_qualified_labels_count_for_their_problem() -> None:
    found = extract("Low lung volumes. Possible pneumonia.")
    assert present_labels(found) >= {"Lung", "Lung/hypoinflation", "Pneumonia"}
    assert "Pneumonia" not in present_labels(found, uncertain=False)


def test_every_chexpert_label_can_be_stated() -> None:
    assert set(CHEXPERT) <= set(LABELS)
    assert len(CHEXPERT) == 14


def test_a_sentence_names_and_denies() -> None:
    told = said("Mild cardiomegaly without pleural effusion.")
    assert "Cardiomegaly" in told.named
    assert "Pleural Effusion" in told.denied
    assert not told.named & told.denied
    assert said("") == (frozenset(), frozenset())
